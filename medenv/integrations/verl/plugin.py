"""Registers medenv's agent loop and advantage estimator, through the entry point `verl.plugins`.

verl loads its plugins in every process that imports it, ten of them in the smallest run, and only
two of those play episodes. Its module of agent loops takes longer to import than all of medenv. So
each registration waits until verl imports the module that keeps the names.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

REGISTERED = {
    "verl.experimental.agent_loop.agent_loop": "medenv.integrations.verl.agent_loop",
    "verl.trainer.ppo.core_algos": "medenv.integrations.verl.advantages",
}
"""verl's modules that keep names to those of ours that register some."""


class Afterwards(MetaPathFinder, Loader):
    """Imports a module of ours right after another one, whenever that is imported.

    Args:
        after: Name of the other module.
        then: Name of ours.
    """

    def __init__(self, after: str, then: str) -> None:
        self.after, self.then = after, then
        self._loader: Loader | None = None

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - importlib's signature
        target: ModuleType | None = None,  # noqa: ARG002 - importlib's signature
    ) -> ModuleSpec | None:
        """Find the other module as all others are found, and stand in for its loader."""
        if name != self.after:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the other module."""
        return self._loader.create_module(spec) if self._loader else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the other module as its own loader does, then import ours."""
        if self._loader is not None and module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
            self._loader.exec_module(module)
        importlib.import_module(self.then)


for after, then in REGISTERED.items():
    if after in sys.modules:
        importlib.import_module(then)
    else:
        sys.meta_path.insert(0, Afterwards(after, then))
