"""Loss masks exact to the token under the chat templates of four families and our own."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.cli.template import toy_chats
from medenv.dialects import Hermes
from medenv.errors import UnknownNameError, UsageError
from medenv.integrations.hf.chat_template import drift_of, drifts
from medenv.integrations.hf.chat_tokens import ChatTokens
from medenv.trajectories.exports import Chat

from ..dialects.test_chat_templates import TEMPLATES, TOKENS
from ..dialects.test_chat_templates import tokenizer as plain_tokenizer

transformers = pytest.importorskip("transformers")
TINY = Path(__file__).parents[2] / "models" / "tiny_policy"
CALL = Hermes().write_call("search", {"query": "lens"}, "Let me look.")
ANSWER = Hermes().write_answer("FBN1", "There it is.")
EPISODE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Which gene?"},
    {"role": "assistant", "content": CALL},
    {"role": "tool", "content": "Gene: FBN1."},
    {"role": "assistant", "content": ANSWER},
]
CHATML = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhich gene?<|im_end|>\n"
    "<|im_start|>assistant\n",
    f"{CALL}<|im_end|>",
)
QWEN_BETWEEN = (
    "\n<|im_start|>user\n<tool_response>\nGene: FBN1.\n</tool_response><|im_end|>\n"
    "<|im_start|>assistant\n"
)
EXPECTED = {
    "qwen2_5": (*CHATML, QWEN_BETWEEN, f"{ANSWER}<|im_end|>"),
    "qwen3": (*CHATML, QWEN_BETWEEN, f"{ANSWER}<|im_end|>"),
    "llama3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhich gene?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        f"{CALL}<|eot_id|>",
        '<|start_header_id|>ipython<|end_header_id|>\n\n"Gene: FBN1."<|eot_id|>'
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        f"{ANSWER}<|eot_id|>",
    ),
    "hermes3": (
        f"<|begin_of_text|>{CHATML[0]}",
        CHATML[1],
        "\n<|im_start|>tool\n<tool_response>\nGene: FBN1.\n</tool_response><|im_end|>"
        "<|im_start|>assistant\n",
        f"{ANSWER}<|im_end|>",
    ),
    "tiny": (
        *CHATML,
        "\n<|im_start|>tool\nGene: FBN1.<|im_end|>\n<|im_start|>assistant\n",
        f"{ANSWER}<|im_end|>",
    ),
}
"""Template to prompt, turn, what stands between, turn: written out by hand."""

each_template = pytest.mark.parametrize("name", EXPECTED)


@functools.cache
def tokenizer(name: str) -> Any:
    if name == "tiny":
        return transformers.AutoTokenizer.from_pretrained(TINY)
    return plain_tokenizer(name)


@functools.cache
def chat(name: str) -> ChatTokens:
    return ChatTokens(tokenizer(name))


def decoded(name: str, ids: list[int]) -> str:
    text: str = tokenizer(name).decode(ids, skip_special_tokens=False)
    return text


def spans(ids: list[int], mask: list[int]) -> list[list[int]]:
    """The tokens of each run of equal marks."""
    out: list[list[int]] = []
    for at, token in enumerate(ids):
        if at == 0 or mask[at] != mask[at - 1]:
            out.append([])
        out[-1].append(token)
    return out


def test_every_template_of_the_fixtures_is_tried() -> None:
    assert (
        {path.stem for path in TEMPLATES.glob("*.jinja")} == set(TOKENS) == set(EXPECTED) - {"tiny"}
    )


@each_template
def test_the_mask_is_1_on_each_turn_with_its_end_and_0_elsewhere(name: str) -> None:
    made = chat(name).stream(EPISODE)
    parts = spans(made.input_ids, made.loss_mask)
    assert [decoded(name, part) for part in parts] == list(EXPECTED[name])
    assert made.loss_mask[0] == 0
    assert [part[-1] for part in parts[1::2]] == [chat(name).turn_end] * 2


@each_template
def test_token_by_token_it_is_the_parts_encoded_one_by_one(name: str) -> None:
    made = chat(name).stream(EPISODE)
    ids, mask = [], []
    for number, part in enumerate(EXPECTED[name]):
        new = tokenizer(name).encode(part, add_special_tokens=False)
        ids += new
        mask += [number % 2] * len(new)
    assert (made.input_ids, made.loss_mask) == (ids, mask)


@each_template
def test_a_turn_that_is_not_to_be_learned_from_carries_no_loss(name: str) -> None:
    made = chat(name).stream(EPISODE, [False, False, False, False, True])
    everything = chat(name).stream(EPISODE)
    assert made.input_ids == everything.input_ids
    learned = [i for i, m in zip(made.input_ids, made.loss_mask, strict=True) if m]
    assert decoded(name, learned) == EXPECTED[name][3]


texts = st.text(st.characters(codec="utf-8", exclude_characters="<>|"), min_size=1, max_size=40)


@each_template
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
def test_whatever_is_said_and_shown_each_turn_is_learned_whole(
    name: str, exchanges: list[tuple[str, str]]
) -> None:
    messages = [{"role": "user", "content": "q"}]
    for said, shown in exchanges:
        messages.append({"role": "assistant", "content": said})
        messages.append({"role": "tool", "content": shown})
    made = chat(name).stream(messages)
    learned = spans(made.input_ids, made.loss_mask)[1::2]
    end = chat(name).turn_end
    assert [part[-1] for part in learned] == [end] * len(exchanges)
    for part, (said, _) in zip(learned, exchanges, strict=True):
        assert part[:-1] == tokenizer(name).encode(said, add_special_tokens=False)


@pytest.mark.verl
@pytest.mark.filterwarnings("ignore::UserWarning")  # verl tells of engines it does not find
@pytest.mark.parametrize(
    ("name", "family"),
    [("qwen2_5", "qwen2"), ("qwen3", "qwen3"), ("tiny", "qwen3"), ("llama3", None)],
)
def test_it_is_the_stream_that_verls_agent_loop_builds(name: str, family: str | None) -> None:
    from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

    builder = create_continuous_token_builder(tokenizer(name), hf_model_type=family)
    ids = builder.build_initial_tokens(EPISODE[:2])
    for at in (2, 4):
        ids = [*ids, *chat(name).encode(EPISODE[at]["content"]), chat(name).turn_end]
        if at == 2:
            ids = builder.merge_context_tokens(EPISODE[:3], EPISODE[:4], ids).token_ids
    assert chat(name).stream(EPISODE).input_ids == ids


def with_template(template: str | None) -> Any:
    made = transformers.AutoTokenizer.from_pretrained(TINY)
    made.chat_template = template
    return made


def test_a_template_that_opens_the_thought_has_it_opened_once() -> None:
    source = tokenizer("tiny").chat_template.replace(
        "'<|im_start|>assistant\\n' -}}", "'<|im_start|>assistant\\n<think>\\n' -}}"
    )
    opened = ChatTokens(with_template(source))
    made = opened.stream(EPISODE)
    text = opened.tokenizer.decode(made.input_ids)
    assert text.count("<think>") == 2
    learned = [i for i, m in zip(made.input_ids, made.loss_mask, strict=True) if m]
    assert opened.tokenizer.decode(learned).startswith("Let me look.</think>")


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (None, "has no chat template"),
        ("{% for m in messages %}{{ m.content }};{% endfor %}", "with no control token, but"),
        ("{% for m in messages %}{{ m.role }}{% endfor %}", "leaves an assistant's text out"),
    ],
)
def test_templates_of_no_use_are_told(template: str | None, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ChatTokens(with_template(template))


def test_messages_of_no_use_are_told() -> None:
    tiny = chat("tiny")
    with pytest.raises(UsageError, match="expected turns of an assistant and a mark for each"):
        tiny.stream(EPISODE[:2])
    with pytest.raises(UsageError, match="only an assistant's turns can be learned from"):
        tiny.stream(EPISODE, [True, False, True, False, True])
    with pytest.raises(UnknownNameError, match="unknown role 'developer'"):
        tiny.stream([{"role": "developer", "content": "x"}, *EPISODE[1:]])


def episodes() -> list[Chat]:
    return toy_chats("hermes")


def test_our_own_template_does_not_drift() -> None:
    report = drift_of("tiny", chat("tiny"), episodes())
    assert (report.share, report.kinds, report.lost, report.examples) == (0.0, {"same": 22}, 0, ())


def test_a_template_that_drops_thoughts_drifts_in_its_text() -> None:
    report = drift_of("qwen3", chat("qwen3"), episodes())
    assert report.share == 1.0
    assert report.kinds == {"text": 22}
    assert len(report.examples) == 3
    for example in report.examples:
        assert "<think>" in example.generated
        assert example.generated != example.encoded
    assert 0 < report.lost < report.tokens


def test_tokens_merged_across_a_border_are_drift_of_the_same_text() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocab = {one: i for i, one in enumerate([*letters, "ĊĊ"])}
    model = tokenizers.models.BPE(vocab=vocab, merges=[("Ċ", "Ċ")])
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    merging = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, chat_template=tokenizer("tiny").chat_template
    )
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "\nwith a line end first"},
    ]
    one = Chat(
        messages=messages, learn=[False, True], question="train:0", part="", specialty="",
        hops=1, calls=0,
    )  # fmt: skip
    (report,) = drifts(merging, [one])
    assert report.kinds == {"tokens": 1}
    (example,) = report.examples
    assert example.kind == "tokens"
    with pytest.raises(UsageError, match="a drift report needs episodes, got none"):
        list(drifts(merging, []))


def test_the_command_prints_a_report_and_tells_of_a_folder_without_a_tokenizer() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "medenv.cli", "check-template", *arguments]
        program = "from medenv.cli.main import main; main()"
        command = [sys.executable, "-c", program, "check-template", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    done = run(str(TINY), "--json")
    assert done.returncode == 0, done.stderr
    assert '"kinds": {' in done.stdout
    missing = run("/no/such/folder")
    assert missing.returncode == 2
    assert "expected the folder of a policy or of its tokenizer" in missing.stderr
