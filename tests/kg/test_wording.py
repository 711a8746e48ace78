import pytest

from medenv.errors import UnknownNameError
from medenv.kg import PATTERNS
from medenv.kg.questions.wording import WORDINGS, mentions, unfit, wordings


def test_every_pattern_has_at_least_three_phrasings_that_name_the_topic() -> None:
    assert set(WORDINGS) == set(PATTERNS)
    for pattern in PATTERNS:
        phrasings = wordings(pattern, "Odd {topic} name")
        assert len({text for _, text in phrasings}) == len(phrasings) >= 3
        assert all(text.count("Odd {topic} name") == 1 for _, text in phrasings)


def test_no_phrasing_claims_a_cause() -> None:
    for phrasings in WORDINGS.values():
        for text in phrasings:
            assert "caus" not in text
            assert "mutat" not in text


def test_an_unknown_pattern_has_no_phrasings() -> None:
    with pytest.raises(UnknownNameError, match="question pattern"):
        wordings("drug>gene", "x")


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
