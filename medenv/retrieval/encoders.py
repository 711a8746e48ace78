"""Encoders: callables that turn texts into vectors, by name."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medenv.errors import UnknownNameError, UsageError
from medenv.registry import Registry, load_object
from medenv.text import words

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors, float, shape [texts, dimensions]. An attribute ``identity`` names it in saved
indexes; without one its module and name do."""

ENCODERS = Registry(
    "encoder",
    "medenv.encoders",
    {
        "hashed": "medenv.retrieval.encoders:HashedEncoder",
        "huggingface": "medenv.integrations.hf.encoder:HuggingFaceEncoder",
        "minilm": "medenv.integrations.hf.encoder:minilm",
    },
)
"""Encoders: callables that make an `Encode` of options."""


class HashedEncoder:
    """Projects the character n-grams of a text onto a few hundred dimensions by their hashes.

    A deterministic baseline without weights, for tests and offline use. It matches spellings, not
    meanings: a language model finds synonyms, this finds inflections and misspellings.

    Args:
        dimensions: Length of the vectors.
        shortest: Fewest characters of an n-gram.
        longest: Most characters.

    Raises:
        UsageError: A number is out of range.

    Source:
        K. Weinberger et al.: Feature Hashing for Large Scale Multitask Learning (2009).
    """

    def __init__(self, dimensions: int = 512, shortest: int = 3, longest: int = 5) -> None:
        if dimensions < 1 or not 1 <= shortest <= longest:
            raise UsageError(
                "expected dimensions >= 1 and 1 <= shortest <= longest, got "
                f"{dimensions}, {shortest} and {longest}"
            )
        self._shape = dimensions, shortest, longest
        self.identity = f"hashed n-grams of {shortest} to {longest} characters, {dimensions} wide"

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some texts.

        Args:
            texts: The texts.
        """
        dimensions = self._shape[0]
        vectors = np.zeros((len(texts), dimensions), np.float32)
        for row, text in enumerate(texts):
            found = [_hashes(word, *self._shape) for word in words(text)]
            if found:
                codes = np.concatenate(found)
                signs = np.where(codes < 0, -1.0, 1.0)
                places = np.where(codes < 0, ~codes, codes)
                vectors[row] = np.bincount(places, signs, dimensions)
        roots = np.sign(vectors) * np.sqrt(np.abs(vectors))  # repetition counts less each time
        return np.asarray(roots, np.float32)


@lru_cache(maxsize=1 << 16)
def _hashes(word: str, dimensions: int, shortest: int, longest: int) -> NDArray[np.int32]:
    """Return the dimension of each n-gram of a word, as ``~dimension`` where its sign is minus."""
    framed = f" {word} "
    codes = [
        zlib.crc32(framed[start : start + size].encode("utf-8", "surrogatepass"))
        for size in range(shortest, longest + 1)
        for start in range(max(1, len(framed) - size + 1))
    ]
    places = [(code >> 1) % dimensions for code in codes]
    return np.array([~p if c & 1 else p for p, c in zip(places, codes, strict=True)], np.int32)


def open_encoder(encoder: str | Encode, options: Mapping[str, Any] | None = None) -> Encode:
    """Return the encoder of a name.

    Args:
        encoder: A registered name, the folder or hub name of a Hugging Face model (with a slash),
            ``package.module:object``, or an encoder itself.
        options: Options of the factory.

    Raises:
        UnknownNameError: No encoder with that name is registered.
        UsageError: It cannot be imported, or does not take these options.
    """
    given = dict(options or {})
    if not isinstance(encoder, str):
        return encoder
    factory: Callable[..., Any]
    arguments: tuple[str, ...] = ()
    if encoder in ENCODERS.names():
        factory = ENCODERS.load(encoder)
    elif "/" in encoder or Path(encoder).is_dir():
        factory, arguments = ENCODERS.load("huggingface"), (encoder,)
    elif ":" in encoder:
        found = load_object("encoder", encoder)
        if not isinstance(found, type):
            if not callable(found):
                raise UsageError(f"expected encoder {encoder!r} to be callable, got {found!r:.80}")
            return found  # type: ignore[no-any-return]  # an object of another package
        factory = found
    else:
        raise UnknownNameError("encoder", encoder, ENCODERS.names())
    try:
        made: Encode = factory(*arguments, **given)
    except TypeError as error:
        raise UsageError(f"encoder {encoder!r} cannot take {given}: {error}") from error
    return made


def identity_of(encode: Encode) -> str:
    """Return the text by which a saved index names its encoder.

    Args:
        encode: The encoder.
    """
    named = getattr(encode, "__qualname__", type(encode).__qualname__)
    found: str = getattr(encode, "identity", f"{encode.__module__}:{named}")
    return found
