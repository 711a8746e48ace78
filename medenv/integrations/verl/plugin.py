"""Registers medenv's advantage estimator, through the entry point `verl.plugins`.

verl loads its plugins in every process that imports it, ten of them in the smallest run, and only
one of those computes advantages. verl's module of estimators takes seconds to import. So the
registration waits until verl imports that module.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

VERLS, OURS = "verl.trainer.ppo.core_algos", "medenv.integrations.verl.advantages"
"""verl's module that holds the estimators by name, and ours that registers one there."""


class ImportAfter(MetaPathFinder, Loader):
    """Imports our module right after verl's, whenever that is imported."""

    def __init__(self) -> None:
        self._loader: Loader | None = None

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - importlib's signature
        target: ModuleType | None = None,  # noqa: ARG002 - importlib's signature
    ) -> ModuleSpec | None:
        """Find verl's module as all others are found, and stand in for its loader."""
        if name != VERLS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make verl's module."""
        return self._loader.create_module(spec) if self._loader else None

    def exec_module(self, module: ModuleType) -> None:
        """Run verl's module as its own loader does, then import ours."""
        if self._loader is not None and module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
            self._loader.exec_module(module)
        importlib.import_module(OURS)


if VERLS in sys.modules:
    importlib.import_module(OURS)
else:
    sys.meta_path.insert(0, ImportAfter())
