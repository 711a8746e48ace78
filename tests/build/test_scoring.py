"""Settings to rewards: presets, weights, ramps, own code, registered code and the judge."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medenv.build.environment import make_env, make_parts
from medenv.build.scoring import Scoring, build_scoring, make_scoring, own_code, title
from medenv.build.settings import JudgeTermSettings, ScoringSettings
from medenv.errors import UnknownNameError, UsageError
from medenv.kg import toy_graph
from medenv.records import Question, Scored
from medenv.registry import load_object
from medenv.reward import PRESETS, Checked, Composition, Reward, compose, turn_rewards
from medenv.reward.components.judge import RUBRIC
from medenv.rollouts.policies import Texts

from ..chat_server import ChatServer

MINE = '''
"""Rewards of a user."""

from medenv.records import Part, Score
from medenv.reward import Component, ComponentScore


def mine(trajectory):
    return 2.0 if trajectory.answer else -1.0


def slow(trajectory, knowledge):
    return ComponentScore(0.5, "so")


patient = Component(name="p", measure=slow, rationale="It waits.", exploit="None known.")
number = 3.0
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of rewards next to where the command runs."""
    (tmp_path / "own_rewards.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    monkeypatch.delitem(sys.modules, "own_rewards", raising=False)
    return "own_rewards"


def played(*texts: str, **settings: Any) -> Scored:
    """The score of an episode with the toy graph's first gene question."""
    parts = make_parts(**settings)
    question = asked(parts.questions)
    return parts.rollouts().run(Texts(list(texts)).begin(question), question)


def asked(questions: tuple[Question, ...]) -> Question:
    return next(one for one in questions if one.id == "test:4")


RIGHT, WRONG = "<answer>ZORI4</answer>", "<answer>nobody knows</answer>"


def weights(scoring: Scoring) -> dict[str, float]:
    assert isinstance(scoring.reward, Reward)
    return scoring.reward.composition.weights


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_it_was(preset: str) -> None:
    made = build_scoring(ScoringSettings(preset=preset))
    assert isinstance(made.reward, Reward)
    assert made.reward.composition == PRESETS[preset]
    assert made.asks == compose(preset).asks
    assert (made.schedule, made.by_turns, made.threads) == (None, False, None)
    assert made.reward_at(7) is made.reward


def test_weights_come_instead_of_a_presets_and_gates_and_vetoes_before_it() -> None:
    made = build_scoring(
        ScoringSettings(
            weights={"accuracy": 1.0, "kinship": 0.3},
            gates={"kinship": "well_formed"},
            vetoes=("safe",),
        )
    )
    assert isinstance(made.reward, Reward)
    got = made.reward.composition
    assert got == Composition(
        weights={"accuracy": 1.0, "kinship": 0.3},
        gates={"kinship": "well_formed"},
        vetoes=("safe",),
    )
    gated = build_scoring(ScoringSettings(gates={"efficiency": "open"}, vetoes=("safe",))).reward
    assert isinstance(gated, Reward)
    assert gated.composition.weights == PRESETS["composite"].weights
    assert (gated.composition.gate_of("efficiency"), gated.composition.vetoes) == (
        "open",
        ("safe",),
    )


def test_a_ramp_changes_the_reward_from_step_to_step() -> None:
    ramp = {"begin": 5, "end": 9, "first": 0.0, "last": 0.4}
    made = build_scoring(ScoringSettings(ramps={"efficiency": ramp}))
    for step, weight in ((0, 0.0), (7, 0.2), (99, 0.4)):
        reward = made.reward_at(step)
        assert isinstance(reward, Reward)
        assert reward.composition.weights["efficiency"] == pytest.approx(weight)
        assert reward.knowledge is made.reward.knowledge  # type: ignore[attr-defined]  # a Reward


@pytest.mark.parametrize(
    ("settings", "error", "problem"),
    [
        ({"preset": "composit"}, UnknownNameError, "did you mean 'composite'"),
        ({"preset": "composit", "weights": {"format": 1.0}}, UnknownNameError, "'composite'"),
        ({"weights": {"acuracy": 1.0}}, UnknownNameError, "did you mean 'accuracy'"),
        ({"weights": {"accuracy": -1.0}}, UsageError, "the weight of 'accuracy' is -1.0"),
        ({"gates": {"efficiency": "corect"}}, UnknownNameError, "'correct'"),
        ({"gates": {"kinship": "open"}}, UnknownNameError, "'kinship'"),
        ({"vetoes": ("saef",)}, UnknownNameError, "'safe'"),
        ({"ramps": {"efficency": {"begin": 0, "end": 9, "first": 0, "last": 1}}}, UnknownNameError,
         "did you mean 'efficiency'"),
        ({"ramps": {"efficiency": {"begin": 9, "end": 0, "first": 0, "last": 1}}}, UsageError,
         "scoring.ramps.efficiency: .* 0 <= begin < end"),
        ({"ramps": {"efficiency": {"begin": 0, "end": 9, "first": 0, "last": -1}}}, UsageError,
         "scoring.ramps.efficiency: .* >= 0"),
        ({"ramps": {"efficiency": {"from": 0}}}, UsageError, "scoring.ramps.efficiency: .*`from`"),
        ({"ramps": {"efficiency": 0.3}}, UsageError, "a ramp is written"),
        ({"alpha": 2.0}, UsageError, "scoring.alpha is a weight of the preset 'paper'"),
        ({"preset": "paper", "weights": {"format": 1.0}, "gamma": 1.0}, UsageError, ".gamma is"),
        ({"preset": "paper", "beta": 0.3}, UsageError, "'expert' needs a judge"),
        ({"weights": {"accuracy": 1.0, "expert": 0.2}}, UsageError, "'expert' needs a judge"),
        ({"judge": {"url": "http://x", "model": "m"}}, UsageError, "'expert', which has no weight"),
        ({"preset": "paper", "judge": {"url": "x", "model": "m"}}, UsageError, "begins with http"),
        ({"preset": "paper", "judge": {"model": "m"}}, UsageError, "a judge needs a url"),
        ({"judge": {"concurrency": 0}}, UsageError, "concurrency >= 1, got 0"),
        ({"turn_rewards": True}, UsageError, "'process', which has no weight in scoring.preset="),
        ({"preset": "process", "turn_rewards": True, "shuffle_seed": 0}, UsageError, "set one of"),
        ({"reward": "own_rewards"}, UsageError, "expected reward as package.module:object"),
        ({"reward": "own_rewards:"}, UsageError, "expected reward as package.module:object"),
        ({"reward": "nowhere:it"}, UsageError, "'nowhere:it' cannot be imported: .*No module"),
        ({"reward": "os:nothing"}, UsageError, "'os:nothing' cannot be imported: .*no attribute"),
        ({"reward": "math:pi"}, UsageError, "reward 'math:pi' is a float; expected a callable"),
        ({"weights": {"math:pi": 1.0}}, UsageError, "component 'math:pi' is a float"),
        ({"reward": "math:sqrt", "weights": {"format": 1.0}}, UsageError, "scoring.weights has no"),
        ({"reward": "math:sqrt", "ramps": {"format": {}}}, UsageError, "scoring.ramps has no"),
        ({"reward": "math:sqrt", "turn_rewards": True}, UsageError, "scoring.turn_rewards has no"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line(
    settings: dict[str, Any], error: type[UsageError], problem: str
) -> None:
    with pytest.raises(error, match=problem) as raised:
        build_scoring(msgspec.convert(settings, ScoringSettings))
    assert "\n" not in str(raised.value)


def test_a_whole_reward_next_to_the_command_is_found_and_scored(mine: str) -> None:
    right = played(RIGHT, scoring=f"{mine}:mine").score
    assert (right.total, right.parts["accuracy"].raw) == (2.0, 1.0)
    wrong = played(WRONG, scoring=ScoringSettings(reward=f"{mine}:mine")).score
    assert (wrong.total, wrong.parts["accuracy"].raw) == (2.0, 0.0)


def test_a_component_next_to_the_command_is_weighed_gated_and_ramped(mine: str) -> None:
    for name in (f"{mine}:slow", f"{mine}:patient"):
        given = {"accuracy": 1.0, name: 0.4}
        assert played(RIGHT, scoring=given).score.parts[name].weighted == pytest.approx(0.2)
        assert played(WRONG, scoring=given).score.parts[name].gated
        ramp = {"begin": 0, "end": 10, "first": 0.0, "last": 1.0}
        made = build_scoring(ScoringSettings(weights=given, ramps={name: ramp}))
        reward = made.reward_at(5)
        assert isinstance(reward, Reward)
        assert reward.composition.weights[name] == 0.5
        assert reward(played(RIGHT).trajectory).total == pytest.approx(1.25)


def test_the_files_of_ones_own_code_are_named(mine: str, tmp_path: Path) -> None:
    file = str(tmp_path / "own_rewards.py")
    assert own_code(ScoringSettings(reward=f"{mine}:mine")) == {f"{mine}:mine": file}
    weights = {"accuracy": 1.0, f"{mine}:slow": 0.1}
    assert own_code(ScoringSettings(weights=weights)) == {f"{mine}:slow": file}
    assert own_code(ScoringSettings()) == {}


@pytest.mark.parametrize("code", ["1 / 0", "def (", "raise KeyError('no\\nkey')", "import nothing"])
def test_a_module_that_fails_says_why_in_one_line(tmp_path: Path, code: str) -> None:
    (tmp_path / "failing.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-c", "from medenv.registry import load_object as load\n"
         "from medenv.errors import UsageError\n"
         "try:\n    load('reward', 'failing:it')\n"
         "except UsageError as error:\n    print(error)"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    assert line.startswith("reward 'failing:it' cannot be imported: ")


def test_an_installed_module_comes_before_one_next_to_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("import no_such_module")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    assert load_object("reward", "msgspec.structs:replace") is msgspec.structs.replace
    assert sys.path[-1] == str(tmp_path)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: str) -> None:
    """Installs the user's module with entry points."""
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[medenv.rewards]\nmine = own_rewards:mine\n"
        "[medenv.reward_components]\nslow = own_rewards:slow\npatient = own_rewards:patient\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("package")
def test_registered_rewards_and_components_have_names() -> None:
    assert played(RIGHT, scoring="mine").score.total == 2.0
    made = build_scoring(ScoringSettings(preset="mine"))
    assert isinstance(made.reward, Checked)
    for name in ("slow", "patient"):
        score = played(RIGHT, scoring={"accuracy": 1.0, name: 0.4}).score
        assert score.parts[name].weighted == pytest.approx(0.2)
    with pytest.raises(UnknownNameError, match="did you mean 'patient'"):
        build_scoring(ScoringSettings(weights={"patience": 1.0}))
    with pytest.raises(UsageError, match=r"scoring\.gates has no"):
        build_scoring(ScoringSettings(preset="mine", gates={"format": "open"}))


def test_every_form_in_which_python_gives_a_reward_makes_the_same() -> None:
    composition = Composition(weights={"accuracy": 1.0, "efficiency": 0.2})
    forms: list[Any] = [
        composition,
        dict(composition.weights),
        ScoringSettings(weights=composition.weights),
        compose(composition),
        make_scoring(composition),
    ]
    assert [weights(make_scoring(form)) for form in forms] == [composition.weights] * len(forms)
    totals = [played(RIGHT, scoring=form).score.total for form in forms]
    assert totals == pytest.approx([1.2] * len(forms))
    with pytest.raises(UsageError, match="reward 'int' is a int; expected a callable"):
        make_scoring(3)


def test_a_control_is_the_same_environment_as_what_it_controls() -> None:
    hashes = {
        make_parts(scoring=one).rules.config_hash
        for one in ("composite", ScoringSettings(), ScoringSettings(shuffle_seed=3))
    }
    assert len(hashes) == 1
    other = make_parts(scoring=ScoringSettings(alpha=2.0, preset="paper")).rules.config_hash
    assert other not in hashes | {make_parts(scoring="paper").rules.config_hash}


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, "composite"),
        ({"reward": "my:reward"}, "my:reward"),
        ({"weights": {"accuracy": 1.0, "my:part": 0.25}}, "accuracy 1, my:part 0.25"),
        ({"preset": "process", "turn_rewards": True}, "process, paid by turns"),
        ({"shuffle_seed": 0}, "composite (shuffled: a control)"),
    ],
)
def test_a_report_names_what_is_rewarded(settings: dict[str, Any], shown: str) -> None:
    assert title(ScoringSettings(**settings)) == shown


def test_the_rewards_of_turns_add_up_to_the_total() -> None:
    question = asked(make_parts().questions)
    search = f'<tool_call>{{"name": "search", "arguments": {{"query": "{question.topic.name}"}}}}'
    scored = played(f"{search}</tool_call>", RIGHT, scoring="process")
    plain = build_scoring(ScoringSettings(preset="process"))
    assert plain.turn_rewards(scored) == [0.0, scored.score.total]
    spread = build_scoring(ScoringSettings(preset="process", turn_rewards=True))
    rewards = spread.turn_rewards(scored)
    assert rewards == turn_rewards(scored.trajectory, scored.score)
    assert rewards[0] > 0
    assert sum(rewards) == pytest.approx(scored.score.total)


VERDICT = json.dumps({"criteria": dict.fromkeys(RUBRIC, True), "reason": "It is right."})


def judged(server: ChatServer, **settings: Any) -> ScoringSettings:
    judge = JudgeTermSettings(
        url=server.url, model="judge", attempts=1, **settings.pop("judge", {})
    )
    return ScoringSettings(**{"preset": "paper", "judge": judge, **settings})


def test_the_paper_with_a_judge_has_alpha_beta_and_gamma(tmp_path: Path) -> None:
    with ChatServer(lambda _: VERDICT) as server:
        paper = build_scoring(judged(server))
        assert weights(paper) == {"accuracy": 1.0, "efficiency": 0.1, "expert": 0.2}
        named = build_scoring(judged(server, alpha=2.0, beta=0.5, gamma=0.0))
        assert weights(named) == {"accuracy": 2.0, "efficiency": 0.0, "expert": 0.5}
        own = {"accuracy": 1.0, "expert": 0.3}
        assert weights(build_scoring(judged(server, weights=own))) == own
        ramp = {"begin": 0, "end": 2, "first": 0.0, "last": 0.2}
        ramped = build_scoring(judged(server, ramps={"expert": ramp})).reward_at(1)
        assert isinstance(ramped, Reward)
        assert ramped.composition.weights["expert"] == pytest.approx(0.1)
        assert server.asked == []
        score = played(RIGHT, scoring=judged(server), verdicts=str(tmp_path)).score
        assert (score.parts["expert"].raw, score.parts["expert"].weighted) == (1.0, 0.2)
        again = played(RIGHT, scoring=judged(server), verdicts=str(tmp_path)).score
        assert again == score
        assert len(server.asked) == 1
        assert list(tmp_path.rglob("*.json"))
        wrong = played(WRONG, scoring=judged(server), verdicts=str(tmp_path)).score
        assert (wrong.total, wrong.parts["expert"].gated, len(server.asked)) == (0.0, True, 1)
    without = build_scoring(ScoringSettings(preset="paper", gamma=0.3))
    assert weights(without) == {"accuracy": 1.0, "efficiency": 0.3}


def test_a_judge_that_fails_leaves_the_episode_without_a_score() -> None:
    with ChatServer(lambda _: "I like it.") as server:
        scored = played(RIGHT, scoring=judged(server))
    assert scored.score.total is None
    assert "the judge gave no verdict" in scored.trajectory.failure


def test_episodes_go_on_while_a_judge_thinks() -> None:
    ticks = [0]

    def think(body: dict[str, Any]) -> str:
        time.sleep(0.3)
        return VERDICT

    async def play(parts: Any, question: Question, n: int) -> list[Scored]:
        async def tick() -> None:
            while True:
                await asyncio.sleep(0.01)
                ticks[0] += 1

        beat = asyncio.ensure_future(tick())
        driver = parts.rollouts()
        policies = [Texts([RIGHT]).begin(question) for _ in range(n)]
        scored = await asyncio.gather(*(driver.arun(one, question) for one in policies))
        beat.cancel()
        return list(scored)

    with ChatServer(think) as server:
        parts = make_parts(scoring=judged(server, judge={"concurrency": 4}))
        question = asked(parts.questions)
        scored = asyncio.run(play(parts, question, 8))
        assert [one.score.total for one in scored] == pytest.approx([1.3] * 8)
        assert ticks[0] >= 10  # a blocking request would leave none during 0.3 s
        assert server.most_at_once == 1  # the same answer: one request for all that wait for it
        assert 1 <= len(server.asked) <= 2  # two rounds of four threads


def test_different_answers_are_judged_at_a_time_up_to_the_concurrency() -> None:
    all_in = threading.Barrier(3, timeout=20)

    def think(body: dict[str, Any]) -> str:
        all_in.wait()  # breaks where fewer than three requests are in flight
        return VERDICT

    graph = toy_graph()
    with ChatServer(think) as server:
        settings = judged(server, judge={"concurrency": 3})
        parts = make_parts(scoring=settings, graph=graph)
        genes = [one for one in parts.questions if len(one.answers) == 1][:6]
        answers = [parts.rules.dialect.write_answer(one.answers[0].name) for one in genes]
        played = parts.rollouts().run_all(
            (Texts([text]).begin(one), one) for text, one in zip(answers, genes, strict=True)
        )
        assert [one.score.parts["expert"].raw for one in played] == [1.0] * 6
        assert server.most_at_once == 3


def test_a_reward_that_says_that_it_asks_outside_is_scored_in_threads() -> None:
    where = []

    class Slow:
        outside = True

        def __call__(self, trajectory: Any) -> float:
            where.append(threading.current_thread().name)
            return 1.0

    parts = make_parts(scoring=Slow())
    question = asked(parts.questions)
    asyncio.run(parts.rollouts().arun(Texts([RIGHT]).begin(question), question))
    assert where[0].startswith("scoring")


def test_gymnasium_takes_settings_as_trainers_do() -> None:
    env = make_env(scoring=ScoringSettings(preset="paper", alpha=3.0))
    env.reset(options={"question": "test:4"})
    assert env.step(RIGHT)[1] == pytest.approx(3.1)
