"""The ask tool: reveals a patient's findings one question at a time."""

from __future__ import annotations

from collections.abc import Iterable

from medenv.diagnosis.cases import Patient, passage_id
from medenv.diagnosis.model import DiseaseModel
from medenv.text import name_key
from medenv.tools.base import Tool, ToolOutput

MAX_REVEALED = 3
"""Maximum number of findings that one question reveals; a broader question must be refined."""


class Ask(Tool):
    """Tool that answers questions about patients' findings.

    Args:
        patients: Patients with unique ids.
        diseases: The findings' names and implications.
    """

    name = "ask"

    def __init__(self, patients: Iterable[Patient], diseases: DiseaseModel) -> None:
        super().__init__()
        self._patients = {name_key(patient.id): patient for patient in patients}
        self._model, self._names = diseases, diseases.names

    def call(self, patient: str, finding: str) -> ToolOutput:
        """Examine a patient for a finding, or for a whole group of findings by its name.

        Args:
            patient: Id of the patient as the question gives it.
            finding: Name of one finding, such as a sign, a symptom or a test result.
        """
        case = self._patients.get(name_key(patient))
        if case is None:
            text = f"there is no patient {patient[:80]!r}: use the id in the question"
            return ToolOutput(text=text, status="bad_call")
        found = self._names.find(finding)
        if not found:
            return ToolOutput(text=self._names.unknown("finding", finding), status="bad_call")
        asked, implies = found[0], self._model.implies
        below = [present for present in case.present if implies(present, asked.id)]
        if len(below) > MAX_REVEALED:
            text = f"{asked.name}: present, in {len(below)} ways; ask more precisely."
            return ToolOutput(text=text)
        if below:
            names = ", ".join(self._model.finding(present).name for present in below)
            more = "" if below == [asked.id] else f" ({names})"
            passages = tuple(passage_id(case, present) for present in below)
            text = f"{asked.name}: present{more}."
            return ToolOutput(text=text, passages=passages, numbered=False)
        ruled_out = case.complete or any(implies(asked.id, absent) for absent in case.absent)
        if ruled_out:
            return ToolOutput(text=f"{asked.name}: absent.")
        return ToolOutput(text=f"{asked.name}: not on record.", status="empty")
