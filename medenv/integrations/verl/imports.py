"""Called in each process of verl before it imports anything."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Let Python look for garbage after 100,000 new objects instead of 700.

    Importing torch, tensordict, transformers and verl makes some hundred thousand objects that
    stay. Looking through them again and again takes a quarter of the time that importing takes,
    in each of ten processes. Ray calls this in its workers as `worker_process_setup_hook`.
    """
    gc.set_threshold(100_000, 20, 20)
