"""Cases to be diagnosed: simulated from a graph's frequencies, or real ones from phenopackets."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from medenv.diagnosis.model import DiseaseModel
from medenv.errors import DataError, UsageError
from medenv.io import read_records
from medenv.records import Certificate, Entity, Hop, Question, Record

PRESENTING = 2
"""Findings that the question names; the others come out as the agent asks."""

_TRIES = 50

_LEFT_OUT = ("cases of unknown diseases", "cases without a known finding", "unknown findings")
NOTES = ("cases", "findings", *_LEFT_OUT)
"""What is counted while cases are read."""

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_AGE = re.compile(rf"P(?=.)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T\S+)?")
"""A duration of ISO 8601, as phenopackets give ages."""

_SEXES = ("female", "male")

_log = logging.getLogger(__name__)


class Patient(Record, frozen=True, kw_only=True):
    """A patient and what can be found out about them.

    Args:
        id: Id under which the patient is asked about, e.g. ``"CASE:17"``.
        disease: Id of the disease.
        present: Ids of the findings that the patient has, the presenting ones first.
        absent: Ids of the findings that were looked for and not found.
        complete: Whether every finding that is neither present nor implied is absent; otherwise it
            is not on record.
        age: Age in words, or ``""``.
        sex: Sex in words, or ``""``.
        articles: Ids of the articles that describe the patient; the policy never sees them.
    """

    id: str
    disease: str
    present: tuple[str, ...]
    absent: tuple[str, ...] = ()
    complete: bool = True
    age: str = ""
    sex: str = ""
    articles: tuple[str, ...] = ()


def passage_id(patient: Patient, finding: str) -> str:
    """Return the id under which a patient's finding counts as evidence.

    Args:
        patient: The patient.
        finding: Id of the finding.
    """
    return f"{patient.id}/{finding}"


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
    pmids: list[str] = []


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


def phenopacket_cases(
    model: DiseaseModel, path: Path | str, notes: dict[str, int] | None = None
) -> list[Case]:
    """Read real cases under ids that give nothing away.

    The id of a case is ``"CASE:"`` and the first ten digits of the SHA-256 of its id in the file,
    which often names the gene and the article. Diseases and findings are known by their ids, by
    former ids and by cross-references that only they have. A case of an unknown disease or without
    a known finding cannot be used; how many cases and findings are left out is logged as a warning.

    Args:
        model: Diseases and findings that are known.
        path: File of one case a line, ``{"id", "disease", "observed": [[id, name], ...],
            "excluded": [...], "sex", "age", "pmids"}``, plain or gzipped, or a folder with such
            files. Ages are durations of ISO 8601, such as ``"P3Y2M"``, or words.
        notes: Takes the counts of `NOTES`.

    Raises:
        DataError: A file is missing or malformed, or no case is left.
    """
    cases: list[Case] = []
    counts = dict.fromkeys(NOTES, 0)
    ids: set[str] = set()
    for packet in _packets(Path(path)):
        counts["cases"] += 1
        present, absent = (
            [model.find_finding(one) for one, _ in named]
            for named in (packet.observed, packet.excluded)
        )
        counts["findings"] += len(present) + len(absent)
        counts["unknown findings"] += present.count(None) + absent.count(None)
        disease = model.find_disease(packet.disease)
        if disease is None:
            counts["cases of unknown diseases"] += 1
        elif not any(present):
            counts["cases without a known finding"] += 1
        else:
            patient = Patient(
                id=_opaque(packet.id, ids),
                disease=disease.id,
                present=tuple(dict.fromkeys(one.id for one in present if one)),
                absent=tuple(dict.fromkeys(one.id for one in absent if one)),
                complete=False,
                age=_age(packet.age or ""),
                sex=sex if (sex := (packet.sex or "").lower()) in _SEXES else "",
                articles=tuple(f"PMID:{one.removeprefix('PMID:')}" for one in packet.pmids),
            )
            question = _question(model, patient, (disease,), "phenopacket")
            cases.append(Case(patient, question))
    if notes is not None:
        notes.update(counts)
    summary = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    if not cases:
        raise DataError(
            path, f"no case has a disease and findings that the graph knows ({summary})"
        )
    if any(counts[name] for name in _LEFT_OUT):
        _log.warning("%s: some cases or findings are not used (%s)", path, summary)
    return cases


def _packets(path: Path) -> Iterator[_Packet]:
    files = sorted([*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")]) if path.is_dir() else [path]
    for file in files:
        yield from read_records(file, _Packet)


def _opaque(source: str, taken: set[str]) -> str:
    """Return an id that says nothing of its source, and take it."""
    made, times = "", 0
    while not made or made in taken:
        times += 1
        name = source if times == 1 else f"{source}#{times}"
        made = f"CASE:{hashlib.sha256(name.encode()).hexdigest()[:10]}"
    taken.add(made)
    return made


def _age(text: str) -> str:
    """Return an age in words; one that is no duration of ISO 8601 is in words already."""
    found = _AGE.fullmatch(text)
    if found is None:
        return text
    parts = [
        f"{number} {unit}{'' if number == '1' else 's'}"
        for number, unit in zip(found.groups(), ("year", "month", "week", "day"), strict=True)
        if number and number.strip("0.,")
    ]
    return f"{' and '.join(parts)} old" if parts else "newborn"


def _question(
    model: DiseaseModel, patient: Patient, answers: Sequence[Entity], template: str
) -> Question:
    """Ask for a patient's disease; the certificate lists the findings that prove it."""
    shown = patient.present[:PRESENTING]
    names = " and ".join(model.finding(one).name for one in shown)
    who = ", ".join(part for part in (patient.sex, patient.age) if part)
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
