"""A Qwen3-shaped policy small enough to train on a laptop, with a tokenizer made for the task.

What lets a small transformer act here is copying: names from the question into a query, and from a
passage into the answer. The tokenizer makes that easy. A word carries the space that follows it,
never the one before, so that a name is cut into the same tokens in a sentence, inside JSON and
inside a tag; digits stand alone; the fixed parts of a tool call are one token each.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from medenv.build.settings import TinyPolicySettings
from medenv.errors import UsageError
from medenv.integrations.hf.copying import wire_copying

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TAGS = ("<tool_call>", "</tool_call>", "<answer>", "</answer>", "<think>", "</think>")

_CALL_PARTS = r'\{"name": ?"|", ?"arguments": ?\{"|": ?"|"\}\}'
_WORDS = rf"{_CALL_PARTS}|\n|\d ?|[^\W\d_]+ ?|[^\w\s] ?|_|\s"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""ChatML with the roles as they come, `tool` included."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer.

    Args:
        texts: What it is trained on; the training split only.
        vocabulary: Number of tokens, at least 400.

    Returns:
        A byte-level BPE tokenizer with `CHAT_TEMPLATE`.

    Raises:
        UsageError: A vocabulary too small for bytes and tags.
    """
    if vocabulary < 400:
        raise UsageError(f"the vocabulary needs at least 400 tokens, got {vocabulary}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(TAGS),
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def new_model(config: TinyPolicySettings, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """Return an untrained model.

    Args:
        config: Its shape.
        tokenizer: The tokenizer that it will read.
    """
    heads = config.hidden // config.head_dim
    shape = Qwen3Config(
        vocab_size=config.vocabulary,
        hidden_size=config.hidden,
        intermediate_size=3 * config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.context,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=True,
        initializer_range=config.initial_std,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = Qwen3ForCausalLM(shape)
    if config.copying:
        wire_copying(model, torch.Generator().manual_seed(config.seed))
    return model


def write_new_policy(folder: Path, config: TinyPolicySettings, texts: Iterable[str]) -> int:
    """Write tokenizer and untrained weights as a Hugging Face folder.

    Args:
        folder: Where to.
        config: Shape of the model.
        texts: What the tokenizer is trained on.

    Returns:
        Number of parameters.
    """
    tokenizer = train_tokenizer(texts, config.vocabulary)
    model = new_model(config, tokenizer)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())
