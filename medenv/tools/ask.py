"""The ask tool: reveals a patient's findings one question at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rapidfuzz import fuzz

from medenv.diagnosis.cases import Patient, passage_id
from medenv.diagnosis.model import DiseaseModel
from medenv.records import Entity
from medenv.text import name_key, singular, words
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
        self._words: dict[str, frozenset[str]] = {}

    def call(self, patient: str, finding: str) -> ToolOutput:
        """Ask what a patient's record says on a finding, a part of the body, history or a test.

        Args:
            patient: Id of the patient as the question gives it.
            finding: Name of a sign, symptom or result, or what you want done: "examine the eyes",
                "MRI of the brain", "urine test", "family history".
        """
        case = self._patients.get(name_key(patient))
        if case is None:
            text = f"there is no patient {patient[:80]!r}: use the id in the question"
            return ToolOutput(text=text, status="bad_call")
        found = self._names.find(finding)
        return self._named(case, found[0]) if found else self._requested(case, finding)

    def _named(self, case: Patient, asked: Entity) -> ToolOutput:
        """Answer for one finding, with the kinds of it that the patient has."""
        implies = self._model.implies
        below = [present for present in case.present if implies(present, asked.id)]
        if len(below) > MAX_REVEALED:
            narrower = self._narrower(asked, below)
            names = ", ".join(kind.name for kind in narrower)
            text = f"{asked.name}: present, in {len(below)} ways; ask more precisely: {names}."
            return ToolOutput(text=text)
        if below:
            names = ", ".join(self._model.finding(present).name for present in below)
            more = "" if below == [asked.id] else f" ({names})"
            passages = tuple(passage_id(case, present) for present in below)
            text = f"{asked.name}: present{more}."
            return ToolOutput(text=text, passages=passages, numbered=False)
        if case.complete or any(implies(asked.id, absent) for absent in case.absent):
            return ToolOutput(text=f"{asked.name}: absent.")
        return ToolOutput(text=f"{asked.name}: not on record.", status="empty")

    def _narrower(self, asked: Entity, below: Sequence[str]) -> list[Entity]:
        """Return the kinds of a finding that a patient's findings fall under, more than one."""
        narrower = [asked]
        while len(narrower) == 1:
            kinds = self._model.kinds_of(narrower[0].id)
            found = [
                kind
                for kind in kinds
                if any(self._model.implies(present, kind.id) for present in below)
            ]
            if not found:
                break
            narrower = found
        return narrower

    def _requested(self, case: Patient, request: str) -> ToolOutput:
        """Answer a request in one's own words with the recorded findings that share a word with it.

        Words are compared with the names of a finding and of all that it is a kind of; a test
        reveals only what such a test can show. Findings that share the most words come first.
        """
        wanted, shown_by = _meant(request)
        known = [(finding, "present") for finding in case.present]
        known += [(finding, "absent") for finding in case.absent]
        fit = {finding: self._fit(finding, wanted, shown_by) for finding, _ in known}
        matching = sorted((one for one in known if fit[one[0]]), key=lambda one: -fit[one[0]])
        near = self._names.near(request) if not matching else ()
        if near and fuzz.ratio(request.lower(), near[0].lower()) >= _MISSPELT:
            return ToolOutput(text=self._names.unknown("finding", request), status="bad_call")
        if not matching:
            return ToolOutput(text=f"{request[:80]}: not on record.", status="empty")
        shown = matching[:MAX_REVEALED]
        told = "; ".join(f"{self._model.finding(one).name}: {state}" for one, state in shown)
        more = f"; and {len(matching) - len(shown)} more, ask more precisely" * (
            len(matching) > MAX_REVEALED
        )
        passages = tuple(passage_id(case, one) for one, state in shown if state == "present")
        return ToolOutput(text=f"{told}{more}.", passages=passages, numbered=False)

    def _fit(self, finding: str, wanted: frozenset[str], shown_by: frozenset[str]) -> int:
        """Return how many words a finding shares with a request; 0 if its test cannot show it."""
        own = self._words_of(finding)
        if shown_by and not shown_by & own:
            return 0
        return len(wanted & own) if wanted else len(shown_by & own)

    def _words_of(self, finding: str) -> frozenset[str]:
        known = self._words.get(finding)
        if known is None:
            entities = self._model.above(finding)
            names = [name for one in entities for name in (one.name, *one.aliases)]
            known = frozenset(singular(word) for name in names for word in words(name.lower()))
            self._words[finding] = known
        return known


_MISSPELT = 80
"""Least likeness, in per cent, of a request to the name of a finding that it misspells."""

_ANYTHING = frozenset(
    words(
        "abnormal abnormality abnormalities of the a an in or and with increased decreased absent "
        "all phenotypic morphology physiology system level levels concentration concentrations "
        "function functional constitutional other finding findings to by for on examine "
        "examination check test order history onset family patient any is there what does have"
    )
)
"""Words that say nothing about a part of the body."""

_MEANT = {
    "heart": "cardiac cardiovascular",
    "brain": "cerebral intracranial cerebellar",
    "neurological": "nervous",
    "kidney": "renal",
    "liver": "hepatic",
    "lung": "pulmonary respiratory",
    "skin": "integument",
    "bone": "skeletal",
    "muscle": "muscular musculature",
    "eye": "ocular visual",
    "ear": "hearing",
    "vision": "visual eye",
    "blood": "hematology circulating erythrocyte leukocyte thrombocyte",
    "urine": "urinary",
    "hormone": "endocrine",
    "stomach": "digestive gastric",
    "bowel": "intestinal",
    "growth": "stature height weight",
    "development": "developmental",
    "behaviour": "behavioral behavior",
    "behavior": "behavioral",
    "face": "facial",
    "hand": "finger",
    "foot": "toe",
    "immune": "infection",
}
"""Words of a request to further words of the findings that it is after."""

_IMAGE = "morphology imaging"
_SHOWN_BY = {
    "laboratory": "circulating urine plasma serum enzyme erythrocyte leukocyte thrombocyte",
    "lab": "circulating urine plasma serum enzyme erythrocyte leukocyte thrombocyte",
    "mri": _IMAGE,
    "ct": _IMAGE,
    "scan": _IMAGE,
    "imaging": _IMAGE,
    "ray": _IMAGE,
    "radiograph": _IMAGE,
    "ultrasound": _IMAGE,
    "echocardiogram": "heart cardiac",
    "echocardiography": "heart cardiac",
    "ecg": "electrocardiogram arrhythmia",
    "ekg": "electrocardiogram arrhythmia",
    "eeg": "eeg",
    "emg": "emg electromyography",
}
"""Tests to the words of the findings that such a test shows."""


def _meant(request: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words that a request looks for in names of findings, and those of its test."""
    said = {singular(word) for word in words(request.lower())} - _ANYTHING
    shown_by = {singular(word) for one in said for word in _SHOWN_BY.get(one, "").split()}
    said -= _SHOWN_BY.keys() | {"x"}
    more = {singular(word) for one in said for word in _MEANT.get(one, "").split()}
    return frozenset(said | more), frozenset(shown_by)
