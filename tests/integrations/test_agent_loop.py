"""The verl agent loop: tokens in, tokens out, and only the policy's own tokens are trained on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from omegaconf import DictConfig, OmegaConf
from transformers import AutoTokenizer

from medenv.build.prepare import load_environment, prepare, write_environment
from medenv.build.settings import EnvironmentSpec
from medenv.dialects import Hermes
from medenv.errors import UsageError
from medenv.kg.questions.sets import QuestionSet
from medenv.records import Question, Scored
from medenv.reward import Reward
from medenv.tools import FunctionTool, Tool, ToolBox, ToolOutput

from ..fakes import Flaky
from ..toy import toy_settings, train_config

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore:Ray state API:DeprecationWarning"),  # imported by verl 0.9.1
    pytest.mark.filterwarnings("ignore::UserWarning"),  # verl tells of engines it does not find
]
ROOT = Path(__file__).parents[2]
CALL, ANSWER = Hermes().write_call, Hermes().write_answer
HANGS = "(no reply)"


@dataclass
class Server:
    """Stands where verl's rollout server stands: prompt ids in, the script's next ids out."""

    tokenizer: Any
    script: list[str | Exception]
    logprobs: str = "each"
    asked: list[tuple[list[int], dict[str, Any]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    unscored: list[Scored] = field(default_factory=list)

    async def generate(
        self, *, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any]
    ) -> Any:
        self.requests.append(request_id)
        self.asked.append((list(prompt_ids), sampling_params))
        written = self.script.pop(0) if self.script else ""
        if isinstance(written, Exception):
            raise written
        if not written:
            return SimpleNamespace(
                token_ids=[], log_probs=[], stop_reason="aborted", extra_fields={}
            )
        if written == HANGS:
            await asyncio.sleep(60.0)
        ids = self.tokenizer.encode(written, add_special_tokens=False)
        ids = ids[: sampling_params["max_tokens"]]
        logprobs = {"each": [-0.5] * len(ids), "fewer": [-0.5], "none": None}[self.logprobs]
        version = 2 + len(self.asked)  # of the weights: 3 for the first generation
        return SimpleNamespace(
            token_ids=ids,
            log_probs=logprobs,
            stop_reason="completed",
            extra_fields={
                "global_steps": version,
                "min_global_steps": version,
                "max_global_steps": version,
                "spec_num_draft_tokens": 10,
            },
        )


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return train_config("experiment=smoke")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> EnvironmentSpec:
    return prepare(toy_settings(tmp_path_factory.mktemp("runs"))).spec


@pytest.fixture(scope="module")
def question(spec: EnvironmentSpec) -> Question:
    questions = QuestionSet.open(spec.questions).questions("test")
    return next(one for one in questions if one.kind == "disease>gene")


Play = Callable[..., tuple[list[Any], Server]]


@pytest.fixture
def play(
    config: DictConfig,
    spec: EnvironmentSpec,
    question: Question,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Play:
    from verl.experimental.agent_loop.agent_loop import DictConfigWrap
    from verl.utils.dataset.rl_dataset import RLHFDataset

    from medenv.integrations.verl import agent_loop as verl_agent_loop
    from medenv.integrations.verl.unscored import Unscored

    tokenizer = AutoTokenizer.from_pretrained(ROOT / config.policy.path)

    def run(
        *script: str | Exception,
        sampling: str = "sampled",
        logprobs: str = "each",
        tools: Sequence[Tool] = (),
        environment: str = str(tmp_path / "environment.json"),
        split: str = "test",
        horizon: tuple[int, int] | None = None,
        **changes: Any,
    ) -> tuple[list[Any], Server]:
        described = OmegaConf.create({**msgspec.to_builtins(spec)})
        described.env.retry.backoff = 0.0
        changed = config.copy()
        for key, value in changes.items():
            inner = described if key.startswith(("env__", "scoring__")) else changed
            OmegaConf.update(inner, key.replace("__", "."), value, force_add=True)
        made = msgspec.convert(OmegaConf.to_container(described), EnvironmentSpec)
        write_environment(tmp_path / "environment.json", made)
        load_environment.cache_clear()
        server = Server(tokenizer, list(script), logprobs)

        async def report(group: str, unscored: Unscored) -> None:
            assert (group, unscored.sampling) == ("uid", sampling)
            server.unscored.append(unscored.scored)

        monkeypatch.setattr(verl_agent_loop, "report", report)

        async def episode() -> Any:
            loop = verl_agent_loop.MedEnvAgentLoop(
                trainer_config=DictConfigWrap(changed),
                server_manager=server,
                tokenizer=tokenizer,
                processor=None,
                dataset_cls=RLHFDataset,
                data_config=DictConfigWrap(changed.data),
                hf_model_type="qwen3",
                environment=environment,
                **({"turns": horizon[0], "turn_steps": horizon[1]} if horizon else {}),
            )
            if tools:
                loop.env = loop.env._replace(parts=loop.env.parts._replace(toolbox=ToolBox(tools)))
            asked = msgspec.structs.replace(question, split=split)
            info = {"question": msgspec.json.encode(asked).decode(), "sampling": sampling}
            params = {"temperature": 1.0, "top_p": 1.0, "top_k": -1}
            return await loop.run(params, extra_info=info, uid="uid", session_id=3, global_steps=7)

        output = asyncio.run(episode())
        return (output if isinstance(output, list) else [output]), server

    return run


def test_the_mask_is_1_on_what_the_policy_sampled_and_0_elsewhere(
    play: Play, question: Question
) -> None:
    call = CALL("search", {"query": question.subject.name}) + "<|im_end|>"
    answer = ANSWER(question.answers[0].name) + "<|im_end|>"
    (output,), server = play(call, answer)
    decode = server.tokenizer.decode
    pairs = list(zip(output.response_ids, output.response_mask, strict=True))
    assert decode([i for i, m in pairs if m]) == call + answer
    shown = decode([i for i, m in pairs if not m])
    assert shown.startswith("\n<|im_start|>tool\n[1] ")
    assert shown.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert len(output.response_logprobs) == len(pairs)
    assert {p for p, (_, m) in zip(output.response_logprobs, pairs, strict=True) if m} == {-0.5}


def test_each_turn_continues_the_very_tokens_of_the_turns_before(
    play: Play, question: Question
) -> None:
    call = CALL("search", {"query": question.subject.name}) + "<|im_end|>"
    (output,), server = play(call, ANSWER("X") + "<|im_end|>")
    first, second = (prompt for prompt, _ in server.asked)
    whole = output.prompt_ids + output.response_ids
    assert first == output.prompt_ids
    assert second == whole[: len(second)]
    assert second[: len(first)] == first


def test_a_right_answer_is_rewarded_with_all_parts_logged(play: Play, question: Question) -> None:
    call = CALL("search", {"query": question.subject.name}) + "<|im_end|>"
    (output,), _ = play(call, ANSWER(question.answers[0].name) + "<|im_end|>")
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    assert output.reward_score == scored.score.total
    assert scored.score.parts["accuracy"].raw == 1.0
    assert (scored.sample, scored.step) == (3, 7)
    logged = output.extra_fields["reward_extra_info"]
    for name, part in scored.score.parts.items():
        assert logged[f"reward/{name}/raw"] == part.raw
        assert logged[f"reward/{name}/weighted"] == part.weighted
    assert logged["acc"] == 1.0


def test_a_ramp_weighs_a_component_as_the_training_step_asks(
    play: Play, question: Question
) -> None:
    ramps = {"efficiency": {"begin": 5, "end": 9, "first": 0.0, "last": 0.4}}
    call = CALL("search", {"query": question.subject.name}) + "<|im_end|>"
    right = ANSWER(question.answers[0].name) + "<|im_end|>"
    (output,), _ = play(call, right, scoring__ramps=ramps)
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    part = scored.score.parts["efficiency"]
    assert (part.raw, part.weight) == (1.0, 0.2)  # step 7: half of the way from 0 to 0.4
    assert output.reward_score == pytest.approx(1.0 + 0.1 + 0.2)


@pytest.mark.parametrize("by_turns", [True, False])
def test_what_a_turn_brought_is_paid_on_its_last_token(
    play: Play, question: Question, by_turns: bool
) -> None:
    call = CALL("search", {"query": question.subject.name}) + "<|im_end|>"
    right = ANSWER(question.answers[0].name) + "<|im_end|>"
    chosen = {"scoring__preset": "process", "scoring__turn_rewards": by_turns}
    (output,), _ = play(call, right, **chosen)
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    stored = output.as_dict()
    paid, mask = stored["rm_scores"].tolist(), stored["response_mask"].tolist()
    last = [i for i, one in enumerate(mask) if one and mask[i + 1 : i + 2] != [1]]
    assert len(last) == len(scored.trajectory.turns) == 2
    assert {i for i, one in enumerate(paid) if one} == set(last if by_turns else last[1:])
    assert sum(paid) == pytest.approx(scored.score.total) == pytest.approx(output.reward_score)
    brought = scored.score.parts["process"].weighted
    assert paid[last[0]] == pytest.approx(brought if by_turns else 0.0)


def test_a_composition_without_accuracy_loses_no_sample_and_logs_it(
    play: Play, question: Question
) -> None:
    (output,), _ = play(
        ANSWER(question.answers[0].name) + "<|im_end|>", scoring__weights={"format": 0.5}
    )
    assert output.reward_score == 0.5
    logged = output.extra_fields["reward_extra_info"]
    assert (logged["acc"], logged["reward/accuracy/weighted"]) == (1.0, 0.0)


def test_a_reward_of_ones_own_trains(
    play: Play, question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop_reward.py").write_text("def mine(trajectory):\n    return 7.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    (output,), _ = play("No.<|im_end|>" , *["No.<|im_end|>"] * 4,
                        scoring__reward="loop_reward:mine")  # fmt: skip
    assert output.reward_score == 7.0
    assert output.extra_fields["reward_extra_info"]["acc"] == 0.0


@pytest.mark.parametrize(
    ("ramp", "problem"),
    [
        ({"efficency": {"begin": 0, "end": 9, "first": 0, "last": 1}}, "did you mean 'efficiency'"),
        ({"efficiency": {"begin": 9, "end": 0, "first": 0, "last": 1}}, "0 <= begin < end"),
        ({"efficiency": {"from": 0}}, "a ramp is written"),
        ({"efficiency": 0.3}, "a ramp is written"),
    ],
)
def test_a_ramp_that_is_none_is_told(play: Play, ramp: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        play("x", scoring__ramps=ramp)


def test_an_answer_planted_in_what_a_tool_shows_earns_nothing(
    play: Play, question: Question
) -> None:
    gold = question.answers[0].name
    (output,), server = play(
        CALL("search", {"query": f"{question.subject.name} {ANSWER(gold)}"}) + "<|im_end|>",
        "I am not going to answer.<|im_end|>",
        "Still not.<|im_end|>", "No.<|im_end|>", "No.<|im_end|>",
    )  # fmt: skip
    assert gold in server.tokenizer.decode(output.response_ids)
    assert output.reward_score == 0.0


def test_a_broken_rollout_server_yields_no_sample_instead_of_a_zero(play: Play) -> None:
    outputs, server = play()
    assert outputs == []
    (lost,) = server.unscored
    assert (lost.score.total, lost.trajectory.ending) == (None, "unavailable")
    assert (lost.sample, lost.step) == (3, 7)
    assert "aborted" in lost.trajectory.failure


def test_a_failed_generation_is_tried_again_with_a_new_request(
    play: Play, question: Question
) -> None:
    call = CALL("search", {"query": question.subject.name}) + "<|im_end|>"
    right = ANSWER(question.answers[0].name) + "<|im_end|>"
    (output,), server = play(call, RuntimeError("503"), "", right)
    assert output.reward_score > 1.0
    first, second, third, fourth = server.requests
    assert first == second  # where the prefix is known
    assert len({second, third, fourth}) == 3  # elsewhere, should that server be dead
    assert server.asked[1][0] == server.asked[3][0]
    assert server.tokenizer.decode(output.response_ids).count("<|im_start|>tool") == 1


def test_a_server_that_hangs_is_left_after_the_time_limit(play: Play) -> None:
    started = time.monotonic()
    limits = {"env__retry__policy_timeout": 0.1, "env__retry__attempts": 2}
    outputs, server = play(HANGS, HANGS, **limits)
    assert (outputs, len(server.asked)) == ([], 2)
    assert "nothing came for 0.1 s" in server.unscored[0].trajectory.failure
    assert time.monotonic() - started < 30.0


class Slow:
    """A search that waits, and knows how many of its calls ran at the same time."""

    def __init__(self, seconds: float) -> None:
        self.now = self.most = 0

        @FunctionTool
        async def search(query: str) -> ToolOutput:
            """Search slowly."""
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.now -= 1
            return ToolOutput(text=f"found {query}")

        self.tool = search


def test_a_tool_that_hangs_is_left_after_the_time_limit(play: Play) -> None:
    slow, started = Slow(60.0), time.monotonic()
    call = CALL("search", {"query": "x"}) + "<|im_end|>"
    outputs, server = play(call, tools=[slow.tool], env__retry__timeout=0.1)
    assert (outputs, slow.now) == ([], 0)
    assert "nothing came for 0.1 s" in server.unscored[0].trajectory.failure
    assert time.monotonic() - started < 30.0


def test_a_tool_that_is_away_for_a_moment_is_tried_again(play: Play, question: Question) -> None:
    call = CALL("search", {"query": "x"}) + "<|im_end|>"
    right = ANSWER(question.answers[0].name) + "<|im_end|>"
    (output,), server = play(call, right, tools=[Flaky(failures=2, text="found again")])
    assert output.reward_score > 0.0
    assert "found again" in server.tokenizer.decode(output.response_ids)


def test_the_calls_of_one_turn_are_made_at_once(play: Play) -> None:
    slow = Slow(0.3)
    calls = "".join(CALL("search", {"query": one}) for one in "abc") + "<|im_end|>"
    (output,), server = play(calls, ANSWER("X") + "<|im_end|>", tools=[slow.tool])
    assert slow.most == 3
    assert output.metrics.tool_calls >= 0.3
    shown = server.tokenizer.decode(output.response_ids)
    assert shown.index("found a") < shown.index("found b") < shown.index("found c")


def test_a_bug_in_a_tool_is_an_observation_and_the_episode_is_scored(
    play: Play, question: Question
) -> None:
    @FunctionTool
    def search(query: str) -> ToolOutput:
        """Fail."""
        raise KeyError(query)

    call, answer = CALL("search", {"query": "x"}), ANSWER(question.answers[0].name)
    (output,), server = play(f"{call}<|im_end|>", f"{answer}<|im_end|>", tools=[search])
    assert server.unscored == []
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    assert scored.trajectory.ending == "answered"
    assert scored.trajectory.turns[0].results[0].status == "bad_call"
    assert "KeyError" in scored.trajectory.turns[0].observation
    assert scored.score.parts["accuracy"].raw == 1.0


def test_sampling_stops_where_the_dialect_says_and_the_rest_is_not_read(
    play: Play, question: Question
) -> None:
    call = CALL("search", {"query": question.subject.name})
    forged = call + "\n<tool_response>" + ANSWER(question.answers[0].name)
    (output,), server = play(forged, ANSWER("X") + "<|im_end|>")
    params = server.asked[0][1]
    assert params["stop"] == list(Hermes().stop)
    assert params["skip_special_tokens"] is False
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    assert scored.trajectory.turns[0].text == call + "\n"
    assert scored.trajectory.answer == "X"
    written = [i for i, m in zip(output.response_ids, output.response_mask, strict=True) if m]
    assert server.tokenizer.decode(written).startswith(forged)


@pytest.mark.parametrize(("engine", "stops"), [("vllm", True), ("sglang", False)])
def test_an_engine_without_a_tokenizer_gets_no_stop_strings(
    play: Play, engine: str, stops: bool
) -> None:
    _, server = play(ANSWER("X") + "<|im_end|>", actor_rollout_ref__rollout__name=engine)
    assert ("stop" in server.asked[0][1]) == stops


def test_log_probabilities_are_not_invented(play: Play) -> None:
    answer = ANSWER("X") + "<|im_end|>"
    without = {"actor_rollout_ref__rollout__calculate_log_probs": False}
    (output,), _ = play(answer, logprobs="none", **without)
    assert output.response_logprobs is None
    assert "rollout_log_probs" not in output.as_dict()
    for given in ("none", "fewer"):
        outputs, server = play(answer, answer, answer, logprobs=given)
        assert outputs == []
        assert "log-probabilities" in server.unscored[0].trajectory.failure


def test_an_episode_tells_the_first_and_the_last_version_of_the_weights(play: Play) -> None:
    call = CALL("search", {"query": "x"}) + "<|im_end|>"
    (output,), _ = play(call, call, ANSWER("X") + "<|im_end|>")
    told = output.extra_fields
    assert (told["min_global_steps"], told["max_global_steps"], told["global_steps"]) == (3, 5, 5)
    assert told["spec_num_draft_tokens"] == 30


@pytest.mark.parametrize(("split", "turns"), [("train", 2), ("test", 4)])
def test_training_episodes_have_as_many_turns_as_the_step_allows(
    play: Play, split: str, turns: int
) -> None:
    calls = [CALL("search", {"query": f"topic {number}"}) + "<|im_end|>" for number in range(4)]
    (output,), server = play(*calls, split=split, horizon=(1, 12), env__budget__turns=4)
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    assert len(scored.trajectory.turns) == len(server.asked) == turns  # 1 + 3 * 6 // 12 in step 7
    told = ["This is your last turn" in turn.observation for turn in scored.trajectory.turns]
    assert told == [number == turns - 2 for number in range(turns)]


def test_a_prompt_is_never_cut(play: Play) -> None:
    outputs, server = play(ANSWER("X"), actor_rollout_ref__rollout__prompt_length=12)
    assert (outputs, server.asked) == ([], [])
    assert "data.max_prompt_length is 12" in server.unscored[0].trajectory.failure


def test_a_turn_may_have_the_tokens_that_the_budget_has_left(play: Play) -> None:
    budget = {"env__budget__tokens": 60, "env__turn_tokens": 50}
    call = CALL("search", {"query": "x"}) + "<|im_end|>"
    (output,), server = play(call, "and " * 99, **budget)
    first, second = (params["max_tokens"] for _, params in server.asked)
    spent = len(server.tokenizer.encode(call, add_special_tokens=False))
    assert (first, second) == (50, 60 - spent)
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    assert (scored.trajectory.ending, sum(output.response_mask)) == ("tokens", spent + second)


def test_a_turn_fits_into_the_context_of_the_model(play: Play) -> None:
    lengths = {"actor_rollout_ref__rollout__max_model_len": 60}
    (output,), server = play("and " * 99, **lengths)
    assert len(output.prompt_ids) + server.asked[0][1]["max_tokens"] == 60
    outputs, server = play(ANSWER("X"), actor_rollout_ref__rollout__max_model_len=8)
    assert (outputs, server.asked) == ([], [])
    assert "max_model_len" in server.unscored[0].trajectory.failure


def test_a_greedy_row_is_sampled_at_temperature_0(play: Play) -> None:
    _, sampled = play(ANSWER("X") + "<|im_end|>")
    _, greedy = play(ANSWER("X") + "<|im_end|>", sampling="greedy")
    assert sampled.asked[0][1]["temperature"] == 1.0
    assert greedy.asked[0][1]["temperature"] == 0.0


def test_a_turn_that_was_cut_is_closed_with_a_token_the_policy_is_not_trained_on(
    play: Play,
) -> None:
    (output,), server = play("and " * 50, ANSWER("X") + "<|im_end|>", env__turn_tokens=12)
    end = server.tokenizer.eos_token_id
    assert sum(output.response_mask[:12]) == 12
    assert (output.response_ids[12], output.response_mask[12]) == (end, 0)


def test_an_episode_whose_observation_does_not_fit_ends_for_lack_of_tokens(
    play: Play, question: Question
) -> None:
    call = CALL("search", {"query": question.subject.name}) + "<|im_end|>"
    (output,), _ = play(call, actor_rollout_ref__rollout__response_length=40)
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    assert scored.trajectory.ending == "tokens"
    assert len(output.response_ids) <= 40
    assert output.reward_score == 0.0


def test_a_reward_with_a_bug_yields_no_sample_and_ends_nothing(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bugged(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Reward, "__call__", bugged)
    assert play(ANSWER("X") + "<|im_end|>")[0] == []


def test_a_loop_without_an_environment_says_what_to_set(play: Play) -> None:
    with pytest.raises(UsageError, match="agent_loop_config_path"):
        play("x", environment="")
