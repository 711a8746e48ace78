"""The published benchmarks by name, and the rule that none of them is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from medenv.errors import UsageError
from medenv.records import Question

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "bioasq": "BioASQ",
        "browsecomp": "BrowseComp",
        "drugmechdb": "DrugMechDB",
        "gaia": "GAIA",
        "healthbench": "HealthBench",
        "hle": "HLE",
        "medbrowsecomp": "MedBrowseComp",
        "medmcqa": "MedMCQA",
        "medqa": "MedQA",
        "mmlu": "MMLU",
        "phenopackets": "Phenopackets",
        "pubmedqa": "PubMedQA",
        "rarebench": "RareBench",
        "xbench": "xbench",
    }
)
"""Name of each benchmark that can be read to its title in reports."""


def benchmark_of(kind: str) -> str:
    """Return the name of the benchmark that a kind of question belongs to, or ``""``.

    Args:
        kind: The kind, e.g. ``"bioasq:factoid"`` or ``"list:bioasq"``.
    """
    return next((part for part in kind.split(":") if part in TITLES), "")


def refuse_benchmarks(questions: Iterable[Question]) -> None:
    """Refuse to train on questions of a published benchmark.

    Args:
        questions: The questions that would be trained on.

    Raises:
        UsageError: One is of a benchmark; names the question.
    """
    for question in questions:
        if name := benchmark_of(question.kind):
            raise UsageError(
                f"question {question.id!r} is of {TITLES[name]}, a benchmark, which is never "
                "training data: train on another set, and evaluate on this one with "
                f"recipes/evaluate.py questions={name}:PATH"
            )
