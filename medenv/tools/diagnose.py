"""The diagnose tool: ranks diseases by findings and suggests the most informative question."""

from __future__ import annotations

from collections.abc import Sequence

from medenv.diagnosis.model import DiseaseModel
from medenv.errors import UsageError
from medenv.tools.base import Tool, ToolOutput

MAX_FINDINGS = 200
"""Maximum number of findings of one call, present and absent together."""

MAX_SUGGESTIONS = 3
"""Maximum number of unknown names for which similar names are suggested."""


class Diagnose(Tool):
    """Tool that ranks diseases by a patient's findings.

    Args:
        diseases: Model of diseases and their findings.
        k: Number of diseases to show.

    Raises:
        UsageError: `k` below 1.
    """

    name = "diagnose"
    local = False  # milliseconds of arithmetic over all diseases

    def __init__(self, diseases: DiseaseModel, *, k: int = 5) -> None:
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}")
        super().__init__()
        self._model, self._k = diseases, k

    def call(self, present: list[str], absent: list[str] = []) -> ToolOutput:  # noqa: B006 - a schema's default, never changed
        """Rank diseases by the findings that a patient has and those that were ruled out.

        Args:
            present: Names of findings that the patient has.
            absent: Names of findings that the patient does not have.
        """
        if len(present) + len(absent) > MAX_FINDINGS:
            given = len(present) + len(absent)
            text = f"at most {MAX_FINDINGS} findings can be given at once, got {given}"
            return ToolOutput(text=text, status="bad_call")
        unknown: list[str] = []
        has, has_not = self._ids(present, unknown), self._ids(absent, unknown)
        names = self._model.names
        problems = [names.unknown("finding", name) for name in unknown[:MAX_SUGGESTIONS]]
        if len(unknown) > MAX_SUGGESTIONS:
            problems.append(f"{len(unknown) - MAX_SUGGESTIONS} more names are no findings either")
        if not has:
            problems = problems or ["name at least one finding that is present"]
            return ToolOutput(text="\n".join(problems), status="bad_call")
        ranked, asked = self._model.consult(has, has_not, self._k)
        lines = [
            f"[{rank}] {candidate.disease.name} ({candidate.disease.id}): "
            f"{candidate.probability:.1%}"
            for rank, candidate in enumerate(ranked, 1)
        ]
        if asked is not None:
            lines.append(f"Most telling to ask next: {asked.name}")
        return ToolOutput(text="\n".join([*lines, *problems]))

    def _ids(self, names: Sequence[str], unknown: list[str]) -> list[str]:
        """Return the unique ids of findings, and append unknown names to `unknown`."""
        ids: dict[str, None] = {}
        for name in names:
            found = self._model.names.find(name)
            if found:
                ids[found[0].id] = None
            else:
                unknown.append(name)
        return list(ids)
