"""The tiny policy's tokenizer makes copying easy, and the loss mask covers what a policy writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen3ForCausalLM

from medenv.build.environment import make_parts
from medenv.dialects import Hermes
from medenv.errors import UsageError
from medenv.integrations.hf.chat_tokens import ChatTokens
from medenv.integrations.hf.tiny_policy import (
    TURN_END,
    TinyPolicySettings,
    new_model,
    train_tokenizer,
    write_new_policy,
)
from medenv.kg import toy_graph, toy_questions
from medenv.trajectories.exports import messages_of
from medenv.trajectories.sft import grounded, teacher_episodes
from medenv.trajectories.teachers import Guesser, Oracle

NAMES = ["Waardenburg syndrome, type 1", "KCNQ2", "β-thalassaemia (mild)", "Night lake syndrome"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    call = '<tool_call>{"name":"search","arguments":{"query":"Night lake syndrome"}}</tool_call>'
    return train_tokenizer([*NAMES, call, "Which gene is associated with it?"] * 20, 420)


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    encoded: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return encoded


def contains(whole: list[int], part: list[int]) -> bool:
    return any(whole[i : i + len(part)] == part for i in range(len(whole)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "around",
    [
        "Which gene is associated with {}?",
        '{{"name":"search","arguments":{{"query":"{}"}}}}',
        "<answer>{}</answer>",
        "[1] {}: Associated gene",
    ],
)
def test_a_name_has_the_same_tokens_wherever_it_stands(
    tokenizer: PreTrainedTokenizerFast, name: str, around: str
) -> None:
    assert contains(ids(tokenizer, around.format(name)), ids(tokenizer, name))


@pytest.mark.parametrize("text", ["", " ", "a\n\nb", "5 µg <0.05", "日本", "a  b\t c", "🧬"])
def test_every_text_survives_encoding_and_decoding(
    tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    assert tokenizer.decode(ids(tokenizer, text)) == text


def test_a_written_policy_loads_with_its_own_tokenizer(tmp_path: Path) -> None:
    small = TinyPolicySettings(vocabulary=400, hidden=48, layers=3, head_dim=16)
    parameters = write_new_policy(tmp_path, small, NAMES)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert parameters < 120_000
    rendered = loaded.apply_chat_template(
        [{"role": "user", "content": "KCNQ2?"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered == "<|im_start|>user\nKCNQ2?<|im_end|>\n<|im_start|>assistant\n"
    assert loaded.tokenize("type 1B?") == train_tokenizer(NAMES, 400).tokenize("type 1B?")
    assert loaded.eos_token == TURN_END


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of head_dim, got 100 and 64"):
        TinyPolicySettings(hidden=100)
    with pytest.raises(UsageError, match="at least 400 tokens, got 10"):
        train_tokenizer(NAMES, 10)
    with pytest.raises(UsageError, match=r"copying needs 3 layers .*, got 2 and 3"):
        TinyPolicySettings(layers=2)


def repeated(model: Qwen3ForCausalLM) -> float:
    """Mean attention of the comparing head of layer 1 to what followed the current token before."""
    model.set_attn_implementation("eager")
    generator = torch.Generator().manual_seed(3)
    once = torch.randperm(model.config.vocab_size - 10, generator=generator)[:40] + 10
    with torch.no_grad():
        out = model(input_ids=torch.cat([once, once])[None], output_attentions=True)
    return float(torch.diagonal(out.attentions[1][0, 0, 40:79], offset=1).mean())


def test_an_untrained_policy_already_looks_at_what_followed_a_token_before(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    wired = repeated(new_model(TinyPolicySettings(), tokenizer))
    assert wired > 0.3
    assert repeated(new_model(TinyPolicySettings(copying=False), tokenizer)) < wired / 5


def test_the_mask_covers_the_policys_own_text_and_its_end_of_turn_alone(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    parts = make_parts(prompt_style="minimal", tools={"search": {"k": 2}})
    graph = toy_graph()
    names = dict(zip(graph.nodes.ids, graph.nodes.names, strict=True))
    question = toy_questions().train[1]
    scored = parts.rollouts().run(Oracle(names, Hermes()).begin(question, 0), question)
    turns = scored.trajectory.turns
    messages = messages_of(scored.trajectory, parts.rules)
    made = ChatTokens(tokenizer).stream(messages)
    written = [i for i, m in zip(made.input_ids, made.loss_mask, strict=True) if m]
    shown = [i for i, m in zip(made.input_ids, made.loss_mask, strict=True) if not m]
    assert tokenizer.decode(written) == "".join(turn.text + TURN_END for turn in turns)
    for turn in turns:
        assert turn.observation in tokenizer.decode(shown)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode(made.input_ids) + "\n" == whole


def test_teachers_play_by_seed_and_number_alone() -> None:
    parts = make_parts(prompt_style="minimal")
    graph = toy_graph()
    oracle = Oracle(dict(zip(graph.nodes.ids, graph.nodes.names, strict=True)), Hermes())
    everything = [graph.entity(node) for node in range(len(graph))]
    teachers = {"oracle": (1.0, oracle), "guess": (1.0, Guesser(everything, Hermes(), seed=1))}

    def play(n: int) -> list[tuple[str, str, str]]:
        return [
            (name, one.trajectory.question.id, one.trajectory.turns[-1].text)
            for name, one in teacher_episodes(
                parts.rollouts(), parts.questions, teachers, n=n, seed=5
            )
        ]

    assert play(12)[:6] == play(6)
    assert {name for name, _, _ in play(12)} == {"oracle", "guess"}


def test_an_answer_that_no_passage_showed_is_not_worth_imitating() -> None:
    parts = make_parts(prompt_style="minimal")
    graph = toy_graph()
    names = dict(zip(graph.nodes.ids, graph.nodes.names, strict=True))
    question = toy_questions().train[0]
    rollouts = parts.rollouts()
    research = rollouts.run(Oracle(names, Hermes()).begin(question, 0), question)
    guess = Guesser(question.answers, Hermes()).begin(question, 0)
    assert grounded(research.trajectory)
    assert not grounded(rollouts.run(guess, question).trajectory)


@pytest.mark.parametrize("shares", [{}, {"oracle": 0.0}, {"oracle": -1.0}])
def test_shares_that_add_up_to_nothing_are_refused(shares: dict[str, float]) -> None:
    parts = make_parts(prompt_style="minimal")
    oracle = Oracle({}, Hermes())
    teachers = {name: (share, oracle) for name, share in shares.items()}
    with pytest.raises(UsageError, match="shares above 0"):
        list(teacher_episodes(parts.rollouts(), parts.questions, teachers, n=1, seed=0))
