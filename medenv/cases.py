"""Cases to be diagnosed: simulated from a graph's frequencies, or real ones from phenopackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from medenv.errors import DataError, UsageError
from medenv.jsonl import read_records
from medenv.records import Certificate, Entity, Hop, Question
from medenv.tools.ask import Patient, passage_id
from medenv.tools.diagnosis import DiseaseModel

PRESENTING = 2
"""Findings that the question names; the others come out as the agent asks."""

_TRIES = 50


class Case(NamedTuple):
    """A patient and the question about them."""

    patient: Patient
    question: Question


class _Packet(msgspec.Struct):
    """A case as a line of a phenopackets file gives it."""

    id: str
    disease: str
    observed: list[tuple[str, str]]
    excluded: list[tuple[str, str]] = []
    sex: str | None = None
    age: str | None = None


def simulated_cases(model: DiseaseModel, n: int, *, seed: int = 0) -> list[Case]:
    """Draw cases in which the findings present fit one disease of the model alone.

    A disease is drawn, then each of its findings by how often it shows it. Case i depends on
    (seed, i) alone.

    Args:
        model: Diseases and how often they show findings.
        n: Number of cases.
        seed: Seed of the draws.

    Raises:
        UsageError: The model's diseases can hardly be told apart.
    """
    return [_simulated(model, i, seed) for i in range(n)]


def _simulated(model: DiseaseModel, i: int, seed: int) -> Case:
    rng = np.random.default_rng([seed, i])
    for _ in range(_TRIES):
        disease = model.diseases[int(rng.integers(len(model.diseases)))]
        shares = sorted(model.shown_by(disease.id).items())
        drawn = [finding for finding, share in shares if rng.random() < share]
        present = tuple(drawn[j] for j in rng.permutation(len(drawn)))
        fitting = model.fitting(present) if present else ()
        if fitting == (disease,):
            patient = Patient(id=f"CASE:{i}", disease=disease.id, present=present)
            return Case(patient, _question(model, patient, fitting, "simulated"))
    raise UsageError(
        f"none of {_TRIES} drawn patients had findings of one disease alone: the graph's diseases "
        "have too few findings of their own"
    )


def phenopacket_cases(model: DiseaseModel, path: Path | str) -> list[Case]:
    """Read real cases; those of unknown diseases or without known findings are left out.

    Args:
        model: Diseases and findings that are known.
        path: File of one case a line, ``{"id", "disease", "observed": [[id, name], ...],
            "excluded": [...], "sex", "age"}``, plain or gzipped, or a folder with such files.

    Raises:
        DataError: A file is missing or malformed, or no case is left.
    """
    cases = [case for packet in _packets(Path(path)) for case in _real(model, packet)]
    if not cases:
        raise DataError(path, "no case has a disease and findings that the graph knows")
    return cases


def _packets(path: Path) -> Iterator[_Packet]:
    files = sorted([*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")]) if path.is_dir() else [path]
    for file in files:
        yield from read_records(file, _Packet)


def _real(model: DiseaseModel, packet: _Packet) -> Iterator[Case]:
    present = tuple(dict.fromkeys(one for one, _ in packet.observed if model.find_finding(one)))
    disease = model.find_disease(packet.disease)
    if disease is None or not present:
        return
    patient = Patient(
        id=f"CASE:{packet.id}",
        disease=disease.id,
        present=present,
        absent=tuple(dict.fromkeys(one for one, _ in packet.excluded if model.find_finding(one))),
        complete=False,
        age=packet.age or "",
        sex=(packet.sex or "").lower(),
    )
    yield Case(patient, _question(model, patient, (disease,), "phenopacket"))


def _question(
    model: DiseaseModel, patient: Patient, answers: Sequence[Entity], template: str
) -> Question:
    """Ask for a patient's disease; the certificate lists the findings that prove it."""
    shown = patient.present[:PRESENTING]
    names = " and ".join(model.finding(one).name for one in shown)
    who = " ".join(part for part in (patient.sex, patient.age) if part)
    text = (
        f"Patient {patient.id}{f' ({who})' if who else ''} comes with: {names}. Which disease is "
        "it? Examine the patient for more findings before you answer."
    )
    asked = patient.present[PRESENTING:] or shown
    hop = Hop(
        head=patient.id,
        relation="has_disease",
        tail=patient.disease,
        passages=tuple(passage_id(patient, one) for one in asked),
    )
    query: list[Any] = ["fits", list(patient.present)]
    certificate = Certificate(
        query=query,
        answers=tuple(one.id for one in answers),
        path=(hop,),
        min_hops=1,
        min_calls=1,
        chance=1 / len(model.diseases),
    )
    return Question(
        id=f"test:{patient.id}",
        text=text,
        kind="patient>disease",
        split="test",
        topic=Entity(id=patient.id, kind="patient", name=patient.id),
        answers=tuple(answers),
        certificate=certificate,
        template=template,
    )
