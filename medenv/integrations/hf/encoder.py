"""Sentence encoders from Hugging Face folders: the mean of the last hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from medenv.data import require
from medenv.errors import DataError
from medenv.io import digest, file_digest


class HuggingFaceEncoder:
    """Encodes texts with a transformer, averaging the last hidden states over the tokens of a text.

    Args:
        model: Folder or hub name of the model.
        max_tokens: Most tokens of a text; the rest is cut.
        batch: Most texts at a time.
        device: Device name; by default CUDA where it is available.

    Raises:
        DataError: The model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int = 512,
        batch: int = 64,
        device: str = "",
    ) -> None:
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            loaded: Any = AutoModel.from_pretrained(model, dtype=torch.float32)
        except (OSError, ValueError) as error:
            why = str(error).partition("\n")[0]
            raise DataError(model, f"holds no encoder that can be loaded: {why}") from error
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model = loaded.to(self._device).eval()
        self._batch = batch
        self._max_tokens = min(max_tokens, getattr(loaded.config, "max_position_embeddings", 512))
        weights = _weights(Path(model)) or loaded.config._commit_hash
        self.identity = f"transformer {weights}, {self._max_tokens} tokens"

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some texts.

        Args:
            texts: The texts.
        """
        parts = [
            self._encode(list(texts[start : start + self._batch]))
            for start in range(0, len(texts), self._batch)
        ]
        return np.concatenate(parts)

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        tokens = self._tokenizer(
            texts,
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        ).to(self._device)
        tokens.pop("token_type_ids", None)
        with torch.inference_mode():
            states = self._model(**tokens).last_hidden_state
        seen = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * seen).sum(1) / seen.sum(1).clamp(min=1)
        vectors: NDArray[np.float32] = mean.float().cpu().numpy()
        return vectors


def minilm(**options: Any) -> HuggingFaceEncoder:
    """Return the encoder of the data set `minilm`, all-MiniLM-L6-v2, which reads 256 tokens.

    Args:
        **options: Options of `HuggingFaceEncoder`.

    Raises:
        DataError: The data set is not on this machine.
    """
    return HuggingFaceEncoder(str(require("minilm")), **{"max_tokens": 256, **options})


def _weights(folder: Path) -> str:
    """Return a digest of a model's files, or an empty text where it is no folder."""
    names = ("*.safetensors", "*.bin", "config.json", "tokenizer*")
    files = sorted(one for name in names for one in folder.glob(name)) if folder.is_dir() else []
    return digest([[one.name, file_digest(one)] for one in files], 16) if files else ""
