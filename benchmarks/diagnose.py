"""How well findings rank diseases: the diagnose tool on real cases, beside counting shared terms.

    python benchmarks/diagnose.py --cases phenopackets.jsonl.gz
    python benchmarks/diagnose.py --cases ... --orphanet orphapackets.jsonl.gz --write docs/...

Cases are lines of ``{"id", "disease", "observed": [[id, name], ...], "excluded": [...]}``, as the
phenopackets of published patients give them. Ranked are all diseases of the HPO that bear an OMIM
id, by all findings of the patient at once. A rank among equal scores is the mean over all their
orders, so that no order of ids helps. The weights were chosen on one half of the diseases; the
other half is shown beside all. Published cases and the HPO's annotations often come from the same
articles, which flatters every method alike.
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

from medenv.cases import phenopacket_cases
from medenv.errors import MedEnvError
from medenv.kg import Graph, load_hpo
from medenv.kg.rarity import by_prevalence
from medenv.kg.sources.orphapackets import load_orphapackets
from medenv.resources import COMMONEST, disease_model
from medenv.tools.ask import Patient
from medenv.tools.diagnosis import DiseaseModel, Weights

TOP = (1, 3, 10)
PLAIN = Weights(absence=0.0, coarse=1.0, prior=0.0)
Floats = NDArray[np.float64]
Score = Callable[[Patient], Floats]


class Row(NamedTuple):
    """One way to rank: share of cases among the first 1, 3 and 10, of three sets of cases."""

    name: str
    every: list[float]
    unseen: list[float]
    by_disease: list[float]
    milliseconds: float


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
    shares = by_prevalence(orphanet).values
    for node in np.flatnonzero(~np.isnan(shares)).tolist():
        share = min(float(shares[node]), COMMONEST)
        for name in (orphanet.nodes.ids[node], *orphanet.nodes.xrefs[node]):
            found[name] = max(share, found.get(name, 0.0))
    return found


def hits(scores: Floats, right: int) -> list[float]:
    """Return the chance that the right disease is among the first 1, 3 and 10."""
    better, equal = int((scores > scores[right]).sum()), int((scores == scores[right]).sum())
    return [min(max((k - better) / equal, 0.0), 1.0) for k in TOP]


def measure(name: str, score: Score, patients: Sequence[Patient], model: DiseaseModel) -> Row:
    """Rank every patient's disease."""
    numbers = {disease.id: i for i, disease in enumerate(model.diseases)}
    begun = time.process_time()
    made = np.array([hits(score(one), numbers[one.disease]) for one in patients])
    spent = time.process_time() - begun
    diseases = sorted({one.disease for one in patients})
    chosen_on = set(np.random.default_rng(0).permutation(diseases)[: len(diseases) // 2].tolist())
    unseen = np.array([one.disease not in chosen_on for one in patients])
    which = np.array([diseases.index(one.disease) for one in patients])
    each = [made[which == number].mean(axis=0) for number in range(len(diseases))]
    return Row(
        name,
        made.mean(axis=0).tolist(),
        made[unseen].mean(axis=0).tolist(),
        np.mean(each, axis=0).tolist(),
        1000 * spent / len(patients),
    )


def rows(graph: Graph, cases: Path, known: Mapping[str, float]) -> Iterable[Row]:
    """Yield what was measured of each way to rank."""
    model = disease_model(graph)
    patients = [case.patient for case in phenopacket_cases(model, cases)]
    print(f"{len(patients)} patients with {len({one.disease for one in patients})} diseases")
    ways: dict[str, Score] = {
        "shared terms": Overlap(model, upward=False),
        "shared terms, or terms below them": Overlap(model, upward=True),
        "Bayes, plain": bayes(disease_model(graph, PLAIN)),
        "Bayes, as the tool": bayes(model),
    }
    if known:
        print(f"prevalence of {sum(one.id in known for one in model.diseases)} diseases is known")
        ways["Bayes, as the tool, prevalence known"] = bayes(disease_model(graph, priors=known))
    for name, score in ways.items():
        yield measure(name, score, patients, model)


def bayes(model: DiseaseModel) -> Score:
    """Return a model's posterior as a score."""
    return lambda patient: model.posterior(patient.present, patient.absent)


def shares(values: Sequence[float]) -> str:
    """Write shares as percentages."""
    return " / ".join(f"{100 * value:.1f}" for value in values)


def page(found: Sequence[Row], graph: Graph, diseases: int, command: str) -> str:
    """Return the result as a page."""
    machine = f"Python {platform.python_version()}, one core ({platform.machine()})"
    notes = " ".join((__doc__ or "").split("\n\n")[2].split())
    lines = [
        "# How well diagnose ranks diseases\n",
        f"Measured against {diseases:,} diseases of {graph.info.label}. Repeat it with\n",
        f"    {command}\n",
        "Shares of cases, in per cent, whose disease is among the first 1 / 3 / 10.\n",
        "| ranked by | all cases | unseen diseases | mean over diseases | ms a case |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in found:
        cells = " | ".join(map(shares, (row.every, row.unseen, row.by_disease)))
        lines.append(f"| {row.name} | {cells} | {row.milliseconds:.1f} |")
    lines += [f"\n{notes}\n", f"Times: {machine}.\n", f"{graph.info.acknowledgement}\n"]
    return "\n".join(lines)


def main(
    cases: Annotated[Path, typer.Option(help="File of cases.")],
    hpo: Annotated[Path | None, typer.Option(help="Folder of the HPO's files.")] = None,
    orphanet: Annotated[Path | None, typer.Option(help="File of orphapackets.")] = None,
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Measure and print."""
    graph = load_hpo(hpo)
    known = priors(load_orphapackets(orphanet)) if orphanet else {}
    found = list(rows(graph, cases, known))
    table = Table("ranked by", "all: top 1 / 3 / 10", "unseen diseases", "by disease", "ms")
    for row in found:
        cells = map(shares, (row.every, row.unseen, row.by_disease))
        table.add_row(row.name, *cells, f"{row.milliseconds:.1f}")
    Console().print(table)
    if write:
        command = "python benchmarks/diagnose.py --cases phenopackets.jsonl.gz"
        command += " --orphanet orphapackets.jsonl.gz" if orphanet else ""
        count = len(graph.of_kind("disease"))
        write.write_text(page(found, graph, count, command), encoding="utf-8")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"diagnose: {error}")
