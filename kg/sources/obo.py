"""A streaming reader of ontologies in the OBO flat file format 1.2/1.4.

Format: https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from medenv.errors import DataError
from medenv.kg.sources.text import numbered_lines
from medenv.records import Record

_EXACT = re.compile(r'"(?:[^"\\]|\\.)*"\s+EXACT\b')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "W": " "}
_MANY = {"alt_id", "is_a", "synonym", "xref"}
_ONE = {"id", "name", "def", "is_obsolete"}


class Term(Record, frozen=True, kw_only=True):
    """One live or obsolete ``[Term]`` of an ontology.

    Args:
        id: Identifier, e.g. ``"HP:0001250"``.
        name: Preferred name.
        definition: Definition without its references; empty where there is none.
        synonyms: Other names of the very same concept, in the file's order: those of the scope
            EXACT. Broader, narrower and related names are names of something else.
        alt_ids: Identifiers of terms that were merged into this one.
        parents: Identifiers of the direct ``is_a`` parents.
        xrefs: Identifiers of the same concept in other vocabularies.
        obsolete: Whether the term was withdrawn.
    """

    id: str
    name: str
    definition: str = ""
    synonyms: tuple[str, ...] = ()
    alt_ids: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    obsolete: bool = False


class Ontology(Record, frozen=True, kw_only=True):
    """The terms of one OBO file.

    Args:
        version: The header's ``data-version``, as written.
        terms: All terms in the file's order.
    """

    version: str
    terms: tuple[Term, ...]


def read_obo(path: Path) -> Ontology:
    """Read an OBO file.

    Args:
        path: The file, plain or ``.gz``.

    Raises:
        DataError: The file is missing, cut short, malformed, or has no terms.
    """
    version = ""
    terms: list[Term] = []
    for stanza, start, tags in _stanzas(path):
        if stanza == "":
            version = tags.get("data-version", [""])[0]
        elif stanza == "Term":
            terms.append(_term(path, start, tags))
    if not terms:
        raise DataError(path, "expected an OBO file, found no [Term] in it")
    return Ontology(version=version, terms=tuple(terms))


def _stanzas(path: Path) -> Iterator[tuple[str, int, dict[str, list[str]]]]:
    """Yield (stanza name, first line, tag to values); the header's name is empty."""
    stanza, start = "", 1
    tags: dict[str, list[str]] = {}
    for number, line in numbered_lines(path):
        if line.startswith("[") and line.endswith("]"):
            yield stanza, start, tags
            stanza, start, tags = line[1:-1], number, {}
        elif line and not line.startswith("!"):
            tag, colon, value = line.partition(":")
            if not colon:
                raise DataError(path, f"expected 'tag: value', got {line[:60]!r}", number)
            if tag in _MANY or tag in _ONE or stanza == "":
                tags.setdefault(tag, []).append(value.strip())
    yield stanza, start, tags


def _term(path: Path, start: int, tags: dict[str, list[str]]) -> Term:
    for needed in ("id", "name"):
        if not tags.get(needed, [""])[0]:
            raise DataError(path, f"the [Term] that begins here has no {needed!r}", start)
    return Term(
        id=tags["id"][0],
        name=_unescape(tags["name"][0]),
        definition=_quoted(path, start, tags["def"][0]) if "def" in tags else "",
        synonyms=tuple(_exact(path, start, tags.get("synonym", []))),
        alt_ids=tuple(tags.get("alt_id", [])),
        parents=tuple(value.split()[0] for value in tags.get("is_a", []) if value),
        xrefs=tuple(value.split()[0] for value in tags.get("xref", []) if value),
        obsolete=tags.get("is_obsolete") == ["true"],
    )


def _exact(path: Path, start: int, values: list[str]) -> Iterator[str]:
    """Yield the synonyms of the scope EXACT; one that names no scope is RELATED."""
    for value in values:
        text = _quoted(path, start, value)
        if _EXACT.match(value):
            yield text


def _quoted(path: Path, start: int, value: str) -> str:
    found = _QUOTED.match(value)
    if found is None:
        raise DataError(path, f"a text without closing quote in this [Term]: {value[:60]!r}", start)
    return _unescape(found.group(1))


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda m: _ESCAPED.get(m.group(1), m.group(1)), text)
