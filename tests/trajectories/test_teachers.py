"""Scripted teachers find what they answer, say only what they saw, and depend on seeds alone."""

import itertools

import msgspec
import numpy as np
import pytest

from medenv.build.environment import DIALECTS, make_parts
from medenv.errors import UnknownNameError, UsageError
from medenv.kg import toy_graph
from medenv.records import Scored
from medenv.rollouts.driver import Rollouts
from medenv.trajectories.faults import FAILED, faulty_box
from medenv.trajectories.leaks import leaks
from medenv.trajectories.lexicon import OCCASIONS, Words
from medenv.trajectories.revealed import RevealedEntities, is_symbol, names
from medenv.trajectories.run import Stage
from medenv.trajectories.sft import grounded
from medenv.trajectories.teachers import Explorer, Hasty, Thinker


def played(
    stage: Stage, kind: type[Thinker], i: int, rate: float = 0.0, **options: object
) -> Scored:
    parts = stage.parts
    teacher = kind(stage.graph, parts.rules.dialect, parts.toolbox.tools, seed=3, **options)
    question = parts.questions[i % len(parts.questions)]
    box, _ = faulty_box(parts.toolbox.tools.values(), rate, i)
    return Rollouts(parts.rules, box, parts.reward).run(teacher.begin(question, i), question, i)


def texts(scored: Scored) -> list[str]:
    return [turn.text for turn in scored.trajectory.turns]


def test_the_thinker_is_right_and_has_seen_why(stage: Stage) -> None:
    for i in range(len(stage.parts.questions)):
        scored = played(stage, Thinker, i)
        assert scored.score.total == 1.0, texts(scored)
        if scored.trajectory.question.answers[0].kind != "value":
            assert grounded(scored.trajectory)


def test_every_turn_of_it_has_a_thought_and_one_call_or_the_answer(stage: Stage) -> None:
    for i in range(8):
        *turns, last = played(stage, Explorer, i).trajectory.turns
        assert all(turn.parsed.thought and len(turn.calls) == 1 for turn in turns)
        assert last.parsed.thought
        assert last.parsed.answer


@pytest.mark.parametrize("kind", [Thinker, Explorer, Hasty])
def test_a_name_is_said_only_after_it_was_seen(stage: Stage, kind: type[Thinker]) -> None:
    for i in range(40):
        trajectory = played(stage, kind, i, rate=0.2).trajectory
        assert leaks(trajectory, stage.names) == []


@pytest.mark.parametrize("kind", [Thinker, Explorer, Hasty])
def test_seed_and_number_decide_every_word(stage: Stage, kind: type[Thinker]) -> None:
    first = [texts(played(stage, kind, i, rate=0.2)) for i in range(12)]
    assert first == [texts(played(stage, kind, i, rate=0.2)) for i in range(12)]
    n = len(stage.parts.questions)
    assert any(texts(played(stage, kind, i)) != texts(played(stage, kind, i + n)) for i in range(n))


def test_without_thoughts_only_calls_and_the_answer_are_written(stage: Stage) -> None:
    scored = played(stage, Thinker, 0, thoughts=False)
    assert scored.score.total == 1.0
    assert not any(turn.parsed.thought for turn in scored.trajectory.turns)


def test_the_explorer_turns_wrong_more_often_than_the_thinker_and_is_right_all_the_same(
    stage: Stage,
) -> None:
    n = len(stage.parts.questions)
    thinking = [played(stage, Thinker, i) for i in range(n)]
    exploring = [played(stage, Explorer, i) for i in range(n)]
    assert all(one.score.total == 1.0 for one in exploring)

    def calls(scored: list[Scored]) -> int:
        return sum(len(turn.calls) for one in scored for turn in one.trajectory.turns)

    assert calls(exploring) > calls(thinking) + n // 2
    refused = [r for one in exploring for t in one.trajectory.turns for r in t.results]
    assert any(result.status == "bad_call" for result in refused)


def test_the_explorer_uses_general_and_medical_tools(stage: Stage) -> None:
    turns = [t for i in range(30) for t in played(stage, Explorer, i, rate=0.1).trajectory.turns]
    called = {call.name for turn in turns for call in turn.calls}
    assert {"search", "med_search", "read"} <= called


def test_a_call_that_fails_is_made_again_or_replaced(stage: Stage) -> None:
    recovered = 0
    for i in range(60):
        scored = played(stage, Thinker, i, rate=0.3)
        turns = scored.trajectory.turns
        failed = [at for at, turn in enumerate(turns) if FAILED in turn.observation]
        for at in failed:
            assert len(turns) > at + 1
            assert turns[at + 1].parsed.calls or turns[at + 1].parsed.answer
        recovered += bool(failed) and scored.score.total == 1.0
    assert recovered > 10


def test_the_foil_stops_early_and_is_wrong(stage: Stage) -> None:
    for i in range(20):
        scored = played(stage, Hasty, i)
        assert len(scored.trajectory.turns) == 2
        assert scored.score.total == 0.0


def test_a_teacher_without_a_search_is_refused() -> None:
    from medenv.dialects import Hermes

    with pytest.raises(UsageError, match="needs search or med_search, got"):
        Thinker(toy_graph(), Hermes(), ["read"])


def test_wordings_differ_from_the_last_one_and_an_unknown_occasion_is_answered() -> None:
    words = Words(np.random.default_rng(0))
    said = [words.say("not_found") for _ in range(50)]
    assert set(said) == set(OCCASIONS["not_found"])
    assert all(one != other for one, other in itertools.pairwise(said))
    with pytest.raises(UnknownNameError, match="unknown occasion 'found it'; did you mean 'found'"):
        words.say("found it")


def test_no_wording_speaks_of_guidance_or_masks() -> None:
    for occasion, wordings in OCCASIONS.items():
        for wording in wordings:
            assert "mask" not in wording.lower(), occasion
            assert "[" not in wording


def test_revealed_joins_names_within_one_result_and_reads_documents_as_one() -> None:
    revealed = RevealedEntities("Which gene?")
    revealed.see("[1] (D:1#0) Marfan syndrome: Gene: FBN1.\n[2] (D:2#1) Homocystinuria: Gene: CBS.")
    assert revealed.joins("Marfan syndrome", "FBN1")
    assert not revealed.joins("Marfan syndrome", "CBS")
    assert (revealed.passage_of("D:2"), revealed.passage_of("D:3")) == ("D:2#1", "")
    revealed.see("Long text:\nMarfan syndrome\nCBS", as_one=True)
    assert revealed.joins("Marfan syndrome", "CBS")


def test_symbols_are_told_from_words_by_their_case() -> None:
    assert is_symbol("REST")
    assert not names("take a rest", "REST")
    assert names("the gene REST.", "REST")
    assert names("MARFAN Syndrome", "Marfan syndrome")
    assert names("Behc\u0327et disease", "Behçet disease")
    assert names("Behcet disease", "Behçet disease")
    assert names("the gene ＲＥＳＴ.", "REST")
    assert not names("Marfan syndrome 12", "Marfan syndrome 1")


def test_faults_are_told_to_the_agent_and_are_the_same_whenever_the_box_is_made(
    stage: Stage,
) -> None:
    def run() -> tuple[list[str], list[str]]:
        from medenv.records import ToolCall

        box, tools = faulty_box(stage.parts.toolbox.tools.values(), 0.6, seed=5)
        seen = [
            box.run(ToolCall(id="0.0", name="search", arguments={"query": f"gait {n}"})).text
            for n in range(20)
        ]
        return seen, [event for tool in tools for event in tool.events]

    seen, events = run()
    assert (seen, events) == run()
    assert sum(FAILED in text for text in seen) == sum(
        event.kind in ("error", "timeout") for event in events
    )
    assert {event.tool for event in events} == {"search"}
    assert {event.kind for event in events} == {"error", "timeout", "truncated", "irrelevant"}
    assert len(events) > 5


def test_a_trajectory_survives_the_disk(stage: Stage) -> None:
    scored = played(stage, Explorer, 1, rate=0.2)
    assert msgspec.json.decode(msgspec.json.encode(scored), type=Scored) == scored


@pytest.mark.parametrize("name", DIALECTS.names())
def test_teachers_write_in_every_dialect(name: str) -> None:
    graph = toy_graph()
    parts = make_parts(dialect=name, tools=("search", "med_search"), budget={"turns": 30})
    teacher = Explorer(graph, parts.rules.dialect, parts.toolbox.tools)
    nodes = graph.nodes
    named = {
        one: (own, *aliases)
        for one, own, aliases in zip(nodes.ids, nodes.names, nodes.aliases, strict=True)
    }
    for i, question in enumerate(parts.questions):
        scored = parts.rollouts().run(teacher.begin(question, i), question)
        assert scored.score.parts["accuracy"].raw == 1.0
        for turn in scored.trajectory.turns:
            assert turn.parsed.thought
            assert not turn.parsed.problems
        assert leaks(scored.trajectory, named) == []
