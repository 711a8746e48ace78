"""What the two tools of every research environment show."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import CorpusUnavailableError, UsageError
from medenv.records import Passage, ToolCall, ToolResult
from medenv.tools import Read, Search, Tool, ToolBox

from ..fakes import PASSAGES, Shelf


def run(one: Tool, **arguments: Any) -> ToolResult:
    return ToolBox([one]).run(ToolCall(id="0.0", name=one.name, arguments=arguments))


def test_search_shows_the_best_passages_with_their_ids() -> None:
    found = run(Search(Shelf(), k=2), query="ectopia lentis")
    assert found.status == "ok"
    assert found.passages == ("D:1#0", "D:1#1")
    assert found.text.splitlines() == [
        "[1] (D:1#0) Marfan syndrome: Gene: FBN1. Findings: ectopia lentis.",
        "[2] (D:1#1) Marfan syndrome: Onset: any age.",
    ]


def test_a_passage_is_shown_with_the_rank_and_the_text_that_it_has_now() -> None:
    class Moving(Shelf):
        best: list[Passage]

        def search(self, queries: Any, k: int) -> Any:
            return [[(one, 1.0) for one in self.best] for _ in queries]

    one, two, three = (Passage(id=name, title=name.upper(), text="old") for name in "abc")
    renewed = Passage(id="a", title="A", text="new")
    shelf = Moving()
    search = Search(shelf, k=2)
    shown = []
    for shelf.best in ([one, two], [two, one], [two, renewed], [three], [one, two, three]):
        shown.append(run(search, query="x").text)
    assert shown == [
        "[1] (a) A: old\n[2] (b) B: old",
        "[1] (b) B: old\n[2] (a) A: old",
        "[1] (b) B: old\n[2] (a) A: new",
        "[1] (c) C: old",
        "[1] (a) A: old\n[2] (b) B: old",  # no more than asked for, though three came
    ]


def test_search_without_ids_shows_titles_alone() -> None:
    found = run(Search(Shelf(), k=1, show_ids=False), query="x")
    assert found.text.startswith("[1] Marfan syndrome: Gene")
    assert found.passages == ("D:1#0",)


@given(st.text("ab \n", min_size=1, max_size=60), st.integers(1, 30))
def test_a_snippet_is_one_line_of_bounded_length(text: str, limit: int) -> None:
    shelf = Shelf([Passage(id="a", title="T", text=text)])
    line = run(Search(shelf, snippet_chars=limit, show_ids=False), query="x").text
    assert "\n" not in line
    assert len(line) <= len("[1] T: ") + limit + 1
    assert ("…" in line) == (len(text) > limit)


def test_a_long_text_is_cut_between_words() -> None:
    shelf = Shelf([Passage(id="a", title="T", text="alpha beta gamma")])
    assert run(Search(shelf, snippet_chars=13), query="x").text == "[1] (a) T: alpha beta…"


def test_nothing_found_is_empty_and_an_empty_query_is_refused() -> None:
    assert run(Search(Shelf([])), query="x").status == "empty"
    refused = run(Search(Shelf()), query=" \n")
    assert (refused.status, refused.text) == (
        "bad_call",
        "the query is empty: write words to look for",
    )


def test_an_unreachable_corpus_is_unavailable_not_empty() -> None:
    class Away(Shelf):
        def search(self, queries: Any, k: int) -> Any:
            raise CorpusUnavailableError("connection refused")

    with pytest.raises(CorpusUnavailableError, match="connection refused"):
        run(Search(Away()), query="x")


def test_read_shows_the_document_from_the_passage_on() -> None:
    read = run(Read(Shelf()), passage_id="D:1#0")
    assert read.text == f"Marfan syndrome: {PASSAGES[0].text}\n{PASSAGES[1].text}"
    assert read.passages == ("D:1#0", "D:1#1")
    assert run(Read(Shelf()), passage_id="D:1#1").passages == ("D:1#1",)


def test_windows_put_together_are_the_document() -> None:
    whole = f"{PASSAGES[0].text}\n{PASSAGES[1].text}"
    shown, start = "", 0
    for _ in range(20):
        read = run(Read(Shelf(), window_chars=10), passage_id="D:1#0", start=start)
        window, tail, _ = read.text.removeprefix("Marfan syndrome: ").partition("\n… (")
        shown += window
        start += 10
        if not tail:
            break
        assert read.text.endswith(f"\n… (it goes on: start={start})")
    assert shown.replace("\n", "") == whole.replace("\n", "")


def test_only_passages_that_were_shown_are_named() -> None:
    shown = len(PASSAGES[0].text)
    read = run(Read(Shelf(), window_chars=shown), passage_id="D:1#0")
    assert read.passages == ("D:1#0",)
    assert run(Read(Shelf(), window_chars=shown - 1), passage_id="D:1#0").passages == ()


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ({"passage_id": "D:9#0"}, "bad_call", "there is no passage 'D:9#0': use an id"),
        ({"passage_id": "D:1#0", "start": -1}, "bad_call", "start must be 0 or more, got -1"),
        ({"passage_id": "D:1#0", "start": 999}, "empty", "ends before character 999"),
    ],
    ids=["unknown", "negative", "beyond"],
)
def test_a_wrong_reading_is_told(arguments: dict[str, Any], status: str, told: str) -> None:
    read = run(Read(Shelf()), **arguments)
    assert read.status == status
    assert told in read.text


def test_a_passage_without_a_number_is_its_own_document() -> None:
    shelf = Shelf([Passage(id="note", title="Note", text="alone")])
    assert run(Read(shelf), passage_id="note").text == "Note: alone"


@pytest.mark.parametrize("make", [Search, Read])
def test_impossible_sizes_are_refused(make: Any) -> None:
    wrong = {"k": 0} if make is Search else {"window_chars": 0}
    with pytest.raises(UsageError, match=r"must be at least 1, got 0"):
        make(Shelf(), **wrong)


DECOMPOSED = "Ménière disease: vertigo.  Also: Straße, Behçet."


@pytest.mark.parametrize(
    ("find", "word"),
    [
        ("Ménière", "M"),
        ("meniere DISEASE:", "M"),
        ("me\u0301nie\u0300re", "M"),
        ("Vertigo. also", "verti"),
        ("STRASSE", "Stra"),
        ("Behcet", "Beh"),
        ("rtigo", "rtigo"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_words_are_found_however_they_are_spelled(form: Any, find: str, word: str) -> None:
    text = "α" * 99 + " " + unicodedata.normalize(form, DECOMPOSED) + " " + "ω" * 99
    shelf = Shelf([Passage(id="d", title="D", text=text)])
    read = run(Read(shelf, window_chars=8), passage_id="d", find=find)
    assert read.status == "ok"
    assert read.text.removeprefix("D: ")[2:].startswith(word)  # a quarter of the window before
    beyond = text.index(word, 100) + 1
    assert run(Read(shelf), passage_id="d", find=find, start=beyond).status == "empty"


@pytest.mark.parametrize(
    ("text", "find"),
    [
        ("a " * 200_000, "a " * 200 + "b"),
        ("é  " * 100_000, "e " * 200 + "b"),
        ("a" * 500_000, "a" * 400 + "b"),
        (" " * 500_000, "a"),
        ("word", "\u200b"),
    ],
    ids=["words", "accents", "letters", "spaces", "invisible"],
)
def test_words_that_a_long_text_lacks_are_not_found(text: str, find: str) -> None:
    shelf = Shelf([Passage(id="d", title="D", text=text)])
    assert run(Read(shelf), passage_id="d", find=find).status == "empty"


def test_a_query_that_is_too_long_is_refused_and_a_long_one_not_shown_whole() -> None:
    for query in ("x" * 2001, ["y", "x" * 100_000]):
        refused = run(Search(Shelf()), query=query)
        assert refused.status == "bad_call"
        assert "at most 2000 characters" in refused.text
    found = run(Search(Shelf([])), query=["x" * 2000, "y"])
    assert found.status == "empty"
    assert len(found.text) < 500


def test_several_queries_are_answered_in_one_call() -> None:
    found = run(Search(Shelf(), k=1), query=["eye", "heart"])
    line = "[1] (D:1#0) Marfan syndrome: Gene: FBN1. Findings: ectopia lentis."
    assert found.text == f'"eye":\n{line}\n\n"heart":\n{line}'
    assert found.passages == ("D:1#0",)
    assert run(Search(Shelf(), k=1), query=["eye"]).text == line


@pytest.mark.parametrize(
    ("query", "told"),
    [([], "the query is empty"), (["eye", " "], "the query is empty"), (["a"] * 9, "at most 8")],
    ids=["none", "blank", "many"],
)
def test_wrong_lists_of_queries_are_told(query: list[str], told: str) -> None:
    refused = run(Search(Shelf()), query=query)
    assert refused.status == "bad_call"
    assert told in refused.text


def test_words_are_found_in_a_document_across_its_passages() -> None:
    text = "x" * 50 + " Onset:\n any age. " + "y" * 150
    shelf = Shelf(
        [Passage(id="d#0", title="D", text="a" * 30), Passage(id="d#1", title="D", text=text)]
    )
    read = run(Read(shelf, window_chars=120), passage_id="d#0", find="onset: ANY")
    assert "Onset:" in read.text
    assert read.passages == ("d#1",)
    missing = run(Read(shelf), passage_id="d#0", find="onset", start=90)
    assert (missing.status, missing.text) == (
        "empty",
        "'onset' does not occur at or after character 90",
    )


def test_queries_of_one_call_share_one_numbering_in_the_order_of_the_passages() -> None:
    class Two:
        def __init__(self) -> None:
            self.best = {"a": [PASSAGES[0], PASSAGES[1]], "b": [PASSAGES[1], PASSAGES[0]]}

        def search(self, queries: Any, k: int) -> Any:
            return [[(one, 1.0) for one in self.best.get(query, [])] for query in queries]

        def get(self, passage_id: str) -> None:
            return None

    found = run(Search(Two(), k=1), query=["a", "none", "b", "a"])
    assert found.passages == (PASSAGES[0].id, PASSAGES[1].id)
    assert found.numbered
    numbers = re.findall(r"^\[(\d)\] \(([^)]*)\)", found.text, re.MULTILINE)
    assert numbers == [("1", PASSAGES[0].id), ("2", PASSAGES[1].id), ("1", PASSAGES[0].id)]
    assert run(Search(Two(), k=1), query=["none", "none"]).status == "empty"


@pytest.mark.parametrize(
    ("size", "start", "shown"),
    [
        (300, 0, True),
        (300, 200, True),  # the last hundred characters
        (300, 201, False),
        (300, 299, False),  # one character
        (60, 0, True),  # all that it has
        (60, 1, False),
    ],
)
def test_a_passage_counts_as_shown_where_enough_of_it_was(
    size: int, start: int, shown: bool
) -> None:
    shelf = Shelf([Passage(id="d#0", title="D", text="a" * size)])
    read = run(Read(shelf), passage_id="d#0", start=start)
    assert (read.status, read.passages) == ("ok", ("d#0",) if shown else ())
    assert not read.numbered


def test_a_window_that_ends_in_a_passage_shows_only_what_is_before_it() -> None:
    shelf = Shelf(
        [Passage(id="d#0", title="D", text="a" * 200), Passage(id="d#1", title="D", text="b" * 200)]
    )
    assert run(Read(shelf, window_chars=202), passage_id="d#0").passages == ("d#0",)
    assert run(Read(shelf, window_chars=302), passage_id="d#0").passages == ("d#0", "d#1")
