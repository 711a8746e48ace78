"""Diagnostic cases, simulated from a graph's frequencies or read from phenopackets."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from medenv.diagnosis.model import DiseaseModel
from medenv.errors import DataError, UsageError
from medenv.io import read_records
from medenv.records import PATIENT, Certificate, Entity, Hop, Question, Record
from medenv.text import joined, lowered

CIRCULAR = "phenopacket, circular"
"""Template of a case whose article is a source of the annotations of its disease: its findings are
looked up rather than recognised."""

_MAX_DRAWS = 50

_LEFT_OUT = ("cases of unknown diseases", "cases without a known finding", "unknown findings")
NOTES = ("cases", "findings", *_LEFT_OUT)
"""Names of the counts of `phenopacket_cases`."""

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_AGE = re.compile(rf"P(?=.)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T\S+)?")
"""ISO 8601 duration, the format of ages in phenopackets."""

_SEXES = ("female", "male")

_log = logging.getLogger(__name__)


class Patient(Record, frozen=True, kw_only=True):
    """A patient with all findings.

    Args:
        id: Id of the patient, e.g. ``"CASE:17"``.
        disease: Id of the disease.
        present: Ids of the findings that the patient has, presenting findings first.
        absent: Ids of the findings that were excluded.
        complete: Whether every finding that is neither present nor implied is absent; if false, it
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
    """Return the passage id of a patient's finding.

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
    """One line of a phenopackets file."""

    id: str
    disease: str
    observed: list[tuple[str, str]]
    excluded: list[tuple[str, str]] = []
    sex: str | None = None
    age: str | None = None
    pmids: list[str] = []


def simulated_cases(model: DiseaseModel, n: int, *, seed: int = 0) -> list[Case]:
    """Draw cases whose present findings fit exactly one disease of the model.

    Draws a disease, then each of its findings with its frequency. Case i depends only on (seed, i).

    Args:
        model: Diseases and the frequencies of their findings.
        n: Number of cases.
        seed: Seed of the draws.

    Raises:
        UsageError: The model's diseases have too similar findings.
    """
    return [_simulated(model, i, seed) for i in range(n)]


def _simulated(model: DiseaseModel, i: int, seed: int) -> Case:
    rng = np.random.default_rng([seed, i])
    for _ in range(_MAX_DRAWS):
        disease = model.diseases[int(rng.integers(len(model.diseases)))]
        shares = sorted(model.shown_by(disease.id).items())
        drawn = [finding for finding, share in shares if rng.random() < share]
        present = tuple(drawn[j] for j in rng.permutation(len(drawn)))
        fitting = model.fitting(present) if present else ()
        if fitting == (disease,):
            patient = Patient(id=f"CASE:{i}", disease=disease.id, present=present)
            return Case(patient, _question(model, patient, fitting, "simulated"))
    raise UsageError(
        f"expected findings of exactly one disease, got none in {_MAX_DRAWS} draws: the diseases "
        "of the graph have too similar findings"
    )


def phenopacket_cases(
    model: DiseaseModel, path: Path | str, notes: dict[str, int] | None = None
) -> list[Case]:
    """Read real cases from phenopackets and anonymise their ids.

    The id of a case is ``"CASE:"`` and the first ten digits of the SHA-256 of its id in the file,
    which often contains the gene and the article. Diseases and findings are matched by their ids,
    by former ids and by unique cross-references. A case with an unknown disease or without a known
    finding is skipped; a warning reports the number of skipped cases and findings.

    Args:
        model: The known diseases and findings.
        path: JSONL file of cases, ``{"id", "disease", "observed": [[id, name], ...],
            "excluded": [...], "sex", "age", "pmids"}``, plain or gzipped, or a folder with such
            files. Ages are ISO 8601 durations, such as ``"P3Y2M"``, or words.
        notes: Mapping that receives the counts of `NOTES`.

    Raises:
        DataError: A file is missing or malformed, or no case can be used.
    """
    cases: list[Case] = []
    counts = dict.fromkeys(NOTES, 0)
    ids: set[str] = set()
    source = Path(path)
    files = [source]
    if source.is_dir():
        files = sorted([*source.glob("*.jsonl"), *source.glob("*.jsonl.gz")])
    for packet in chain.from_iterable(
        read_records(file, _Packet, "a phenopacket") for file in files
    ):
        counts["cases"] += 1
        present, absent = (
            [model.find_finding(finding) for finding, _ in named]
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
                id=anonymous_id(packet.id, ids),
                disease=disease.id,
                present=tuple(dict.fromkeys(finding.id for finding in present if finding)),
                absent=tuple(dict.fromkeys(finding.id for finding in absent if finding)),
                complete=False,
                age=age_in_words(packet.age or ""),
                sex=sex if (sex := (packet.sex or "").lower()) in _SEXES else "",
                articles=tuple(f"PMID:{pmid.removeprefix('PMID:')}" for pmid in packet.pmids),
            )
            known = model.articles.get(disease.id, frozenset())
            circular = not known.isdisjoint(patient.articles)
            template = CIRCULAR if circular else "phenopacket"
            question = _question(model, patient, (disease,), template)
            cases.append(Case(patient, question))
    if notes is not None:
        notes.update(counts)
    summary = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    if not cases:
        raise DataError(
            path, f"expected cases with a disease and findings of the graph, got none ({summary})"
        )
    if any(counts[name] for name in _LEFT_OUT):
        _log.warning("%s: some cases or findings are not used (%s)", path, summary)
    return cases


def anonymous_id(source: str, taken: set[str]) -> str:
    """Return a hash of a case's id, which often contains the gene and the article.

    Args:
        source: The id in the file.
        taken: The ids that were returned before; receives the new one.
    """
    made, times = "", 0
    while not made or made in taken:
        times += 1
        name = source if times == 1 else f"{source}#{times}"
        made = f"CASE:{hashlib.sha256(name.encode()).hexdigest()[:10]}"
    taken.add(made)
    return made


def age_in_words(text: str) -> str:
    """Return an age in words, e.g. ``"3 years and 2 months old"``.

    Args:
        text: An ISO 8601 duration, e.g. ``"P3Y2M"``; other text is returned unchanged.
    """
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
    """Return the question about a patient's disease; its certificate lists the findings."""
    shown = patient.present[:PRESENTING]
    text = _vignette(model, patient, shown)
    asked = patient.present[PRESENTING:] or shown
    hop = Hop(
        head=patient.id,
        relation="has_disease",
        tail=patient.disease,
        passages=tuple(passage_id(patient, finding) for finding in asked),
    )
    query: list[Any] = ["fits", list(patient.present)]
    certificate = Certificate(
        query=query,
        answers=tuple(answer.id for answer in answers),
        path=(hop,),
        min_hops=1,
        min_calls=1,
        chance=1 / len(model.diseases),
    )
    return Question(
        id=f"test:{patient.id}",
        text=text,
        kind=PATIENT,
        split="test",
        topic=Entity(id=patient.id, kind="patient", name=patient.id),
        answers=tuple(answers),
        certificate=certificate,
        optional=tuple(gene for one in answers for gene in model.genes.get(one.id, ())),
        template=template,
    )


def _vignette(model: DiseaseModel, patient: Patient, shown: Sequence[str]) -> str:
    """Return the case as it is presented: who comes, with what, and what was excluded."""
    names = [lowered(model.finding(finding).name) for finding in shown]
    who = f"a {patient.sex or 'patient'}"
    age = f", {patient.age}," if patient.age else ""
    text = f"{who.capitalize()}{age} is seen with {joined(names)}."
    if not patient.complete and patient.absent:
        excluded = lowered(model.finding(patient.absent[0]).name)
        text += f" There is no {excluded}."
    return (
        f"{text} In the records this is {patient.id}: ask about history, examination and tests by "
        "that id. Then give the diagnosis, or up to ten as a numbered list, the likeliest first; "
        'behind it you may add the gene as "Gene: ...".'
    )


PRESENTING = 2
"""Number of findings in the question; the agent must ask for the others."""
