"""The ask tool: a patient whose findings come out only as they are asked for."""

from __future__ import annotations

from collections.abc import Iterable

from medenv.diagnosis.cases import Patient, passage_id
from medenv.diagnosis.model import DiseaseModel
from medenv.text import name_key
from medenv.tools.base import Tool, ToolOutput

MOST_AT_ONCE = 3
"""Findings told by one question; a broader question has to be put more precisely."""


class Ask(Tool):
    """Answers questions about patients' findings.

    Args:
        patients: Patients of different ids.
        diseases: Knows the findings' names and how they imply each other.
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
        who = self._patients.get(name_key(patient))
        if who is None:
            text = f"there is no patient {patient[:80]!r}: use the id in the question"
            return ToolOutput(text=text, status="bad_call")
        found = self._names.find(finding)
        if not found:
            return ToolOutput(text=self._names.unknown("finding", finding), status="bad_call")
        asked, implies = found[0], self._model.implies
        below = [one for one in who.present if implies(one, asked.id)]
        if len(below) > MOST_AT_ONCE:
            text = f"{asked.name}: present, in {len(below)} ways; ask more precisely."
            return ToolOutput(text=text)
        if below:
            names = ", ".join(self._model.finding(one).name for one in below)
            more = "" if below == [asked.id] else f" ({names})"
            passages = tuple(passage_id(who, one) for one in below)
            text = f"{asked.name}: present{more}."
            return ToolOutput(text=text, passages=passages, numbered=False)
        ruled_out = who.complete or any(implies(asked.id, one) for one in who.absent)
        if ruled_out:
            return ToolOutput(text=f"{asked.name}: absent.")
        return ToolOutput(text=f"{asked.name}: not on record.", status="empty")
