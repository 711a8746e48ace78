"""A streaming reader of ontologies in the OBO flat file format 1.0 to 1.4.

Format: https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from medenv.errors import DataError
from medenv.io import numbered_lines
from medenv.records import Record

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(EXACT\b)?')
_TRAILING = re.compile(r"(.*?)(?:\s+\{(?:[^{}]*=[^{}]*)?\})?(?:\s+!.*)?", re.DOTALL)
"""A value with optional modifiers in braces and an optional comment."""
_STANZA = re.compile(r"\[([^\[\]]+)\](?:\s*!.*)?")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "W": " "}
_SYNONYMS = {"synonym": "", "exact_synonym": "EXACT"}
"""Tags of synonyms to their default scope; OBO 1.0 had a tag for each scope."""
_ONCE = {"id", "name", "def", "is_obsolete"}
_READ = _ONCE | {"alt_id", "is_a", "replaced_by", "xref", *_SYNONYMS}
_LOGIC = ("relationship", "intersection_of", "union_of", "equivalent_to", "disjoint_from")
"""Tags of logical statements, which are not read."""

_Tags = dict[str, list[tuple[int, str]]]
"""Tag to its line numbers and values."""


class Term(Record, frozen=True, kw_only=True):
    """One live or obsolete ``[Term]`` of an ontology.

    Args:
        id: Identifier, e.g. ``"HP:0001250"``.
        name: Preferred name; an obsolete term may have none.
        definition: Definition without its references, or ``""``.
        synonyms: Synonyms of the scope EXACT, in the file's order. Broader, narrower and related
            synonyms are names of other concepts.
        alt_ids: Identifiers of terms that were merged into this term.
        parents: Identifiers of the direct ``is_a`` parents.
        xrefs: Identifiers of the same concept in other vocabularies.
        obsolete: Whether the term was withdrawn.
        replaced_by: Identifiers of the terms that replace a withdrawn term.
    """

    id: str
    name: str
    definition: str = ""
    synonyms: tuple[str, ...] = ()
    alt_ids: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    obsolete: bool = False
    replaced_by: tuple[str, ...] = ()


class Ontology(Record, frozen=True, kw_only=True, dict=True):
    """The terms of one OBO file.

    Args:
        version: The header's ``data-version``.
        terms: All terms in the file's order.
        ignored: Ignored statements, e.g. ``"relationship part_of"``, to the number of lines.
    """

    version: str
    terms: tuple[Term, ...]
    ignored: dict[str, int] = msgspec.field(default_factory=dict)

    @cached_property
    def live(self) -> tuple[Term, ...]:
        """The terms that are not obsolete, in the file's order."""
        return tuple(term for term in self.terms if not term.obsolete)

    @cached_property
    def replaced(self) -> dict[str, str]:
        """Identifiers of merged and withdrawn terms to the live terms that replace them.

        Identifiers with several or no live replacements are left out.
        """
        live = {term.id for term in self.live}
        successors: dict[str, set[str]] = {}
        for term in self.terms:
            if term.obsolete and term.replaced_by:
                successors.setdefault(term.id, set()).update(term.replaced_by)
        for term in self.live:
            for old in term.alt_ids:
                successors.setdefault(old, set()).add(term.id)
        found = {
            old: _final_successor(old, successors, live) for old in sorted(successors.keys() - live)
        }
        return {old: new for old, new in found.items() if new is not None}


def _final_successor(old: str, successors: Mapping[str, set[str]], live: set[str]) -> str | None:
    """Follow the successors to a live term; return None if they branch or form a cycle."""
    seen = {old}
    while old not in live:
        following = successors.get(old, set())
        if len(following) != 1:
            return None
        (old,) = following
        if old in seen:
            return None
        seen.add(old)
    return old


def read_obo(path: Path) -> Ontology:
    """Read an OBO file.

    Supports trailing modifiers, comments, and continued and indented lines. Logical statements
    other than ``is_a`` are counted in `Ontology.ignored`.

    Args:
        path: The file, plain or ``.gz``.

    Raises:
        DataError: The file is missing, truncated or malformed, has no terms or a duplicate id, or
            its hierarchy has a cycle.
    """
    version = ""
    terms: dict[str, Term] = {}
    lines: dict[str, int] = {}
    ignored: Counter[str] = Counter()
    for stanza, start, tags in _stanzas(path, ignored):
        if stanza == "":
            version = tags.get("data-version", [(0, "")])[0][1]
        elif stanza == "Term":
            term = _term(path, start, tags)
            if term.id in terms:
                problem = f"duplicate term {term.id}, first at line {lines[term.id]}"
                raise DataError(path, problem, start)
            terms[term.id], lines[term.id] = term, start
    if not terms:
        raise DataError(path, "expected an OBO file, got no [Term]")
    if (cycle := _find_cycle(terms)) is not None:
        chain = " is_a ".join((*cycle, cycle[0]))
        raise DataError(path, f"the hierarchy has a cycle: {chain}", lines[cycle[0]])
    return Ontology(
        version=version, terms=tuple(terms.values()), ignored=dict(sorted(ignored.items()))
    )


def _stanzas(path: Path, ignored: Counter[str]) -> Iterator[tuple[str, int, _Tags]]:
    """Yield (stanza name, first line, tag to values); the name of the header is ``""``."""
    stanza, start = "", 1
    tags: _Tags = {}
    for number, line in _whole_lines(path):
        if line.startswith("[") and (named := _STANZA.fullmatch(line)):
            yield stanza, start, tags
            stanza, start, tags = named[1], number, {}
            continue
        tag, colon, value = line.partition(":")
        if not colon:
            raise DataError(path, f"expected 'tag: value', got {line[:60]!r}", number)
        if stanza == "" or tag in _READ:
            tags.setdefault(tag, []).append((number, value.strip()))
        elif stanza == "Term" and tag in _LOGIC:
            kind = f"{tag} {value.split()[0]}" if tag == "relationship" and value.strip() else tag
            ignored[kind] += 1
        if stanza == "" and tag == "import":
            ignored["import"] += 1
    yield stanza, start, tags


def _whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the non-empty lines without indentation; a trailing backslash continues a line."""
    begun, first = "", 0
    for number, line in numbered_lines(path):
        line = begun + line.strip()
        first = first if begun else number
        if line.endswith("\\") and (len(line) - len(line.rstrip("\\"))) % 2:
            begun = line[:-1]
            continue
        begun = ""
        if line and not line.startswith("!"):
            yield first, line
    if begun:
        raise DataError(path, "the last line ends in a backslash; is the file truncated?", first)


def _term(path: Path, start: int, tags: _Tags) -> Term:
    one: dict[str, tuple[int, str]] = {}
    for tag in _ONCE & tags.keys():
        if len(tags[tag]) > 1:
            raise DataError(path, f"duplicate {tag!r} in this [Term]", tags[tag][1][0])
        (one[tag],) = tags[tag]

    def plain(tag: str) -> str:
        return _unescape(_bare(one[tag][1])) if tag in one else ""

    withdrawn = plain("is_obsolete")
    if withdrawn not in ("", "true", "false"):
        line = one["is_obsolete"][0]
        raise DataError(path, f"expected is_obsolete: true or false, got {withdrawn!r}", line)
    for needed in ("id", "name"):
        if not plain(needed) and (needed == "id" or withdrawn != "true"):
            raise DataError(path, f"expected {needed!r} in this [Term], got none", start)
    return Term(
        id=plain("id"),
        name=plain("name"),
        definition=_quoted(path, *one["def"])[0] if "def" in one else "",
        synonyms=tuple(_exact(path, tags)),
        alt_ids=tuple(_ids(tags, "alt_id")),
        parents=tuple(_ids(tags, "is_a")),
        xrefs=tuple(_ids(tags, "xref")),
        obsolete=withdrawn == "true",
        replaced_by=tuple(_ids(tags, "replaced_by")),
    )


def _ids(tags: _Tags, tag: str) -> Iterable[str]:
    """Return the unique identifiers at the beginning of a tag's values."""
    values = (value.split(None, 1)[0] for _, value in tags.get(tag, ()) if value)
    return dict.fromkeys(_unescape(value) for value in values)


def _exact(path: Path, tags: _Tags) -> Iterator[str]:
    """Yield the synonyms of the scope EXACT; the default scope is RELATED."""
    for tag, implied in _SYNONYMS.items():
        for line, value in tags.get(tag, ()):
            text, scope = _quoted(path, line, value)
            if (scope or implied) == "EXACT":
                yield text


def _quoted(path: Path, line: int, value: str) -> tuple[str, str]:
    """Return the quoted text at the beginning of a value, and EXACT if it follows."""
    found = _QUOTED.match(value)
    if found is None:
        raise DataError(path, f"expected a text in quotes, got {value[:60]!r}", line)
    return _unescape(found[1]), found[2] or ""


def _bare(value: str) -> str:
    """Return a value without trailing modifiers and comment."""
    if "!" in value or "{" in value:
        found = _TRAILING.fullmatch(value)
        return found[1] if found else value
    return value


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda m: _ESCAPED.get(m.group(1), m.group(1)), text)


def _find_cycle(terms: Mapping[str, Term]) -> list[str] | None:
    """Return a cycle of terms, each a child of the next, or None."""
    done: set[str] = set()
    for root in terms:
        path: dict[str, Iterator[str]] = {}
        following: str | None = root
        while following is not None:
            if following in path:
                chain = list(path)
                return chain[chain.index(following) :]
            if following not in done and following in terms:
                path[following] = iter(terms[following].parents)
            following = None
            while path and following is None:
                last = next(reversed(path))
                following = next(path[last], None)
                if following is None:
                    done.add(last)
                    del path[last]
    return None
