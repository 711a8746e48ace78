"""Passages of one's own files: JSON lines, or text, Markdown and HTML cut into windows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from medenv.errors import DataError
from medenv.io import numbered_records, read_text
from medenv.records import Passage

PASSAGE_CHARS = 1_200
"""Longest text of a passage, characters, unless a single word is longer."""

TITLE_CHARS = 80
"""Longest title that is taken from the beginning of a text, characters."""

MARKDOWN = frozenset((".md", ".markdown"))
"""Endings of files that are read as Markdown."""

HTML = frozenset((".html", ".htm", ".xhtml"))
"""Endings of files that are read as HTML."""

DOCUMENTS = MARKDOWN | HTML | {".txt"}
"""Endings of all files that are read as documents."""

UNREADABLE = frozenset((".pdf", ".docx", ".doc", ".odt", ".rtf", ".epub"))
"""Endings of documents of which the text has to be extracted first."""

_PARAGRAPHS = re.compile(r"\n\s*\n")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*")
_CODE = re.compile(r"\s*(?:```|~~~)")


class _Section(NamedTuple):
    """A part of a document under one heading.

    Attributes:
        heading: The heading, or ``""`` before the first one.
        paragraphs: Its paragraphs.
    """

    heading: str
    paragraphs: list[str]


def passage_of(
    fields: Mapping[str, Any], path: Path, number: int | None, unnamed: str = ""
) -> Passage:
    """Return the passage that a JSON object describes.

    Args:
        fields: ``text``, and perhaps ``id``, ``title``, ``source``, ``entity`` and ``date``; others
            are ignored. A missing title is the beginning of the text; a date goes into the source.
        path: The file that it stands in.
        number: The line that it stands in.
        unnamed: Its id where it states none.

    Raises:
        DataError: There is no text, or a field is not text.
    """
    found: dict[str, str] = {}
    for name in ("id", "title", "text", "source", "entity", "date"):
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and name in ("id", "date"):
            value = str(value)
        if value is not None and not isinstance(value, str):
            problem = f"the {name} of a passage must be text, got {type(value).__name__}"
            raise DataError(path, problem, number)
        found[name] = value or ""
    if not found["text"].strip():
        known = ", ".join(map(str, fields)) or "none"
        raise DataError(path, f"expected a passage with a text, got the fields {known}", number)
    return Passage(
        id=found["id"] or unnamed,
        title=found["title"] or first_words(found["text"]),
        text=found["text"],
        source=" ".join(filter(None, (found["source"], found["date"]))),
        entity=found["entity"],
    )


def read_passage_lines(path: Path | str) -> Iterator[Passage]:
    """Yield the passages of a JSONL file; ids and titles may be missing.

    Args:
        path: The file, plain or gzipped. A passage without an id is named after file and line.

    Raises:
        DataError: The file cannot be read, a line is no passage, or two have the same id.
    """
    path, lines = Path(path), dict[str, int]()
    for number, fields in numbered_records(path, dict[str, Any], "a passage as a JSON object"):
        passage = passage_of(fields, path, number, f"{path.name}#{number}")
        if (first := lines.setdefault(passage.id, number)) != number:
            raise DataError(path, f"repeats the passage id {passage.id!r} of line {first}", number)
        yield passage


def read_documents(path: Path | str) -> Iterator[Passage]:
    """Yield the passages of a document, or of all documents in a folder and its subfolders.

    Headings become titles, and texts are cut at paragraphs into windows of at most `PASSAGE_CHARS`
    characters. Ids are ``<path in the folder>#<number>``; files come in the order of their paths.
    Hidden files and files of other kinds are skipped.

    Args:
        path: A file ending in one of `DOCUMENTS`, or a folder.

    Raises:
        DataError: A file is not UTF-8, there is no text, or there is a document of a kind in
            `UNREADABLE` without its text in a file of the same name.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = {path.name: path} if path.is_file() else _files(path)
    empty = True
    for name, file in sorted(files.items()):
        if file.suffix.lower() in UNREADABLE:
            if any(f"{name.removesuffix(file.suffix)}{ending}" in files for ending in DOCUMENTS):
                continue
            problem = f"{file.suffix} files are not read; extract the text into a .txt file beside"
            raise DataError(file, f"{problem} it, or take it out of {folder}")
        for passage in _passages(name, file):
            yield passage
            empty = False
    if empty:
        endings = ", ".join(sorted(DOCUMENTS))
        raise DataError(path, f"holds no text; expected files ending in {endings}")


def _files(folder: Path) -> dict[str, Path]:
    """Return the documents in a folder by their paths in it, whether they can be read or not."""
    found = {}
    for file in folder.rglob("*"):
        inside = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if not hidden and file.suffix.lower() in DOCUMENTS | UNREADABLE and file.is_file():
            found[inside.as_posix()] = file
    return found


def _passages(name: str, file: Path) -> Iterator[Passage]:
    text, ending = read_text(file), file.suffix.lower()
    title = ""
    if ending in HTML:
        reader = _HTMLReader()
        reader.feed(text)
        reader.close()
        title, sections = reader.title(), reader.sections
    elif ending in MARKDOWN:
        sections = _markdown(text)
    else:
        sections = [_Section("", _PARAGRAPHS.split(text))]
    title = title or next((one.heading for one in sections if one.heading), "")
    title = title or " ".join(re.split(r"[\s_]+", file.stem))
    number = 0
    for section in sections:
        inner = section.heading if section.heading != title else ""
        for window in windows(section.paragraphs):
            yield Passage(
                id=f"{name}#{number}",
                title=f"{title}: {inner}" if inner else title,
                text=window,
            )
            number += 1


def _markdown(text: str) -> list[_Section]:
    """Return the sections of a Markdown text; a "#" in a block of code is no heading."""
    sections, lines, code = [_Section("", [])], list[str](), False

    def close() -> None:
        sections[-1].paragraphs.extend(_PARAGRAPHS.split("\n".join(lines)))
        lines.clear()

    for line in text.split("\n"):
        code ^= bool(_CODE.match(line))
        if not code and (heading := _HEADING.fullmatch(line)):
            close()
            sections.append(_Section(heading[1], []))
        else:
            lines.append(line)
    close()
    return sections


class _HTMLReader(HTMLParser):
    """Reads the visible text of HTML, section by section."""

    _HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
    _HIDDEN = frozenset(("script", "style", "noscript", "template", "svg", "nav"))
    _INLINE = frozenset(
        (
            *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font"),
            *("i", "img", "ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strong", "sub"),
            *("sup", "td", "th", "time", "u", "var", "wbr"),
        )
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sections = [_Section("", [])]
        self._text: list[str] = []
        self._page_title = ""
        self._in_heading = False
        self._hidden: list[str] = []

    def title(self) -> str:
        """Return the title that the page states, or ``""``."""
        return self._page_title

    def handle_starttag(
        self,
        tag: str,
        attrs: list[tuple[str, str | None]],  # noqa: ARG002 - as `HTMLParser` has it
    ) -> None:
        """Begin a block, or what is hidden."""
        if tag in self._HIDDEN:
            self._hidden.append(tag)
        elif tag not in self._INLINE:
            self._close()
            self._in_heading |= tag in self._HEADINGS

    def handle_endtag(self, tag: str) -> None:
        """End a block, a heading, the page's title, or what is hidden."""
        if tag in self._HIDDEN:
            if tag in self._hidden:
                del self._hidden[self._hidden.index(tag) :]
        elif tag == "title":
            self._page_title = self._page_title or self._taken()
        elif tag in self._HEADINGS:
            self._in_heading = False
            if heading := self._taken():
                self.sections.append(_Section(heading, []))
        elif tag in ("td", "th"):
            self._text.append(" ")
        elif tag not in self._INLINE:
            self._close()

    def handle_data(self, data: str) -> None:
        """Take visible text."""
        if not self._hidden:
            self._text.append(data)

    def close(self) -> None:
        """End the last block."""
        super().close()
        self._close()

    def _taken(self) -> str:
        text = " ".join("".join(self._text).split())
        self._text.clear()
        return text

    def _close(self) -> None:
        if self._in_heading:
            self._text.append(" ")
        elif text := self._taken():
            self.sections[-1].paragraphs.append(text)


def windows(paragraphs: list[str]) -> Iterator[str]:
    """Yield texts of at most `PASSAGE_CHARS` characters, cut between paragraphs where possible.

    Args:
        paragraphs: The paragraphs; white space in them counts as one space.
    """
    window = ""
    for paragraph in paragraphs:
        for piece in pieces(paragraph):
            if window and len(window) + len(piece) + 2 > PASSAGE_CHARS:
                yield window
                window = ""
            window = f"{window}\n\n{piece}" if window else piece
    if window:
        yield window


def pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces of at most `PASSAGE_CHARS` characters, cut between words.

    Args:
        text: The text; white space in it counts as one space.
    """
    rest = " ".join(text.split())
    while rest:
        end = len(rest)
        if end > PASSAGE_CHARS:
            end = rest.rfind(" ", 1, PASSAGE_CHARS + 1)
            end = end if end > 0 else (rest.find(" ") if " " in rest else len(rest))
        yield rest[:end]
        rest = rest[end:].lstrip()


def first_words(text: str) -> str:
    """Return the beginning of a text as a title of at most `TITLE_CHARS` characters.

    Args:
        text: The text.
    """
    line = " ".join(text[: 10 * TITLE_CHARS].split())
    if len(line) <= TITLE_CHARS:
        return line
    return line[:TITLE_CHARS].rpartition(" ")[0] or line[:TITLE_CHARS]
