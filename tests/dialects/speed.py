"""Whether a parser's time grows no faster than its text."""

from __future__ import annotations

import gc
import time

from medenv.dialects import Dialect


def grows_linearly(dialect: Dialect, unit: str) -> bool:
    """Whether ten times the text takes at most about ten times the time, in processor seconds."""

    def seconds(count: int) -> float:
        text = unit * count
        begun = time.process_time()
        dialect.parse(text)
        return time.process_time() - begun

    gc.disable()
    try:
        short = min(seconds(2_000) for _ in range(5))
        return min(seconds(20_000) for _ in range(3)) < 5 * 10 * short + 0.01
    finally:
        gc.enable()
