"""Knowledge graphs, question synthesis and certificates."""

if __name__ != "medenv.kg":
    raise ImportError("`kg/` is the source of `medenv.kg`; import it by that name")

from medenv.kg.certificates.certificate import certify, search_rank, verify
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import Relation
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.kg.questions.own import OwnQuestions, read_own_questions
from medenv.kg.questions.production import produce
from medenv.kg.questions.store import leakage, read_questions, write_questions
from medenv.kg.sources.hpo import load_hpo
from medenv.kg.sources.toy import toy_graph, toy_questions

__all__ = [
    "Documents",
    "Graph",
    "GraphBuilder",
    "GraphInfo",
    "OwnQuestions",
    "QuestionGenerator",
    "QuestionSpec",
    "Relation",
    "certify",
    "leakage",
    "load_hpo",
    "produce",
    "read_own_questions",
    "read_questions",
    "search_rank",
    "toy_graph",
    "toy_questions",
    "verify",
    "write_questions",
]
