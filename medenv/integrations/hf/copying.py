"""A small transformer that can copy before it has learned anything.

Research is copying: a name from the question into a query, another from a passage into the answer.
Transformers learn it as induction: a head that looks one token back, and in a later layer a head
that finds where the current token stood before and repeats what followed it there (Olsson et al.,
"In-context Learning and Induction Heads", 2022). At this size that pair takes most of the training
to appear. Here it is laid into the initial weights, roughly, and left to training to refine, as
mimetic initialisation does for attention maps (Trockman and Kolter, 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

SHARPNESS = 2.0
"""Initial scale of the normalised queries and keys in the layers that take part."""

CONSTANT, FREQUENCIES = 0.3, 4
"""Value of the embedding's constant channel, and how many rotary frequencies look back."""

LOOK_BACK, COPY, DAMPING = 2.0, 8.0, 0.1
"""Scale of what the heads write, in standard deviations of the initial weights, and of the rest."""


def wire_copying(model: Qwen3ForCausalLM, generator: torch.Generator) -> None:
    """Lay induction into the first three layers of an untrained model.

    Layer 0 has two heads that look one and two tokens back and write down what stood there; in
    layer 1 a head compares the current token with the one before each position and copies what
    stands there; in layer 2 another compares the last two tokens.

    Args:
        model: Untrained, with at least three layers, two heads, tied embeddings and a width of at
            least two and a half heads.
        generator: Draws the subspaces that the heads write to.
    """
    width, size = model.config.hidden_size, model.config.head_dim
    half, scale = size // 2, model.config.initializer_range
    now, before, earlier = _subspaces(width, (size, size, half), generator)
    layers = model.model.layers
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = CONSTANT
        for layer in layers:
            layer.self_attn.o_proj.weight *= DAMPING
            layer.mlp.down_proj.weight *= DAMPING
        for layer in layers[:3]:
            layer.self_attn.q_norm.weight.fill_(SHARPNESS)
            layer.self_attn.k_norm.weight.fill_(SHARPNESS)
        first = layers[0].self_attn
        _look_back(model, 0, distance=1)
        _move(first, 0, now, before * scale * LOOK_BACK)
        _look_back(model, 1, distance=2)
        _move(first, 1, _padded(now[:half], size), _padded(earlier, size) * scale * LOOK_BACK)
        _compare(layers[1].self_attn, now, before)
        _move(layers[1].self_attn, 0, now, now * scale * COPY)
        pair = torch.cat([now[:half], before[:half]]), torch.cat([before[:half], earlier])
        _compare(layers[2].self_attn, *pair)
        (any_,) = _subspaces(width, (size,), generator)
        _move(layers[2].self_attn, 0, any_, any_ * scale * COPY)


def _subspaces(width: int, sizes: tuple[int, ...], generator: torch.Generator) -> list[Tensor]:
    """Return orthonormal rows that leave the constant channel alone, cut into subspaces."""
    square, _ = torch.linalg.qr(torch.randn(width - 1, width - 1, generator=generator))
    rows = torch.cat([torch.zeros(width - 1, 1), square], dim=1)
    return list(torch.split(rows[: sum(sizes)], list(sizes)))


def _padded(rows: Tensor, size: int) -> Tensor:
    return torch.cat([rows, torch.zeros(size - len(rows), rows.shape[1])])


def _look_back(model: Qwen3ForCausalLM, head: int, distance: int) -> None:
    """Make a head of layer 0 attend so many tokens back, by rotating its constant query."""
    attention, size = model.model.layers[0].self_attn, model.config.head_dim
    rows, half = slice(head * size, (head + 1) * size), size // 2
    theta = model.config.rope_parameters["rope_theta"]
    angle = distance * theta ** (-2 * torch.arange(FREQUENCIES) / size)
    query, key = torch.zeros(size), torch.zeros(size)
    query[:FREQUENCIES], query[half : half + FREQUENCIES] = angle.cos(), -angle.sin()
    key[:FREQUENCIES] = 1.0
    for projection, wanted in ((attention.q_proj, query), (attention.k_proj, key)):
        projection.weight[rows] *= 0.2
        projection.weight[rows, 0] = 0.2 * wanted


def _compare(attention: Qwen3Attention, query: Tensor, key: Tensor) -> None:
    """Make head 0 compare what two subspaces hold."""
    attention.q_proj.weight[: len(query)] = query
    attention.k_proj.weight[: len(key)] = key


def _move(attention: Qwen3Attention, head: int, read: Tensor, write: Tensor) -> None:
    """Make a head carry what one subspace holds to another."""
    rows = slice(head * len(read), (head + 1) * len(read))
    attention.v_proj.weight[rows] = read
    attention.o_proj.weight[:, rows] = write.T
