"""Public corpora by name, from files that the user has: one JSON object a line, plain or gzipped.

- ``medquad``: MedQuAD, answers to consumers' questions.
- ``orphanet``: orphapackets, definitions of rare diseases.
- ``bioasq``: BioASQ, passages of PubMed documents that experts picked.
- ``pubmed``: abstracts, ``{"pmid", "year", "sections": [{"label", "text"}]}`` or with ``text``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from medenv.errors import DataError, UnknownNameError
from medenv.io import read_records
from medenv.records import Passage
from medenv.retrieval.bm25 import BM25Retriever
from medenv.retrieval.disk import PassageFile, Passages
from medenv.retrieval.documents import DOCUMENTS, pieces, read_documents, read_passage_lines
from medenv.retrieval.medquad import read_medquad
from medenv.retrieval.store import PassageStore
from medenv.text import AnalysisLike


class _Synonym(msgspec.Struct):
    Synonym: str | None = None


class _Text(msgspec.Struct):
    Contents: str | None = None


class _Orpha(msgspec.Struct):
    ORPHAcode: str | int
    Label: str
    creationDate: str | None = None
    Synonyms: list[_Synonym] | None = None
    TextSection: _Text | list[_Text] | None = None


class _BioAsq(msgspec.Struct):
    pmid: str | int
    passages: list[str]


class _Section(msgspec.Struct):
    text: str
    label: str = ""


class _PubMed(msgspec.Struct):
    pmid: str | int
    year: str | int | None = None
    title: str = ""
    text: str = ""
    sections: list[_Section] = []


def _medquad(path: Path) -> Iterator[Passage]:
    for one in read_medquad(path):
        text = " ".join(f"{pair.question} {pair.answer}" for pair in one.qa if pair.answer)
        yield from cut(
            f"MEDQUAD:{one.id}", one.focus, text, f"MedQuAD {one.source}", evidence="consumer"
        )


def _orphanet(path: Path) -> Iterator[Passage]:
    for one in read_records(path, _Orpha, "an orphapacket"):
        sections = one.TextSection if isinstance(one.TextSection, list) else [one.TextSection]
        prose = " ".join(part.Contents for part in sections if part and part.Contents)
        names = "; ".join(synonym.Synonym for synonym in one.Synonyms or () if synonym.Synonym)
        text = f"{prose} Also known as: {names}." if names else prose
        date = (one.creationDate or "")[:10]
        source = f"Orphanet {date}".strip()
        yield from cut(f"ORPHA:{one.ORPHAcode}", one.Label, text, source, date, "curated")


def read_bioasq(path: Path) -> Iterator[Passage]:
    """Yield the passages of BioASQ.

    Args:
        path: The file, one document of PubMed a line.

    Raises:
        DataError: The file is missing or malformed.
    """
    for one in read_records(path, _BioAsq, "a BioASQ document"):
        for number, text in enumerate(one.passages):
            title = f"PubMed {one.pmid}"
            yield Passage(
                id=f"BIOASQ:{one.pmid}#{number}",
                title=title,
                text=text.strip(),
                source="BioASQ PubMed",
                evidence="literature",
            )


def _pubmed(path: Path) -> Iterator[Passage]:
    for one in read_records(path, _PubMed, "a PubMed abstract"):
        parts = [f"{part.label}: {part.text}" if part.label else part.text for part in one.sections]
        text = " ".join([one.text, *parts]).strip()
        title = one.title or f"PubMed {one.pmid}"
        date = str(one.year or "")
        yield from cut(
            f"PMID:{one.pmid}", title, text, f"PubMed {date}".strip(), date, "literature"
        )


class _Source(msgspec.Struct, frozen=True):
    files: tuple[str, ...]
    load: Callable[[Path], Iterator[Passage]]


LOADERS: Mapping[str, _Source] = MappingProxyType(
    {
        "bioasq": _Source(("bioasq_snippets", "bioasq"), read_bioasq),
        "medquad": _Source(("medquad",), _medquad),
        "orphanet": _Source(("orphapackets", "orphanet"), _orphanet),
        "pubmed": _Source(("pubmed", "pubmedqa_abstracts"), _pubmed),
    }
)
"""Name to how it is read and what its file is called."""


def load_corpus(name: str, path: Path | str) -> Iterator[Passage]:
    """Yield the passages of a public corpus.

    Args:
        name: One of `LOADERS`.
        path: Its file, or a folder in which it lies.

    Raises:
        UnknownNameError: There is no such corpus.
        DataError: The file is missing or malformed.
    """
    if name not in LOADERS:
        raise UnknownNameError("corpus", name, LOADERS)
    found = _file_of(name, Path(path)) if Path(path).is_dir() else Path(path)
    if found is None:
        expected = " or ".join(f"{stem}.jsonl(.gz)" for stem in LOADERS[name].files)
        raise DataError(path, f"holds no {expected}")
    yield from LOADERS[name].load(found)


def load_corpora(folder: Path | str) -> Iterator[Passage]:
    """Yield the passages of all public corpora in a folder.

    Args:
        folder: Where their files lie.

    Raises:
        DataError: There is none, or one is malformed.
    """
    names = [name for name in LOADERS if _file_of(name, Path(folder)) is not None]
    if not names:
        raise DataError(folder, f"holds none of the corpora {', '.join(LOADERS)}")
    for name in names:
        yield from load_corpus(name, folder)


def open_corpora(folder: Path | str, *, analysis: AnalysisLike = "plain") -> BM25Retriever:
    """Return one index of all public corpora in a folder.

    Args:
        folder: Where their files lie.
        analysis: How they are indexed, see `medenv.text.Analysis`.

    Raises:
        DataError: There is none, or one is malformed.
    """
    return BM25Retriever(load_corpora(folder), analysis=analysis)


def open_passages(path: Path | str) -> Passages:
    """Return the passages of a corpus of one's own.

    Args:
        path: A JSONL file of passages (``text``, and perhaps ``id``, ``title``, ``source``,
            ``entity``, ``date``), whose texts stay on disk where it is not gzipped and no id or
            title is missing; a text, Markdown or HTML file; a folder of such documents, see
            `medenv.retrieval.documents.read_documents`; a saved index; or a folder of `LOADERS`'
            files.

    Raises:
        DataError: A file cannot be read or is no corpus, or two passages have the same id; names
            file and line.
    """
    path = Path(path)
    if path.is_dir():
        if (saved := path / "passages.jsonl").is_file():
            return PassageFile(saved)
        public = any(_file_of(name, path) is not None for name in LOADERS)
        return PassageStore(load_corpora(path) if public else read_documents(path))
    if path.suffix.lower() in DOCUMENTS:
        return PassageStore(read_documents(path))
    try:
        return PassageFile(path)
    except DataError:  # gzipped, or with passages that state no id or title, or wrong
        return PassageStore(read_passage_lines(path))


def cut(
    document: str, title: str, text: str, source: str, date: str = "", evidence: str = ""
) -> Iterator[Passage]:
    """Cut a document into passages of at most `PASSAGE_CHARS`, between words.

    Args:
        document: Its id.
        title: Its title.
        text: Its text; without any it has no passage.
        source: Source and version.
        date: Date of the text, or ``""``.
        evidence: Kind of source, one of `medenv.records.EVIDENCE`, or ``""``.
    """
    for number, piece in enumerate(pieces(text)):
        yield Passage(
            id=f"{document}#{number}",
            title=title,
            text=piece,
            source=source,
            date=date,
            evidence=evidence,
        )


def _file_of(name: str, folder: Path) -> Path | None:
    candidates = [
        folder / f"{stem}{ending}"
        for stem in LOADERS[name].files
        for ending in (".jsonl", ".jsonl.gz")
    ]
    return next((one for one in candidates if one.is_file()), None)
