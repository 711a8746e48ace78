import pytest

from medenv.kg import GraphBuilder, GraphInfo
from medenv.kg.documents.naming import a_noun, called, mentions, nouns, titled, unfit
from medenv.text import joined, lowered


@pytest.mark.parametrize(
    ("kind", "name", "said", "with_kind"),
    [
        ("gene", "FBN1", "FBN1", "the gene FBN1"),
        ("disease", "Marfan syndrome", "Marfan syndrome", "Marfan syndrome"),
        ("disease", "Deafness, X-linked, 2", '"Deafness, X-linked, 2"', '"Deafness, X-linked, 2"'),
        ("disease", "Fever with rash", '"Fever with rash"', '"Fever with rash"'),
        ("phenotype", "Tall stature", '"Tall stature"', 'the finding "Tall stature"'),
        ("onset", "Adult onset", '"Adult onset"', "adult onset"),
        ("inheritance", "Sporadic", '"Sporadic"', 'the mode of inheritance "Sporadic"'),
        ("enzyme", "Lyase", '"Lyase"', 'the enzyme "Lyase"'),
    ],
)
def test_a_name_stands_in_quotation_marks_where_it_would_run_on(
    kind: str, name: str, said: str, with_kind: str
) -> None:
    builder = GraphBuilder(GraphInfo(source="one", version="1"))
    builder.node("X:1", kind=kind, name=name)
    graph = builder.build()
    assert titled(graph, 0) == said
    assert called(graph, 0) == with_kind


@pytest.mark.parametrize(
    ("kind", "one", "many"),
    [
        ("phenotype", "a finding", "findings"),
        ("onset", "an age of onset", "ages of onset"),
        ("inheritance", "a mode of inheritance", "modes of inheritance"),
        ("anatomy", "an anatomy", "anatomies"),
        ("assay", "an assay", "assays"),
        ("biological_process", "a biological process", "biological processes"),
    ],
)
def test_a_kind_has_an_article_and_a_plural(kind: str, one: str, many: str) -> None:
    assert (a_noun(kind), nouns(kind)) == (one, many)


def test_lists_and_lower_case_keep_to_english() -> None:
    assert (joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])) == (
        "a",
        "a and b",
        "a, b and c",
    )
    assert (lowered("Childhood onset"), lowered("X-linked")) == ("childhood onset", "X-linked")


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("Is it KCNQ2?", "kcnq2", True),
        ("a LAMB2-related disease", "LAMB2", True),
        ("KCNQ2B", "KCNQ2", False),
        ("it was so", "WAS", True),
        ("it wasn't", "wasn", True),
        ("Straße", "STRASSE", True),
        ("a (rare) fever", "(rare) fever", True),
        ("anything", "  ", False),
        ("It is Behcet disease.", "Behçet disease", True),
        ("It is Behc\u0327et disease.", "Behçet disease", True),
        ("It is BEHÇET disease.", "Behcet disease", True),
        ("Crohn’s disease", "Crohn's disease", True),
        ("Charcot–Marie–Tooth", "Charcot-Marie-Tooth", True),
        ("Mar\u200bfan syndrome", "Marfan syndrome", True),
        ("Behçets", "Behcet", False),
    ],
)
def test_a_name_is_mentioned_as_whole_words_in_any_form(text: str, name: str, found: bool) -> None:
    assert bool(mentions(text, [name])) is found


@pytest.mark.parametrize(
    "name", ["{Asthma}", "[Blood group]", "?Palsy", "Leukemia, ?x-linked", " ", "NCBIGene:7467"]
)
def test_catalogue_notation_is_unfit_for_a_question(name: str) -> None:
    assert unfit(name)
    assert not unfit("Parkinson disease 8, autosomal dominant (LRRK2)")
