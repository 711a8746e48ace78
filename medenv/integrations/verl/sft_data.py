"""verl's SFT data set over episodes that are tokens already, with exact loss masks.

Named in `data.custom_cls`. verl's own multi-turn data set renders text through a chat template for
each item and also trains on the template's newline after a turn; here the parquet file holds the
token ids and the mask that `medenv.trajectories.sft.lesson` computed once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset

from medenv.errors import DataError, UsageError


class SFTDataset(Dataset[dict[str, torch.Tensor]]):
    """The rows of parquet files with the columns `input_ids` and `loss_mask`.

    Args:
        parquet_files: One path or several.
        tokenizer: Unused; verl passes it.
        config: verl's `data` subtree; `max_length` bounds a row, `pad_mode` must be "no_padding".
        processor: Unused; verl passes it.
        max_samples: Use only the first rows, -1 for all.

    Raises:
        DataError: A file cannot be read, or a row is longer than `max_length`.
        UsageError: Another padding mode.
    """

    def __init__(
        self,
        parquet_files: Any,
        tokenizer: Any = None,  # noqa: ARG002 - verl's signature
        config: Any = None,
        processor: Any = None,  # noqa: ARG002 - verl's signature
        max_samples: int = -1,
    ) -> None:
        if config["pad_mode"] != "no_padding":
            raise UsageError(f"data.pad_mode must be 'no_padding', got {config['pad_mode']!r}")
        paths = [parquet_files] if isinstance(parquet_files, str) else list(parquet_files)
        self.rows: list[tuple[list[int], list[int]]] = []
        for path in paths:
            self.rows += _read(Path(path), int(config["max_length"]))
        if max_samples > 0:
            self.rows = self.rows[:max_samples]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids, mask = self.rows[index]
        return {
            "input_ids": torch.tensor(ids, dtype=torch.long),
            "position_ids": torch.arange(len(ids), dtype=torch.long),
            "loss_mask": torch.tensor(mask, dtype=torch.long),
        }


def _read(path: Path, longest: int) -> list[tuple[list[int], list[int]]]:
    try:
        table = pq.read_table(path, columns=["input_ids", "loss_mask"])
    except (OSError, ValueError) as error:
        raise DataError(path, f"expected a parquet file of lessons: {error}") from error
    rows = list(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    for number, (ids, mask) in enumerate(rows, 1):
        if len(ids) != len(mask) or len(ids) > longest:
            raise DataError(
                path,
                f"expected a mask as long as its {len(ids)} tokens and at most {longest} of them, "
                f"got a mask of {len(mask)}",
                number,
            )
    return rows
