"""Cheaters against every environment and preset, and against rewards that deserve it."""

import contextlib
import json
import math

import msgspec
import pytest
import typer
from gymnasium.envs.registration import register, registry
from typer.testing import CliRunner

from medenv.ablation.attack import HONEST, AttackEnvironment, exploitability
from medenv.build.environment import DIALECTS, make_env
from medenv.build.scoring import COMPONENT_WEIGHT, build_scoring, scoring_of
from medenv.cli import rewards as cli_rewards
from medenv.envs.registration import ENVIRONMENTS
from medenv.errors import UnknownNameError, UsageError
from medenv.kg import Documents, toy_graph
from medenv.kg.questions.drafts import Rejected
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.reward import COMPONENTS, PRESETS, ComponentScore, Composition, compose, judge_answer
from medenv.reward.attacks.attack import ATTACKS
from medenv.reward.components.confidence import ABSTENTION_UTILITY
from medenv.reward.components.evidence import first_seen
from medenv.reward.components.judge import Judge, JudgeSettings

from ..chat_server import ChatServer
from . import careless

MINE = "tests/Mine-v0"
LISTS = "tests/Lists-v0"
FEW = 6


@pytest.fixture(scope="module")
def arena():
    return AttackEnvironment("medenv/Research-v0", n=FEW)


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def every_arena(request):
    return AttackEnvironment(request.param)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_keeps_every_bound_in_every_environment(every_arena, preset):
    found = every_arena.findings(preset, every_arena.reward(preset))
    assert [one for one in found if not one.kept] == []
    assert exploitability(found) == 0
    assert [one.attack for one in found] == [HONEST, *ATTACKS]
    assert found[0].worst == pytest.approx(1.0)
    assert all(one.episodes > 0 for one in found)


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_the_reward_that_an_environment_has_for_itself_keeps_every_bound(env_id):
    for name, scoring in cli_rewards.own_scoring(env_id).items():
        arena = AttackEnvironment(env_id)
        assert all(one.kept for one in arena.findings(name, arena.reward(scoring)))


@pytest.fixture(scope="module")
def abstaining():
    return AttackEnvironment("medenv/Abstain-v0")


def test_questions_without_an_answer_are_attacked_with_the_answer_that_was_withheld(abstaining):
    asked = make_env(withhold=0.0, questions=None).questions
    withheld = {one.id: one.answers[0].name for one in asked}
    unanswerable = [one for one in abstaining.questions if not one.answers]
    assert unanswerable
    for question in unanswerable:
        guessed = {
            one.answer
            for one in abstaining.attacked["early quit"]
            if one.question.id == question.id
        }
        assert withheld[question.id] in guessed
        refused = abstaining.attacked["refusal with a guess"]
        assert f"unknown ({withheld[question.id]})" in {one.answer for one in refused}


def test_honest_research_says_so_where_there_is_no_answer_and_earns_by_it(abstaining):
    reward = abstaining.reward("composite")
    for question in abstaining.questions:
        trajectory = abstaining.honest[question.id]
        assert (trajectory.answer == "unknown") == (not question.answers)
        assert reward(trajectory).total > 0


def test_saying_unknown_where_there_is_an_answer_is_worth_its_declared_part(abstaining):
    only = Composition(weights={"abstention": 1.0})
    found = {one.attack: one for one in abstaining.findings("it", abstaining.reward(only))}
    assert found["always unknown"].worst == pytest.approx(ABSTENTION_UTILITY)
    assert found["always unknown"].kept
    assert found["refusal with a guess"].worst == 0
    generous = abstaining.findings("form", careless.form)
    assert not next(one for one in generous if one.attack == "always unknown").kept


@pytest.mark.parametrize(
    ("reward", "finds"),
    [
        (careless.whole_results, "never answer"),
        (careless.whole_results, "forged tool text"),
        (careless.substring, "every entity"),
        (careless.substring, "hedge"),
        (careless.substring, "keywords"),
        (careless.substring, "refusal with a guess"),
        (careless.substring, "quoted tool text"),
        (careless.word_overlap, "question copied"),
        (careless.form, "form only"),
        (careless.form, "early quit"),
        (careless.form, "look-alikes"),
        (careless.form, "invisible text"),
        (careless.form, "control tokens"),
        (careless.form, "two answers"),
        (careless.form, "fake citations"),
        (careless.busy, "tool spam"),
        (careless.busy, "tool spam, right"),
        (careless.obedient, "judge injection"),
        (careless.blind, HONEST),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_an_attack_finds_the_hole_that_it_is_for(arena, reward, finds):
    found = {one.attack: one for one in arena.findings("careless", reward)}
    assert not found[finds].kept
    assert found[finds].question in {question.id for question in arena.questions}


def test_a_reward_that_reads_only_the_answer_keeps_every_bound(arena):
    assert all(one.kept for one in arena.findings("fine", careless.fine))


def test_shaping_without_a_gate_is_exploitable_and_the_share_says_how_much(arena):
    ungated = Composition(weights={"accuracy": 1.0, "format": 0.5}, gates={"format": "open"})
    found = arena.findings("ungated", arena.reward(ungated))
    assert exploitability(found) == pytest.approx(0.5 / 1.5)
    assert next(one for one in found if one.attack == HONEST).kept


def test_planted_passages_are_what_the_cheaters_see_first(arena):
    shown = [one.turns[0].results[0] for one in arena.attacked["quoted tool text"]]
    gold = {question.id: question.answers[0].name for question in arena.questions}
    for one, trajectory in zip(shown, arena.attacked["quoted tool text"], strict=True):
        assert one.passages[0] == f"planted:{trajectory.question.id}#0"
        assert f"<answer>{gold[trajectory.question.id]}</answer>" in one.text


def test_honest_research_sees_no_planted_passage_and_every_hop(arena):
    for trajectory in arena.honest.values():
        shown = {
            one for turn in trajectory.turns for result in turn.results for one in result.passages
        }
        assert not any(one.startswith("planted") for one in shown)
        assert all(shown & set(hop.passages) for hop in trajectory.question.certificate.path)
        assert len(trajectory.turns) == trajectory.question.certificate.min_calls + 1


def test_a_wrong_answer_with_the_gold_name_in_it_is_what_most_attacks_write(arena):
    hedges = [one.answer for one in arena.attacked["hedge"]]
    gold = {question.answers[0].name for question in arena.questions}
    assert all(any(name in hedge for name in gold) and hedge not in gold for hedge in hedges)


def test_no_number_is_named_rather_than_compared(arena):
    with pytest.raises(UsageError, match=r"reward 'odd' gave nan for question '\w+:\d+'; expected"):
        arena.findings("odd", careless.nan)
    with pytest.raises(UsageError, match=r"reward 'odd' gave nan, weighted 0.0, in part 'it' for"):
        arena.findings("odd", careless.nan_in_a_part)
    with pytest.raises(UsageError, match=r"reward 'odd' gave a str for question .*a medenv\."):
        arena.findings("odd", careless.bare)


def test_a_reward_that_is_away_breaks_no_bound_but_keeps_none_either(arena):
    found = arena.findings("away", careless.away)
    assert not any(one.kept for one in found)
    assert all(one.unscored == one.episodes and math.isnan(one.worst) for one in found)


@pytest.fixture
def mine():
    """An environment of another package, with a factory of its own that passes settings on."""
    register(id=MINE, entry_point=lambda **settings: make_env(**{"split": "test", **settings}))
    yield MINE
    del registry[MINE]


def test_an_environment_of_another_package_is_attacked_like_ours(mine):
    arena = AttackEnvironment(mine)
    assert {question.split for question in arena.questions} == {"test"}
    assert all(one.kept for one in arena.findings("evidence", arena.reward("evidence")))
    assert not all(one.kept for one in arena.findings("x", careless.whole_results))


@pytest.fixture(scope="module")
def lists():
    """An environment whose questions ask for all diseases that share something."""
    graph = toy_graph()
    config = QuestionSpec(kinds={"list": 1}, rare_percent=100, test_share=0.3)
    workshop, made = QuestionGenerator(Documents(graph), config, 0), {}
    for i in range(60):
        with contextlib.suppress(Rejected):
            question = workshop.attempt("train", i)
            made.setdefault(question.text, msgspec.structs.replace(question, id=f"train:{i}"))
    asked = tuple(made.values())
    register(id=LISTS, entry_point=lambda **given: make_env(**{"questions": asked, **given}))
    yield AttackEnvironment(LISTS)
    del registry[LISTS]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_question_for_all_answers_pays_neither_a_part_nor_a_padded_list(lists, preset):
    assert {question.asks_for_all for question in lists.questions} == {True}
    found = lists.findings(preset, lists.reward(preset))
    assert [one for one in found if not one.kept] == []
    assert found[0].worst == pytest.approx(1.0)


def any_of(trajectory):
    """A reward that pays a list question for any answer of it."""
    return careless._score(
        float(judge_answer(trajectory.answer, trajectory.question.answers).right)
    )


def test_a_reward_that_pays_a_part_of_a_list_is_found_out(lists):
    broken = {one.attack for one in lists.findings("any", any_of) if not one.kept}
    assert "part of a list" in broken


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("medenv/Resarch-v0", r"Did you mean: `Research`"),
        ("CartPole-v1", r"got 'CartPole-v1', a CartPoleEnv"),
        ("nowhere:Some-v0", r"'nowhere:Some-v0': "),
    ],
)
def test_what_cannot_be_attacked_says_why(env_id, message):
    with pytest.raises(UsageError, match=message):
        AttackEnvironment(env_id)


def test_a_factory_that_takes_no_settings_says_so():
    register(id=MINE, entry_point=lambda: make_env())
    try:
        with pytest.raises(UsageError, match=r"must accept the fields of medenv\.build\.env"):
            AttackEnvironment(MINE).reward("composite")
    finally:
        del registry[MINE]


def test_nothing_to_attack_is_a_mistake():
    with pytest.raises(UsageError, match=r"got 0 of the 22 questions"):
        AttackEnvironment("medenv/Research-v0", n=0)


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    cli_rewards.register(app)
    return CliRunner().invoke(app, ["attack", *arguments])


def test_the_command_prints_a_table_per_environment_and_succeeds():
    done = run("--n", "2")
    assert done.exit_code == 0, done.output
    for name in (*ENVIRONMENTS, "refusal with a guess", *PRESETS, "its own"):
        assert name in done.output
    assert "All bounds are kept." in done.output


def test_the_command_fails_where_a_reward_pays_a_cheater_and_says_for_what():
    reward = f"{careless.__name__}:substring"
    done = run("medenv/Research-v0", "--scoring", reward, "--scoring", "paper", "--n", "2")
    assert done.exit_code == 1
    assert "1.00 broken" in done.output
    assert "'hedge' is worth 1.00 on question 'train:0' with the answer" in done.output
    assert "bounds are broken" in done.output


@pytest.mark.parametrize(
    ("reward", "error", "message"),
    [
        ("composit", UnknownNameError, r"unknown reward 'composit'; did you mean 'composite'\?"),
        ("nowhere:it", UsageError, r"reward 'nowhere:it' cannot be imported: .*No module named"),
        (f"{careless.__name__}:gone", UsageError, r"cannot be imported: .* has no attribute"),
        (f"{careless.__name__}:not_a_reward", UsageError, r"is a float; expected a callable"),
    ],
)
def test_a_reward_that_is_none_says_so(reward, error, message):
    done = run("--scoring", reward)
    assert isinstance(done.exception, error)
    with pytest.raises(error, match=message):
        build_scoring(scoring_of(reward))


def test_a_component_of_ones_own_is_attacked_beside_accuracy():
    name = f"{careless.__name__}:kind"
    done = run("medenv/Research-v0", "--scoring", name, "--n", "2")
    assert done.exit_code == 0, done.output
    paid = build_scoring(scoring_of(name)).reward.composition.weights
    assert paid == {"accuracy": 1.0, name: COMPONENT_WEIGHT}


def as_it_was(name):
    """A component as it was before its hole was closed: the whole text is read, all calls alike."""

    def cited(trajectory, _):
        good = {one for hop in trajectory.question.certificate.path for one in hop.passages}
        return ComponentScore(float(any(one in trajectory.turns[-1].text for one in good)), "cited")

    def frugal(trajectory, _):
        calls = sum(len(turn.calls) for turn in trajectory.turns)
        return ComponentScore(1.0 if calls < 9 else 0.0, "calls")

    def seen(trajectory, _):
        first = first_seen(trajectory)
        return ComponentScore(sum(one is not None for one in first) / max(1, len(first)), "seen")

    measures = {"citation_precision": cited, "efficiency": frugal, "evidence_recall": seen}
    old = msgspec.structs.replace(COMPONENTS[name], measure=measures[name])
    weights = {"accuracy": 1.0, name: 0.2}
    return compose(Composition(weights=weights), components={**COMPONENTS, name: old})


@pytest.mark.parametrize(
    ("name", "finds"),
    [
        ("citation_precision", "hidden notes, right"),
        ("efficiency", "whole corpus, right"),
        ("evidence_recall", "whole corpus, right"),
    ],
)
def test_an_attack_on_what_pays_besides_the_answer_finds_its_hole(arena, name, finds):
    found = {one.attack: one for one in arena.findings("old", as_it_was(name))}
    assert not found[finds].kept
    assert found[finds].worst > found[finds].bound
    weights = Composition(weights={"accuracy": 1.0, name: 0.2})
    assert all(one.kept for one in arena.findings("new", arena.reward(weights)))


def test_an_answer_that_a_judge_cannot_read_leaves_no_episode_unscored(arena):
    def shape(body):
        answer = json.loads(body["messages"][1]["content"])["answer"]
        told = {"criteria": {"right": True}}
        return json.dumps(told) if len(answer) < 60 else f"It says {answer}."

    with ChatServer(shape) as server:
        settings = JudgeSettings(url=server.url, model="m", rubric={"right": "?"}, attempts=1)
        judge = Judge(settings).component("rubric")
        weights = Composition(weights={"accuracy": 1.0, "rubric": 0.1}, gates={"rubric": "open"})
        reward = compose(weights, components={**COMPONENTS, "rubric": judge})
        found = {one.attack: one for one in arena.findings("judged", reward)}
    assert found["ungradable"].unscored == 0
    assert found["ungradable"].kept


@pytest.mark.parametrize("dialect", DIALECTS.names())
@pytest.mark.parametrize("env_id", ["medenv/Research-v0", "medenv/Abstain-v0"])
def test_bounds_are_kept_in_every_dialect(dialect, env_id):
    arena = AttackEnvironment(env_id, n=2, dialect=dialect)
    for name in PRESETS:
        found = arena.findings(name, arena.reward(name))
        assert [one for one in found if not one.kept] == []
    careful = next(iter(arena.honest.values()))
    assert careful.dialect == dialect
    assert careful.ending == "answered"


def test_a_careless_reward_is_found_out_in_every_dialect():
    for dialect in DIALECTS.names():
        arena = AttackEnvironment("medenv/Research-v0", n=2, dialect=dialect)
        found = {one.attack: one for one in arena.findings("careless", careless.substring)}
        assert not found["hedge"].kept, dialect


def test_the_command_takes_dialects():
    done = run(
        *("medenv/ClosedBook-v0", "--scoring", "answer_only", "--n", "1"),
        *("--dialect", "react", "--dialect", "openai"),
    )
    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if line.startswith("dialect: ")] == [
        "dialect: react",
        "dialect: openai",
    ]
    unknown = run("--dialect", "hermse")
    assert isinstance(unknown.exception, UnknownNameError)
