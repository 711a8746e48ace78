"""The diagnose tool: findings in, ranked diseases and the most telling next question out."""

from __future__ import annotations

from collections.abc import Sequence

from medenv.errors import UsageError
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.diagnosis import DiseaseModel
from medenv.tools.names import NameIndex


class Diagnose(Tool):
    """Ranks diseases by a patient's findings.

    Args:
        diseases: What is known of diseases and their findings.
        k: Diseases shown.

    Raises:
        UsageError: `k` below 1.
    """

    name = "diagnose"

    def __init__(self, diseases: DiseaseModel, *, k: int = 5) -> None:
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}")
        super().__init__()
        self._model, self._k = diseases, k
        self._names = NameIndex(diseases.findings)

    def call(self, present: list[str], absent: list[str] = []) -> ToolOutput:  # noqa: B006 - a schema's default, never changed
        """Rank diseases by the findings that a patient has and those that were ruled out.

        Args:
            present: Names of findings that the patient has.
            absent: Names of findings that the patient does not have.
        """
        problems: list[str] = []
        has, has_not = self._ids(present, problems), self._ids(absent, problems)
        if not has:
            problems = problems or ["name at least one finding that is present"]
            return ToolOutput(text="\n".join(problems), status="bad_call")
        lines = [
            f"[{rank}] {one.disease.name} ({one.disease.id}): {one.probability:.1%}"
            for rank, one in enumerate(self._model.rank(has, has_not, self._k), 1)
        ]
        asked = self._model.ask_next(has, has_not)
        if asked is not None:
            lines.append(f"Most telling to ask next: {asked.name}")
        return ToolOutput(text="\n".join([*lines, *problems]))

    def _ids(self, names: Sequence[str], problems: list[str]) -> list[str]:
        """Return the findings' ids, adding to `problems` what is none."""
        ids = []
        for name in names:
            found = self._names.find(name)
            if found:
                ids.append(found[0].id)
            else:
                problems.append(self._names.unknown("finding", name))
        return list(dict.fromkeys(ids))
