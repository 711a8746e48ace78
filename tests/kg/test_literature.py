"""Facts that sentences of the literature state, and the questions of them."""

import gzip
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo, read_questions, verify
from medenv.kg.graph.literature import Reader, document_of
from medenv.kg.graph.schema import HAS_GENE, HAS_PHENOTYPE, IS_A
from medenv.kg.questions.drafts import Rejected
from medenv.kg.questions.families import has_data
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.kg.questions.overlap import overlap_of_sets
from medenv.kg.sources.bioasq import with_bioasq
from medenv.records import Passage, Question

DISEASES = ("Zeta fever", "Omega fever", "Kappa palsy", "Sigma palsy")
DRUGS = ("zolanib", "omelimab", "kapitor", "sigmacil")
GENES = ("ZTA1", "OMG2", "KPA3", "SGM4")
STATES = {
    "1": "Zolanib is approved for the treatment of Zeta fever.",
    "2": "Kappa palsy is treated with kapitor.",
    "3": "Zolanib is a selective ZTA1 inhibitor.",
}
REFUSED = (
    "Omelimab may be approved for the treatment of Omega fever.",
    "Omelimab is not approved for the treatment of Omega fever.",
    "Sigmacil is effective for the treatment of Sigma palsy in mice.",
    "Whether sigmacil is used for the treatment of Sigma palsy is studied.",
    "Sigmacil is approved for the treatment of Sigma palsy-like weakness.",
    "Sigmacil is a SGM4 receptor antagonist compared with omelimab.",
)


@pytest.fixture(scope="module")
def bare() -> Graph:
    builder = GraphBuilder(GraphInfo(source="invented", version="1", rendering="sentences"))
    for kind, names in (("disease", DISEASES), ("drug", DRUGS), ("gene", GENES)):
        for number, name in enumerate(names):
            builder.node(f"{kind[:2].upper()}:{number}", kind=kind, name=name)
    builder.relation(HAS_GENE)
    for number in range(4):
        builder.edge(f"DI:{number}", HAS_GENE.name, f"GE:{number}")
    return builder.build()


@pytest.fixture(scope="module")
def snippets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bioasq") / "bioasq_snippets.jsonl.gz"
    rows = [{"pmid": pmid, "passages": [text]} for pmid, text in STATES.items()]
    rows.append({"pmid": "9", "passages": list(REFUSED)})
    with gzip.open(path, "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def graph(bare: Graph, snippets: Path) -> Graph:
    made, counts = with_bioasq(bare, path=snippets)
    assert counts["BioASQ: facts that a sentence states"] == len(STATES)
    return made


def made(graph: Graph) -> list[Question]:
    spec = QuestionSpec(
        kinds={"literature": 1}, rare_percent=100, test_share=0.4, min_degree=1, levels=(0,)
    )
    generator, questions = QuestionGenerator(Documents(graph), spec), []
    for i in range(200):
        try:
            questions.append(generator.attempt("train", i))
        except Rejected:
            continue
    return questions


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_hedged_negated_or_animal_sentence_states_nothing(bare: Graph, sentence: str) -> None:
    assert Reader(bare).read(sentence).stated == frozenset()


def test_a_pair_that_is_only_named_counts_as_one_more(bare: Graph) -> None:
    reading = Reader(bare).read(REFUSED[0])
    head, tail = bare.number("DI:1"), bare.number("DR:1")
    assert ("reported_treatment", head, tail) in reading.named


def test_questions_are_proved_by_the_passages_that_name_both_ends(graph: Graph) -> None:
    assert has_data(graph, "literature")
    texts = {passage.id: passage for passage in Documents(graph).passages}
    questions = made(graph)
    assert questions
    for question in questions:
        assert verify(question, graph) == []
        assert "PubMed" in question.text
        last = question.path[-1]
        for passage in last.passages:
            assert texts[passage].source in {f"PubMed {pmid}" for pmid in STATES}
            for end in (last.head, last.tail):
                assert graph.entity(graph.number(end)).name.lower() in texts[passage].text.lower()


def test_the_commands_make_prove_and_teach_them(tmp_path: Path) -> None:
    builder = GraphBuilder(GraphInfo(source="invented", version="1", rendering="sentences"))
    for relation in (HAS_GENE, HAS_PHENOTYPE, IS_A):
        builder.relation(relation)
    builder.node("HP:0", kind="phenotype", name="Any sign")
    rows = []
    for number, (first, last) in enumerate(itertools.product("bdfgklmpstvz", "ai")):
        word = f"{first}o{last}mel"
        builder.node(f"DI:{number}", kind="disease", name=f"{word}na fever")
        builder.node(f"DR:{number}", kind="drug", name=f"{word}kitor")
        builder.node(f"GE:{number}", kind="gene", name=f"{word.upper()}{number}")
        builder.node(f"HP:{number + 1}", kind="phenotype", name=f"Sign of {word}lus")
        builder.edge(f"DI:{number}", HAS_GENE.name, f"GE:{number}")
        builder.edge(f"DI:{number}", HAS_PHENOTYPE.name, f"HP:{number + 1}")
        builder.edge(f"HP:{number + 1}", IS_A.name, "HP:0")
        treats = f"{word}kitor is approved for the treatment of {word}na fever."
        targets = f"{word}kitor is a selective {word.upper()}{number} inhibitor."
        rows += [{"pmid": f"{number}{n}", "passages": [t]} for n, t in enumerate((treats, targets))]
    passages = tmp_path / "s.jsonl"
    passages.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with_bioasq(builder.build(), path=passages)[0].save(tmp_path / "graph")

    def ran(*given: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "medenv.cli", *given],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join(done.stdout.split())

    root = f"root={tmp_path}"
    weights = "{literature: 1, rare_chains: 0, comparison: 0}"
    ran(
        *("synthesize", "graph=saved", f"graph.path={tmp_path / 'graph'}", root, "n=6"),
        *("questions=mixed", f"questions.kinds={weights}", "questions.n_test=2"),
        *("questions.levels=[0]", "questions.rare_percent=100", "questions.min_degree=1"),
    )
    folder = tmp_path / "questions-saved-mixed-0"
    walked = {hop.relation for one in read_questions(folder / "train.jsonl") for hop in one.path}
    assert walked & {"reported_treatment", "reported_to_treat", "reported_to_target"}
    assert "8 questions, searched, 0 problems" in ran("questions", "verify", str(folder))
    assert "0 leaks" in ran("trajectories", f"questions={folder}", root, "n=4")


def test_a_graph_without_literature_has_no_such_family(bare: Graph) -> None:
    assert not has_data(bare, "literature")


def test_documents_of_questions_held_out_are_not_read(
    bare: Graph, snippets: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "questions.jsonl"
    asked.write_text(json.dumps({"id": "q", "question": "?", "pmids": ["1", 9]}) + "\n")
    kept, counts = with_bioasq(bare, asked, snippets)
    assert counts["BioASQ: passages held out, not read"] == 1 + len(REFUSED)
    assert {prose.source for prose in kept.prose} == {"PubMed 2", "PubMed 3"}


def test_a_benchmarks_passages_are_found_in_the_corpus_of_a_set(graph: Graph) -> None:
    given = [Passage(id="b#1", title="", text=STATES["1"].upper())]
    given.append(Passage(id="b#2", title="", text="Nothing of the kind."))
    corpus = Documents(graph).passages
    asked = made(graph)
    found = overlap_of_sets(asked, asked, corpus, given=given)
    assert (found.given, found.shared_passages) == (2, 1)


def test_an_id_names_the_document() -> None:
    assert document_of("BIOASQ:10026129#3") == "10026129"


def test_the_real_passages_state_facts(bare: Graph) -> None:
    folder = os.environ.get("MEDENV_DATA")
    path = Path(folder or "") / "bioasq_snippets.jsonl.gz"
    if not folder or not path.is_file():
        pytest.skip("MEDENV_DATA names no folder with bioasq_snippets.jsonl.gz")
    builder = GraphBuilder(GraphInfo(source="two", version="1", rendering="sentences"))
    builder.node("R:1", kind="drug", name="pexidartinib")
    builder.node("G:1", kind="gene", name="CSF1R")
    _, counts = with_bioasq(builder.build(), path=path)
    assert counts["BioASQ: facts that a sentence states"] == 1
