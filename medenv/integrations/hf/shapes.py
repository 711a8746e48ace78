"""The shapes of models: what their size and the memory of their tokens follow from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medenv.errors import UsageError
from medenv.records import Record


class Shape(Record, frozen=True, kw_only=True):
    """A dense decoder with grouped-query attention and a gated MLP, such as Qwen3 or Llama.

    Args:
        layers: Number of layers.
        hidden: Width of the residual stream.
        heads: Query heads of a layer.
        kv_heads: Key and value heads of a layer.
        head_dim: Width of a head.
        inner: Width of the MLP.
        vocabulary: Number of token embeddings.
        tied: Whether the output layer is the embedding.
        head_norms: Whether queries and keys are normalised by head, as in Qwen3.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    vocabulary: int
    tied: bool
    head_norms: bool = True

    @property
    def of_a_layer(self) -> int:
        """Number of parameters of one layer."""
        attention = self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)
        norms = 2 * self.hidden + 2 * self.head_dim * self.head_norms
        return attention + 3 * self.hidden * self.inner + norms

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * self.of_a_layer + self.hidden

    @property
    def kv_values(self) -> int:
        """Number of cached keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    def adapter(self, rank: int) -> int:
        """Return the number of parameters of a LoRA adapter of all linear layers.

        Args:
            rank: Its rank.
        """
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        ends = [
            *((self.hidden, queries), (self.hidden, keys), (self.hidden, keys)),
            *((queries, self.hidden), (self.hidden, self.inner), (self.hidden, self.inner)),
            (self.inner, self.hidden),
        ]
        return self.layers * rank * sum(a + b for a, b in ends)


def _qwen3(layers: int, hidden: int, heads: int, inner: int, *, tied: bool) -> Shape:
    return Shape(
        layers=layers, hidden=hidden, heads=heads, kv_heads=8, head_dim=128, inner=inner,
        vocabulary=151_936, tied=tied,
    )  # fmt: skip


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "Qwen/Qwen3-0.6B": _qwen3(28, 1024, 16, 3072, tied=True),
        "Qwen/Qwen3-1.7B": _qwen3(28, 2048, 16, 6144, tied=True),
        "Qwen/Qwen3-4B": _qwen3(36, 2560, 32, 9728, tied=True),
        "Qwen/Qwen3-8B": _qwen3(36, 4096, 32, 12288, tied=False),
        "Qwen/Qwen3-14B": _qwen3(40, 5120, 40, 17408, tied=False),
        "Qwen/Qwen3-32B": _qwen3(64, 5120, 64, 25600, tied=False),
    }
)
"""The shapes of the presets of `policy`, for machines that have not loaded the model yet.

Source: the config.json of each model, and Yang et al. 2025, Qwen3, arXiv 2505.09388, table 1.
"""


def is_known(policy: str) -> bool:
    """Return whether `shape_of` can tell a policy's shape on this machine.

    Args:
        policy: A Hugging Face folder or hub name.
    """
    return policy in SHAPES or (Path(policy) / "config.json").exists()


def shape_of(policy: str) -> Shape:
    """Return the shape of a policy.

    Args:
        policy: A Hugging Face folder, or a hub name of `SHAPES`.

    Raises:
        UsageError: No such folder or name, or a config.json that lacks a width.
    """
    file = Path(policy) / "config.json"
    if not file.exists():
        if policy in SHAPES:
            return SHAPES[policy]
        raise UsageError(
            f"the shape of {policy!r} is not known here: name a folder with a config.json, or one "
            f"of {', '.join(SHAPES)}"
        )
    try:
        return _read(json.loads(file.read_text()))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"expected a config.json with the widths of a dense decoder in {policy}: {error!r}"
        ) from error


def _read(config: Mapping[str, Any]) -> Shape:
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    return Shape(
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or hidden // heads),
        inner=int(config["intermediate_size"]),
        vocabulary=int(config["vocab_size"]),
        tied=bool(config.get("tie_word_embeddings", False)),
        head_norms="qwen3" in str(config.get("model_type", "")),
    )
