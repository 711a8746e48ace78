"""How well findings rank diseases, and how long it takes: the diagnose tool on real cases.

    python benchmarks/diagnose.py --cases phenopackets.jsonl.gz
    python benchmarks/diagnose.py --cases ... --graph atlas
    python benchmarks/diagnose.py --cases ... --orphanet orphapackets.jsonl.gz --write docs/...

Cases are lines of ``{"id", "disease", "observed": [[id, name], ...], "excluded": [...], "pmids":
[...]}``, as the phenopackets of published patients give them. Ranked are all diseases of the graph,
of the HPO those that bear an OMIM id, by all findings of the patient at once. A rank among equal
scores is the mean over all their orders, so that no order of ids helps. The weights were chosen on
one half of the diseases, by cases on the atlas; the other half is shown beside all.

A case is circular where the article that describes the patient is also a source of the HPO's
annotations of the disease: its findings are then looked up rather than recognised. The independent
cases are the others. Where an annotation names OMIM as its source, the article behind it is not
known, so that some of the independent cases may be circular as well.
"""

from __future__ import annotations

import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from medenv.build.diagnosis import COMMONEST, disease_model
from medenv.diagnosis.cases import CIRCULAR, Case, phenopacket_cases
from medenv.diagnosis.model import DiseaseModel, Weights
from medenv.errors import MedEnvError
from medenv.kg import Graph
from medenv.kg.graph.rarity import by_prevalence
from medenv.kg.sources import open_source
from medenv.kg.sources.orphapackets import load_orphapackets
from medenv.tools.ask import Patient
from medenv.tools.diagnose import MAX_FINDINGS, MAX_SUGGESTIONS, Diagnose

TOP = (1, 3, 10)
AS_THE_TOOL = "Bayes, as the tool"
PLAIN = Weights(absence=0.0, coarse=1.0, prior=0.0, likeness=0.0, unrecorded=0.0)
INFORMATION = Weights(absence=0.0, coarse=1e-9, prior=0.0, likeness=1.0, unrecorded=0.0)
Floats = NDArray[np.float64]
Score = Callable[[Patient], Floats]


class Row(NamedTuple):
    """One way to rank: share of cases among the first 1, 3 and 10, of several sets of cases."""

    name: str
    every: list[float]
    unseen: list[float]
    by_disease: list[float]
    independent: list[float]
    unseen_independent: list[float]


class Overlap:
    """Counts the findings that a patient shares with each disease.

    Args:
        model: Diseases and findings.
        upward: Whether a disease also has what is above its findings.
    """

    def __init__(self, model: DiseaseModel, *, upward: bool) -> None:
        self._size = len(model.diseases)
        numbers = {finding.id: i for i, finding in enumerate(model.findings)}
        rows: defaultdict[str, set[int]] = defaultdict(set)
        for row, disease in enumerate(model.diseases):
            for finding in model.shown_by(disease.id):
                above = model.ancestors(numbers[finding]) if upward else (numbers[finding],)
                for one in above:
                    rows[model.findings[one].id].add(row)
        self._rows = {finding: np.array(sorted(found)) for finding, found in rows.items()}

    def __call__(self, patient: Patient) -> Floats:
        """Return the count for each disease."""
        counts = np.zeros(self._size)
        for finding in patient.present:
            counts[self._rows.get(finding, [])] += 1
        return counts


def priors(orphanet: Graph) -> dict[str, float]:
    """Return prevalence by disease, Orphanet's own ids and those they say they are exactly."""
    found: dict[str, float] = {}
    shares = by_prevalence(orphanet)
    for node in np.flatnonzero(~np.isnan(shares)).tolist():
        share = min(float(shares[node]), COMMONEST)
        for name in (orphanet.nodes.ids[node], *orphanet.nodes.xrefs[node]):
            found[name] = max(share, found.get(name, 0.0))
    return found


def hits(scores: Floats, right: int) -> list[float]:
    """Return the chance that the right disease is among the first 1, 3 and 10."""
    better, equal = int((scores > scores[right]).sum()), int((scores == scores[right]).sum())
    return [min(max((k - better) / equal, 0.0), 1.0) for k in TOP]


def circular(cases: Sequence[Case]) -> NDArray[np.bool_]:
    """Return for each case whether its article is a source of its disease's annotations."""
    return np.array([case.question.template == CIRCULAR for case in cases])


def measure(
    name: str, score: Score, cases: Sequence[Case], model: DiseaseModel, same: NDArray[np.bool_]
) -> Row:
    """Rank every patient's disease."""
    numbers = {disease.id: i for i, disease in enumerate(model.diseases)}
    patients = [case.patient for case in cases]
    made = np.array([hits(score(one), numbers[one.disease]) for one in patients])
    diseases = sorted({one.disease for one in patients})
    chosen_on = set(np.random.default_rng(0).permutation(diseases)[: len(diseases) // 2].tolist())
    unseen = np.array([one.disease not in chosen_on for one in patients])
    which = np.array([diseases.index(one.disease) for one in patients])
    each = [made[which == number].mean(axis=0) for number in range(len(diseases))]
    sets = (made, made[unseen], np.array(each), made[~same], made[unseen & ~same])
    return Row(name, *(one.mean(axis=0).tolist() for one in sets))


def rows(
    graph: Graph,
    model: DiseaseModel,
    cases: Sequence[Case],
    known: Mapping[str, float],
    same: NDArray[np.bool_],
) -> Iterable[Row]:
    """Yield what was measured of each way to rank."""
    ways: dict[str, Score] = {
        "shared terms": Overlap(model, upward=False),
        "shared terms, or terms below them": Overlap(model, upward=True),
        "information in common": bayes(disease_model(graph, INFORMATION)),
        "likelihood ratios": bayes(disease_model(graph, PLAIN)),
        AS_THE_TOOL: bayes(model),
    }
    if known:
        ways["Bayes, as the tool, prevalence known"] = bayes(disease_model(graph, priors=known))
    for name, score in ways.items():
        yield measure(name, score, cases, model, same)


class Timing(NamedTuple):
    """Processor time of one kind of call, in milliseconds."""

    name: str
    calls: int
    median: float
    p99: float
    most: float


def timings(model: DiseaseModel, cases: Sequence[Case]) -> Iterable[Timing]:
    """Yield how long calls of the tool take: usual ones, and the worst that a policy can write."""
    tool = Diagnose(model)
    names = {one.id: one.name for one in model.findings}
    usual = [
        ([names[one] for one in p.present], [names[one] for one in p.absent])
        for p in (case.patient for case in cases[:: max(1, len(cases) // 2000)])
    ]
    # Findings of most diseases are dearest: their columns are longest.
    frequent = sorted(model.findings, key=lambda one: -len(model.fitting([one.id])))
    dearest = [one.name for one in frequent[:MAX_FINDINGS]]
    mistyped = [f"{name[:-1]}x" for name in dearest]
    kinds: dict[str, list[tuple[list[str], list[str]]]] = {
        "findings of a real case": usual,
        f"the {MAX_FINDINGS} commonest findings, present": [(dearest, [])] * 200,
        f"the {MAX_FINDINGS} commonest findings, absent but one": [(dearest[:1], dearest[1:])]
        * 200,
        f"{MAX_FINDINGS} mistyped names": [(mistyped, [])] * 200,
        "100,000 names": [(mistyped * (100_000 // len(mistyped)), [])] * 200,
        "one name of 1,000,000 characters": [(["x" * 1_000_000], [])] * 50,
    }
    for name, calls in kinds.items():
        tool.call(*calls[0])
        spent = []
        for call in calls:
            begun = time.process_time()
            tool.call(*call)
            spent.append(1000 * (time.process_time() - begun))
        yield Timing(name, len(calls), *np.percentile(spent, [50, 99, 100]).tolist())


def bayes(model: DiseaseModel) -> Score:
    """Return a model's posterior as a score."""
    return lambda patient: model.posterior(patient.present, patient.absent)


def shares(values: Sequence[float]) -> str:
    """Write shares as percentages."""
    return " / ".join(f"{100 * value:.1f}" for value in values)


HEADS = ("all cases", "unseen diseases", "mean over diseases")
INDEPENDENT = ("independent cases", "independent cases of unseen diseases")


def summary(cases: Sequence[Case], same: NDArray[np.bool_], notes: Mapping[str, int]) -> str:
    """Return what was read, in words."""
    counts = ", ".join(f"{count:,} {name}" for name, count in notes.items())
    diseases = len({case.patient.disease for case in cases})
    others = len({case.patient.disease for case, one in zip(cases, same, strict=True) if not one})
    return (
        f"Read: {counts}. Ranked are {len(cases):,} cases with {diseases} diseases. In "
        f"{int(same.sum()):,} of them ({same.mean():.1%}) the article is a source of the "
        f"annotations; {int((~same).sum()):,} cases with {others} diseases are independent."
    )


def page(
    found: Sequence[Row], times: Sequence[Timing], graph: Graph, read: str, command: str
) -> str:
    """Return the result as a page."""
    machine = f"Python {platform.python_version()}, one core ({platform.machine()})"
    notes = (__doc__ or "").strip().split("\n\n")[2:]
    (tool,) = [row for row in found if row.name == AS_THE_TOOL]
    lines = [
        "# How well diagnose ranks diseases\n",
        f"Measured against {len(graph.of_kind('disease')):,} diseases of {graph.info.label}. "
        "Repeat it with\n",
        f"    {command}\n",
        f"{read}\n",
        f"The tool's first diagnosis is right in {tool.every[0]:.1%} of all cases, but in "
        f"{tool.independent[0]:.1%} of the independent ones, which is what to expect of a patient "
        "whose description the annotations do not know.\n",
        "Shares of cases, in per cent, whose disease is among the first 1 / 3 / 10.\n",
        f"| ranked by | {' | '.join(HEADS)} |",
        "|---|--:|--:|--:|",
    ]
    lines += [f"| {row.name} | {' | '.join(map(shares, row[1:4]))} |" for row in found]
    lines += [
        "\nThe independent part alone:\n",
        f"| ranked by | {' | '.join(INDEPENDENT)} |",
        "|---|--:|--:|",
    ]
    lines += [f"| {row.name} | {' | '.join(map(shares, row[4:]))} |" for row in found]
    lines += ["", *(" ".join(note.split()) + "\n" for note in notes)]
    lines += [
        "## How long a call takes\n",
        f"Processor time of one call of the tool, in milliseconds ({machine}). A call gives at "
        f"most {MAX_FINDINGS} findings, and similar names are looked up for the first "
        f"{MAX_SUGGESTIONS} unknown names. Asynchronous drivers make these calls in a thread, off "
        "the event loop.\n",
        "| call | calls | median | p99 | slowest |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {one.name} | {one.calls:,} | {one.median:.2f} | {one.p99:.2f} | {one.most:.2f} |"
        for one in times
    ]
    return "\n".join([*lines, f"\n{graph.info.acknowledgement}\n"])


def main(
    cases: Annotated[Path, typer.Option(help="File of cases.")],
    hpo: Annotated[Path | None, typer.Option(help="Folder of the HPO's files.")] = None,
    source: Annotated[str, typer.Option("--graph", help="hpo, or atlas.")] = "hpo",
    orphanet: Annotated[Path | None, typer.Option(help="File of orphapackets.")] = None,
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Measure and print."""
    graph = open_source(source, hpo)
    known = priors(load_orphapackets(orphanet)) if orphanet else {}
    model = disease_model(graph)
    notes: dict[str, int] = {}
    read = phenopacket_cases(model, cases, notes)
    same = circular(read)
    print(told := summary(read, same, notes))
    if known:
        print(f"Prevalence of {sum(one.id in known for one in model.diseases)} diseases is known.")
    found = list(rows(graph, model, read, known, same))
    table = Table("ranked by", *HEADS, *INDEPENDENT)
    for row in found:
        table.add_row(row.name, *map(shares, row[1:]))
    times = list(timings(model, read))
    spent = Table("call", "calls", "median ms", "p99 ms", "slowest ms")
    for one in times:
        spent.add_row(one.name, f"{one.calls}", *(f"{value:.2f}" for value in one[2:]))
    console = Console()
    console.print(table)
    console.print(spent)
    if write:
        command = "python benchmarks/diagnose.py --cases phenopackets.jsonl.gz"
        command += "" if source == "hpo" else f" --graph {source}"
        command += " --orphanet orphapackets.jsonl.gz" if orphanet else ""
        write.write_text(page(found, times, graph, told, command), encoding="utf-8")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"diagnose: {error}")
