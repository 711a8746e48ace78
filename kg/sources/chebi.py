"""Drugs of ChEBI with their roles, and the enzymes that they inhibit.

ChEBI's roles mix therapeutic, metabolic and environmental ones, and a role is not an indication.
Only roles below *drug* and roles that say inhibitor, agonist, antagonist or blocker are read.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from medenv.data import require
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import HAS_ROLE, INHIBITS
from medenv.kg.sources.snapshots import Term, read_terms

_DRUG = "CHEBI:23888"
_MECHANISM = re.compile(r"\b(?:inhibitor|agonist|antagonist|blocker)\b")
_ENZYME = re.compile(r"EC ([\d.]+) \((.+)\) inhibitor")
_EC_PARTS = 4


def load_chebi(path: Path | str | None = None) -> Graph:
    """Read drugs, their roles and the enzymes that they inhibit.

    Args:
        path: The folder with ``chebi.json``; by default the data set `chebi`.

    Raises:
        DataError: The data set is absent, or the file is malformed.
    """
    file = (require("chebi") if path is None else Path(path)) / "chebi.json"
    terms = {term.id: term for term in read_terms(file, "terms of ChEBI") if term.name}
    notes: Counter[str] = Counter()
    info = GraphInfo(
        source="ChEBI",
        version="2024-07",
        licence="ChEBI, CC BY 4.0: https://www.ebi.ac.uk/chebi",
        acknowledgement="Drugs and roles: ChEBI, EMBL-EBI.",
        notes=notes,
    )
    builder = GraphBuilder(info)
    for relation in (HAS_ROLE, INHIBITS):
        builder.relation(relation)
    below = _descendants(terms, _DRUG) - {_DRUG}
    for entity, term in sorted(terms.items()):
        own = [role for role in term.relations.get("has_role", ()) if role in terms]
        kept = [r for r in own if r in below or _MECHANISM.search(terms[r].name)]
        if not kept:
            notes["chemicals without a role of a drug, not read"] += bool(own)
            continue
        notes["roles of no drug, not read"] += len(own) - len(kept)
        if entity in builder:  # a role that has a role
            continue
        builder.node(entity, kind="drug", name=term.name, aliases=term.synonyms)
        for role in kept:
            if role in below or not (found := _ENZYME.fullmatch(terms[role].name)):
                if role not in builder:
                    builder.node(role, kind="drug_role", name=terms[role].name)
                builder.edge(entity, HAS_ROLE.name, role)
            elif found[1].count(".") == _EC_PARTS - 1:
                enzyme = f"EC:{found[1]}"
                if enzyme not in builder:
                    builder.node(enzyme, kind="enzyme", name=found[2])
                builder.edge(entity, INHIBITS.name, enzyme)
    return builder.build()


def _descendants(terms: dict[str, Term], root: str) -> set[str]:
    children: dict[str, list[str]] = {}
    for entity, term in terms.items():
        for parent in term.relations.get("is_a", ()):
            children.setdefault(parent, []).append(entity)
    found, waiting = {root}, [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found
