"""The verl agent loop: tokens in, tokens out, and only the policy's own tokens are trained on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from transformers import AutoTokenizer

from medenv.dialects import Hermes
from medenv.errors import UsageError
from medenv.integrations.config import register_schema
from medenv.kg import QuestionConfig, read_questions
from medenv.records import Question, Scored
from medenv.workspace import WorkspaceSettings, open_workspace

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore:Ray state API:DeprecationWarning"),  # imported by verl 0.9.1
    pytest.mark.filterwarnings("ignore::UserWarning"),  # verl tells of engines it does not find
]
ROOT = Path(__file__).parents[2]
CALL, ANSWER = Hermes().write_call, Hermes().write_answer


@dataclass
class Server:
    """Stands where verl's rollout server stands: prompt ids in, the script's next ids out."""

    tokenizer: Any
    script: list[str]
    asked: list[tuple[list[int], dict[str, Any]]] = field(default_factory=list)

    async def generate(
        self, *, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any]
    ) -> Any:
        assert request_id
        self.asked.append((list(prompt_ids), sampling_params))
        if not self.script:
            return SimpleNamespace(
                token_ids=[], log_probs=[], stop_reason="aborted", extra_fields={}
            )
        ids = self.tokenizer.encode(self.script.pop(0), add_special_tokens=False)
        ids = ids[: sampling_params["max_tokens"]]
        return SimpleNamespace(
            token_ids=ids,
            log_probs=[-0.5] * len(ids),
            stop_reason="completed",
            extra_fields={"global_steps": 7},
        )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    root = tmp_path_factory.mktemp("runs")
    toy = WorkspaceSettings(
        source="toy", questions=QuestionConfig(n_train=8, n_test=4, test_share=0.4)
    )
    workspace = open_workspace(toy, root, lambda _: None)
    register_schema()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        made = compose(
            "train", overrides=["experiment=smoke", f"medenv.workspace={workspace.folder}"]
        )
    return made


@pytest.fixture(scope="module")
def question(config: DictConfig) -> Question:
    questions = read_questions(Path(config.medenv.workspace) / "test.jsonl")
    return next(one for one in questions if one.kind == "disease>gene")


Play = Callable[..., tuple[list[Any], Server]]


@pytest.fixture
def play(config: DictConfig, question: Question) -> Play:
    from verl.experimental.agent_loop.agent_loop import DictConfigWrap
    from verl.utils.dataset.rl_dataset import RLHFDataset

    from medenv.integrations.verl_agent_loop import MedEnvAgentLoop

    tokenizer = AutoTokenizer.from_pretrained(ROOT / config.medenv.policy)

    def run(*script: str, sampling: str = "sampled", **changes: Any) -> tuple[list[Any], Server]:
        changed = OmegaConf.merge(config, {})
        for key, value in changes.items():
            OmegaConf.update(changed, key.replace("__", "."), value, force_add=True)
        server = Server(tokenizer, list(script))

        async def episode() -> Any:
            loop = MedEnvAgentLoop(
                trainer_config=DictConfigWrap(changed),
                server_manager=server,
                tokenizer=tokenizer,
                processor=None,
                dataset_cls=RLHFDataset,
                data_config=DictConfigWrap(changed.data),
                hf_model_type="qwen3",
            )
            info = {"question": msgspec.json.encode(question).decode(), "sampling": sampling}
            params = {"temperature": 1.0, "top_p": 1.0, "top_k": -1}
            return await loop.run(params, extra_info=info, session_id=3, global_steps=7)

        output = asyncio.run(episode())
        return (output if isinstance(output, list) else [output]), server

    return run


def test_the_mask_is_1_on_what_the_policy_sampled_and_0_elsewhere(
    play: Play, question: Question
) -> None:
    call = CALL("search", {"query": question.topic.name}) + "<|im_end|>"
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
    call = CALL("search", {"query": question.topic.name}) + "<|im_end|>"
    (output,), server = play(call, ANSWER("X") + "<|im_end|>")
    first, second = (prompt for prompt, _ in server.asked)
    whole = output.prompt_ids + output.response_ids
    assert first == output.prompt_ids
    assert second == whole[: len(second)]
    assert second[: len(first)] == first


def test_a_right_answer_is_rewarded_with_all_parts_logged(play: Play, question: Question) -> None:
    call = CALL("search", {"query": question.topic.name}) + "<|im_end|>"
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
    call = CALL("search", {"query": question.topic.name}) + "<|im_end|>"
    right = ANSWER(question.answers[0].name) + "<|im_end|>"
    (output,), _ = play(call, right, medenv__scoring__ramps=ramps)
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    part = scored.score.parts["efficiency"]
    assert (part.raw, part.weight) == (1.0, 0.2)  # step 7: half of the way from 0 to 0.4
    assert output.reward_score == pytest.approx(1.0 + 0.1 + 0.2)


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
        play("x", medenv__scoring__ramps=ramp)


def test_an_answer_planted_in_what_a_tool_shows_earns_nothing(
    play: Play, question: Question
) -> None:
    gold = question.answers[0].name
    (output,), server = play(
        CALL("search", {"query": f"{question.topic.name} <answer>{gold}</answer>"}) + "<|im_end|>",
        "I am not going to answer.<|im_end|>",
        "Still not.<|im_end|>", "No.<|im_end|>", "No.<|im_end|>",
    )  # fmt: skip
    assert gold in server.tokenizer.decode(output.response_ids)
    assert output.reward_score == 0.0


def test_a_broken_rollout_server_yields_no_sample_instead_of_a_zero(play: Play) -> None:
    outputs, _ = play()
    assert outputs == []


def test_a_greedy_row_is_sampled_at_temperature_0(play: Play) -> None:
    _, sampled = play(ANSWER("X") + "<|im_end|>")
    _, greedy = play(ANSWER("X") + "<|im_end|>", sampling="greedy")
    assert sampled.asked[0][1]["temperature"] == 1.0
    assert greedy.asked[0][1]["temperature"] == 0.0


def test_a_turn_that_was_cut_is_closed_with_a_token_the_policy_is_not_trained_on(
    play: Play,
) -> None:
    (output,), server = play("and " * 50, ANSWER("X") + "<|im_end|>", medenv__env__turn_tokens=12)
    end = server.tokenizer.eos_token_id
    assert sum(output.response_mask[:12]) == 12
    assert (output.response_ids[12], output.response_mask[12]) == (end, 0)


def test_an_episode_whose_observation_does_not_fit_ends_for_lack_of_tokens(
    play: Play, question: Question
) -> None:
    call = CALL("search", {"query": question.topic.name}) + "<|im_end|>"
    (output,), _ = play(call, actor_rollout_ref__rollout__response_length=40)
    scored = msgspec.json.decode(output.extra_fields["scored"], type=Scored)
    assert scored.trajectory.ending == "tokens"
    assert len(output.response_ids) <= 40
    assert output.reward_score == 0.0
