"""A knowledge graph of invented diseases, for tests and for a first look without any download.

Every name is made up. It has what makes real graphs hard: a hub that everyone reports, a disease
with two genes, a gene with two diseases, a finding whose subtypes are reported elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple

from medenv.kg.documents import Documents
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import ATTRIBUTES, HAS_GENE, IS_A, QUALIFIERS
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.kg.questions.production import produce
from medenv.kg.questions.walks import WALKS
from medenv.records import Question

_TERMS = {
    "TOY:I1": ("inheritance", "Autosomal dominant inheritance", "", (), ""),
    "TOY:I2": ("inheritance", "Autosomal recessive inheritance", "", (), ""),
    "TOY:O1": ("onset", "Childhood onset", "", (), ""),
    "TOY:O2": ("onset", "Adult onset", "", (), ""),
    "TOY:P01": ("phenotype", "Abnormal gait", "", (), "Any departure from the usual way to walk."),
    "TOY:P02": ("phenotype", "Backward-leaning gait", "TOY:P01", ("Leaning walk",), ""),
    "TOY:P03": ("phenotype", "Abnormal nail colour", "", (), "Nails of any unusual colour."),
    "TOY:P04": ("phenotype", "Blue-banded nails", "TOY:P03", ("Nails with blue bands",), ""),
    "TOY:P05": ("phenotype", "Green-banded nails", "TOY:P03", (), ""),
    "TOY:P06": ("phenotype", "Seasonal hoarseness", "", (), "Hoarseness in one season each year."),
    "TOY:P07": ("phenotype", "Metallic taste on waking", "", (), ""),
    "TOY:P08": ("phenotype", "Persistent tiredness", "", ("Fatigue",), ""),
    "TOY:P09": ("phenotype", "Cold-induced drowsiness", "", (), "Drowsiness brought on by cold."),
    "TOY:P10": ("phenotype", "Ringing in one ear", "", ("One-sided tinnitus",), ""),
    "TOY:P11": ("phenotype", "Copper-coloured freckles", "", (), ""),
    "TOY:P12": ("phenotype", "Excess of tears at night", "", (), ""),
}
"""Id to kind, name, parent, synonyms, definition."""

_DISEASES = {
    "TOY:D1": ("Marrow Bay syndrome", "QUAB1", "I1 O1", "P02 P08"),
    "TOY:D2": ("Alder fever, familial, 1", "LOMX2", "I1 O2", "P04 P08"),
    "TOY:D3": ("Alder fever, familial, 2", "TREV3", "I2 O2", "P05 P08 P12"),
    "TOY:D4": ("Tolman-Reyes disease", "FENA1", "I2 O1", "P06 P08 P12"),
    "TOY:D5": ("Glass tendon disease", "ZORI4 MIBB1", "I1", "P07 P08"),
    "TOY:D6": ("Night lake syndrome", "ZORI4", "I2 O1", "P11"),
    "TOY:D7": ("Pale harbour anaemia", "PLYX9", "I1 O2", "P08 P09"),
    "TOY:D8": ("Hollow reed dystrophy", "DRUN5", "I2 O1", "P08 P10"),
    "TOY:D9": ("Quiet field neuropathy", "", "O2", "P03 P08"),
}
"""Id to name, gene symbols, inheritance and onset, findings."""


def toy_graph() -> Graph:
    """Return the toy graph: 33 nodes, the same at every call."""
    builder = GraphBuilder(
        GraphInfo(source="medenv toy", version="1", licence="Apache-2.0; every name is invented")
    )
    for relation in (IS_A, HAS_GENE):
        builder.relation(relation)
    for relation in ATTRIBUTES.values():
        builder.relation(relation, QUALIFIERS)
    for term_id, (kind, name, _, synonyms, text) in _TERMS.items():
        builder.node(term_id, kind=kind, name=name, aliases=synonyms, text=text)
    for term_id, (_, _, parent, _, _) in _TERMS.items():
        if parent:
            builder.edge(term_id, IS_A.name, parent)
    for disease_id, (name, symbols, attributes, findings) in _DISEASES.items():
        builder.node(disease_id, kind="disease", name=name)
        for symbol in symbols.split():
            if f"TOYGENE:{symbol}" not in builder:
                builder.node(f"TOYGENE:{symbol}", kind="gene", name=symbol)
            builder.edge(disease_id, HAS_GENE.name, f"TOYGENE:{symbol}")
        for number, code in enumerate((attributes + " " + findings).split()):
            term_id = f"TOY:{code}"
            frequency = f"{9 - number}/10" if code.startswith("P") else ""
            values = (frequency, "", "TAS", disease_id, "", "")
            builder.edge(disease_id, ATTRIBUTES[builder.kind(term_id)].name, term_id, values)
    return builder.build()


class ToyQuestions(NamedTuple):
    """Questions about the toy graph.

    Args:
        train: Training questions.
        test: Test questions; no path of theirs shares an entity with one of a training question.
    """

    train: tuple[Question, ...]
    test: tuple[Question, ...]


def toy_questions(n_train: int = 16, n_test: int = 6, seed: int = 0) -> ToyQuestions:
    """Return short walks of all kinds about the toy graph.

    Args:
        n_train: Number of training questions.
        n_test: Number of test questions.
        seed: Seed of the choice.

    Raises:
        UsageError: The toy graph does not hold that many.
    """
    spec = QuestionSpec(kinds=dict.fromkeys(WALKS, 1), test_share=0.35)
    generator = QuestionGenerator(Documents(toy_graph()), spec, seed)
    return ToyQuestions(
        produce(generator, "train", n_train).questions, produce(generator, "test", n_test).questions
    )
