"""The medical search: relevance and authority, filters, and age."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from medenv.errors import UsageError
from medenv.records import Passage, ToolCall, ToolResult
from medenv.retrieval.bm25 import BM25Retriever
from medenv.tools import Tool, ToolBox
from medenv.tools.med_search import TIERS, UNKNOWN_TIER, MedSearch

SOURCES = ["Some web page 2024", "HPO 2025-01-16", "PubMed 2009", "Clinical guideline 2001", "?"]
PASSAGES = [
    Passage(id=f"P:{i}#0", title=f"T{i}", text="text", source=source)
    for i, source in enumerate(SOURCES)
]


class Ranked:
    """A retriever whose i-th passage has the score 10 - 2 i, and knows what it was asked for."""

    def __init__(self, passages: Sequence[Passage] = PASSAGES) -> None:
        self.passages = list(passages)
        self.asked: list[int] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        self.asked.append(k)
        scored = [(one, max(10.0 - 2 * i, 0.1)) for i, one in enumerate(self.passages)]
        return [scored[:k] for _ in queries]

    def get(self, passage_id: str) -> Passage | None:
        return None


def run(one: Tool, **arguments: Any) -> ToolResult:
    return ToolBox([one]).run(ToolCall(id="0.0", name=one.name, arguments=arguments))


@pytest.mark.parametrize("weight", [1.0, 0.7, 0.5, 0.0])
def test_the_order_is_that_of_the_weighted_sum(weight: float) -> None:
    authority = [TIERS["web"], TIERS["hpo"], TIERS["pubmed"], TIERS["guideline"], UNKNOWN_TIER]
    relevance = [1.0, 0.8, 0.6, 0.4, 0.2]
    total = {
        f"P:{i}#0": weight * relevance[i] + (1 - weight) * authority[i] for i in range(len(SOURCES))
    }
    found = run(MedSearch(Ranked(), weight=weight), query="x")
    assert list(found.passages) == sorted(total, key=lambda one: (-total[one], one))
    assert found.text.startswith(f"[1] ({found.passages[0]}) T")


def test_age_halves_authority() -> None:
    tool = MedSearch(Ranked(), half_life=8.0, as_of=2025)
    assert tool.authority(PASSAGES[1]) == TIERS["hpo"]
    assert tool.authority(PASSAGES[2]) == pytest.approx(TIERS["pubmed"] / 4)
    assert tool.authority(PASSAGES[4]) == pytest.approx(UNKNOWN_TIER / 2)


def test_sources_can_be_chosen_and_are_searched_for_far_down() -> None:
    many = [Passage(id=f"W:{i:03}#0", title="t", text="t", source="web") for i in range(300)]
    retriever = Ranked([*many, PASSAGES[1]])
    found = run(MedSearch(retriever, k=2), query="x", sources=["HPO", "guideline"])
    assert found.passages == ("P:1#0",)
    assert retriever.asked[-1] > 300
    assert run(MedSearch(Ranked()), query="x", sources=["nothing"]).status == "empty"


@pytest.mark.parametrize("query", [" ", "x" * 2001], ids=["empty", "long"])
def test_an_empty_query_and_one_that_is_too_long_are_refused(query: str) -> None:
    assert run(MedSearch(Ranked()), query=query).status == "bad_call"


@pytest.mark.parametrize("wrong", [{"k": 0}, {"weight": 1.1}, {"half_life": 0.0}], ids=str)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"k >= 1, a weight in \[0, 1\] and a half_life above 0"):
        MedSearch(Ranked(), **wrong)
    with pytest.raises(UsageError, match="tiers are in"):
        MedSearch(Ranked(), tiers={"web": 2.0})


def test_sources_are_named_in_any_spelling_and_not_too_many_at_once() -> None:
    named = Passage(id="S:1#0", title="t", text="t", source="Société Française, guideline")
    found = run(MedSearch(Ranked([*PASSAGES, named])), query="x", sources=["SOCIETE FRANCAISE"])
    assert found.passages == ("S:1#0",)
    refused = run(MedSearch(Ranked()), query="x", sources=["a"] * 10_000)
    assert refused.status == "bad_call"
    assert "at most 16 sources" in refused.text


def test_the_kind_of_source_and_the_date_count_before_its_name() -> None:
    kinds = ("consumer", "guideline", "curated")
    passages = [
        Passage(id=kind, title="Dose", text="warfarin dose", source="Web 1999", evidence=kind)
        for kind in kinds
    ]
    dated = Passage(
        id="dated",
        title="Dose",
        text="warfarin dose",
        source="Web 1999",
        evidence="guideline",
        date="2016-05",
    )
    tool = MedSearch(BM25Retriever([*passages, dated]), half_life=10.0, as_of=2026)
    authority = {p.id: tool.authority(p) for p in (*passages, dated)}
    assert authority["dated"] == pytest.approx(0.5)
    assert authority["consumer"] < authority["curated"] < authority["guideline"]
    assert authority["guideline"] == pytest.approx(0.5**2.7)
    out = tool.call("warfarin dose")
    assert out.passages == ("dated", "guideline", "curated", "consumer")
    assert out.text.splitlines()[0].endswith("[Web 1999, guideline, 2016-05]")
    assert tool.call("warfarin", ["Curated"]).passages == ("curated",)
