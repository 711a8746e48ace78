"""Completes two modules of verl by ours, through the entry point `verl.plugins`.

verl loads its plugins in every process that imports it, ten of them in the smallest run, and only
one of those computes advantages. verl's modules take seconds to import. So each of ours waits until
verl imports the module that it completes.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

OURS = {
    "verl.trainer.ppo.core_algos": "medenv.integrations.verl.advantages",
    "verl.workers.rollout.vllm_rollout.bucketed_weight_transfer": (
        "medenv.integrations.verl.weight_sockets"
    ),
}
"""verl's module to ours: one registers an estimator there, the other gives runs their sockets."""


class ImportAfter(MetaPathFinder, Loader):
    """Imports our module right after verl's, whenever that is imported.

    Args:
        verls: Name of verl's module.
        ours: Name of ours.
    """

    def __init__(self, verls: str, ours: str) -> None:
        self._verls, self._ours = verls, ours
        self._loader: Loader | None = None

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - importlib's signature
        target: ModuleType | None = None,  # noqa: ARG002 - importlib's signature
    ) -> ModuleSpec | None:
        """Find verl's module as all others are found, and stand in for its loader."""
        if name != self._verls:
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
        importlib.import_module(self._ours)


for _verls, _ours in OURS.items():
    if _verls in sys.modules:
        importlib.import_module(_ours)
    else:
        sys.meta_path.insert(0, ImportAfter(_verls, _ours))
