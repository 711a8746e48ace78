"""Scripted policies: what they know, what they choose, and that the seed decides it."""

from __future__ import annotations

from collections import Counter

import pytest

from medenv.build.environment import make_parts
from medenv.errors import UsageError
from medenv.records import Scored
from medenv.rollouts.driver import Rollouts
from medenv.rollouts.policies import ScriptedPolicy, Teacher, Texts
from medenv.tools import Search, ToolBox
from medenv.trajectories.teachers import Guesser, Oracle, Wanderer

from ..fakes import ENTITIES, HERMES, NAMES, SEARCH, Shelf, exact, question, rules

BOX = ToolBox([Search(Shelf())])
ROLLOUTS = Rollouts(rules(BOX), BOX, exact)
ORACLE = Oracle(NAMES, HERMES)


def played(teacher: Teacher, i: int = 0) -> Scored:
    return ROLLOUTS.run(teacher.begin(question(), i), question())


def queries(scored: Scored) -> list[str]:
    return [call.arguments["query"] for turn in scored.trajectory.turns for call in turn.calls]


def test_the_oracle_searches_each_head_of_the_path_and_is_right() -> None:
    scored = played(ORACLE)
    assert queries(scored) == ["Ectopia lentis", "Marfan syndrome"]
    assert (scored.trajectory.answer, scored.score.total) == ("FBN1", 1.0)
    assert all(turn.parsed.thought == "" for turn in scored.trajectory.turns)


def test_the_oracle_can_think_aloud() -> None:
    turns = played(Oracle(NAMES, HERMES, thoughts=True)).trajectory.turns
    assert turns[0].parsed.thought == "I look up Ectopia lentis: phenotype of."
    assert turns[-1].parsed.thought == "The passages name it."
    assert turns[-1].parsed.answer == "FBN1"


def test_the_oracle_without_a_name_says_which() -> None:
    with pytest.raises(UsageError, match="no name is given for 'D:1'"):
        played(Oracle({"P:1": "Ectopia lentis"}, HERMES))


def test_the_oracle_solves_every_toy_question_with_every_hop_shown() -> None:
    parts = make_parts()
    names = {e.id: e.name for q in parts.questions for e in (q.topic, *q.answers)}
    corpus = parts.retriever.passages  # type: ignore[union-attr]  # the toy corpus is a BM25Retriever
    names |= {passage.entity: passage.title for passage in corpus}
    for asked in parts.questions:
        scored = parts.rollouts().run(Oracle(names, HERMES).begin(asked), asked)
        assert scored.score.parts["accuracy"].raw == 1.0
        results = [result for turn in scored.trajectory.turns for result in turn.results]
        shown = {passage for result in results for passage in result.passages}
        assert all(shown & set(hop.passages) for hop in asked.certificate.path)


def test_a_guess_is_a_single_turn_of_the_right_kind() -> None:
    guesses = Counter(played(Guesser(ENTITIES, HERMES), i).trajectory.answer for i in range(40))
    assert set(guesses) == {"FBN1", "CBS"}
    assert len(played(Guesser(ENTITIES, HERMES)).trajectory.turns) == 1


def test_without_candidates_of_the_kind_there_is_no_guess() -> None:
    diseases = [entity for entity in ENTITIES if entity.kind == "disease"]
    with pytest.raises(UsageError, match="no candidate is a gene, which question 'train:0' asks"):
        Guesser(diseases, HERMES).begin(question())


def ways(seed: int = 0, count: int = 60) -> dict[tuple[str, ...], set[str | None]]:
    """Queries made to the answers given after them, over many episodes."""
    seen: dict[tuple[str, ...], set[str | None]] = {}
    for i in range(count):
        scored = played(Wanderer(ORACLE, ENTITIES, seed=seed), i)
        seen.setdefault(tuple(queries(scored)), set()).add(scored.trajectory.answer)
    return seen


def test_a_wanderer_takes_detours_repeats_stops_early_and_errs() -> None:
    path = ("Ectopia lentis", "Marfan syndrome")
    seen = ways()
    detours = {("CBS", *path), ("FBN1", *path)}
    repeat = ("Ectopia lentis", *path)
    assert set(seen) == {*detours, repeat, path[:1], path}
    assert all(seen[way] == {"FBN1"} for way in (*detours, repeat))
    assert seen[path[:1]] == {"FBN1", "CBS"}
    assert seen[path] == {"CBS"}


@pytest.mark.parametrize(
    "teacher", [Guesser(ENTITIES, HERMES, seed=3), Wanderer(ORACLE, ENTITIES, seed=3)]
)
def test_every_choice_is_decided_by_seed_and_number(teacher: Teacher) -> None:
    def texts(i: int) -> list[str]:
        return [turn.text for turn in played(teacher, i).trajectory.turns]

    assert [texts(i) for i in range(9)] == [texts(i) for i in range(9)]
    assert len({tuple(texts(i)) for i in range(20)}) > 1


def test_a_script_that_is_over_repeats_its_last_text() -> None:
    policy = Texts([SEARCH]).begin(question())
    assert [policy.act([]) for _ in range(1)] == [SEARCH]
    assert policy.act([{"role": "tool", "content": ""}]) == SEARCH


def test_an_empty_script_writes_nothing() -> None:
    assert ScriptedPolicy(iter_nothing()).act([]) == ""


def iter_nothing():  # type: ignore[no-untyped-def]  # a generator that yields nothing
    return
    yield
