"""Names of entities: one canonical form per name, and an index of which entity owns which name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

from medenv.io import read_json, write_bytes
from medenv.records import Entity, Record
from medenv.text import GREEK, american, fold, singular

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[+%<>=&]|(?<=\w)-(?![\w-]|\s+(?:and\b|or\b|to\b|&))")
_SYMBOL = re.compile(r"(?<![^\W\d_])[^\W\d_]{5,}+(?=-?\d)")  # whole runs alone: linear
_ARTICLE = re.compile(r"\s*(?:the|an?)\s+(?=\S)")
_POSSESSIVE = re.compile(r"'s\b|(?<=s)'(?!\w)")
_ROMAN = re.compile(r"(x{0,3}(?:ix|iv|v?i{0,3}))([a-h]?)")
_NUMBERING = re.compile(
    r"(?:^|\s)((?:type\s+)?(?:\d+[a-z]{0,2}|[ivx]+[a-h]?|[a-h]))$", re.IGNORECASE
)
_COUNTED = frozenset(("type", "subtype", "stage", "grade", "class", "factor", "group"))
_SHORT = {"&": "and", "grey": "gray"}
_GREEK = {letter: f" {name} " for letter, name in GREEK.items()}
_GREEK_LETTER = re.compile("-?([α-ω])")
_ROMAN_VALUE = {
    roman: str(value)
    for value, roman in enumerate(
        (tens + ones)
        for tens in ("", "x", "xx", "xxx")
        for ones in ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
    )
    if roman
}


@lru_cache(maxsize=1 << 16)
def normalise(text: str) -> str:
    """Return the canonical form of a name: two spellings of one name have one canonical form.

    Folded: compatibility forms (NFKC), case, accents, invisible characters, punctuation and
    spacing, a leading article, the possessive 's, Greek letters against their names, British
    against American spelling, plurals, "&" against "and", and "type II" against "type 2" against
    "2". Letters and digits are separate tokens: "IL-2" is "IL2" while "NKX2-1" is not "NKX21".

    Not folded: look-alike letters of other scripts, digits, the sign in "HER2+" and "HER2-",
    and every word that can tell two entities apart ("disease", "syndrome", "gene").

    Args:
        text: A name or an answer.

    Returns:
        Lower-case tokens joined by one space; empty where nothing legible is left.
    """
    folded = fold(text)
    if not folded.isascii():
        folded = _GREEK_LETTER.sub(lambda match: _GREEK[match[1]], folded)
    folded = _POSSESSIVE.sub("", folded)
    article = _ARTICLE.match(folded)
    tokens = _TOKEN.findall(folded, article.end() if article else 0)
    return " ".join(_fold_words(tokens, frozenset(_SYMBOL.findall(folded))))


def _fold_words(tokens: list[str], symbols: frozenset[str]) -> list[str]:
    """Fold spelling, plural and numbering of the tokens of one name.

    Symbols are words that a number is part of, and keep their last letter: CAPNS1 is not CAPN1.
    """
    out: list[str] = []
    for word in tokens:
        token = _SHORT.get(word, word)
        if out and out[-1] in _COUNTED:
            token, letter = _arabic(token)
            if out[-1] == "type" and (len(token) == 1 or token.isdigit()):
                out.pop()
            out.extend((token, letter) if letter else (token,))
        elif len(token) < 5:
            out.append(token)
        else:
            out.append(american(token) if token in symbols else _fold_word(token))
    return out


def _arabic(token: str) -> tuple[str, str]:
    """Read a Roman numeral with an optional letter after it ("iib" is "2", "b")."""
    match = _ROMAN.fullmatch(token)
    if match is None or not match[1]:
        return (_fold_word(token) if len(token) >= 5 else token), ""
    return _ROMAN_VALUE[match[1]], match[2]


def _fold_word(word: str) -> str:
    """Fold plural and British spelling of a word of five letters or more."""
    return american(singular(word))


@lru_cache(maxsize=1 << 15)
def keys_of(entity: Entity) -> tuple[str, tuple[str, ...]]:
    """Return the canonical forms of an entity's preferred name and of its other names.

    A name with commas is also known in its spoken order: "Deafness, autosomal recessive 12" is
    "autosomal recessive deafness 12".

    Args:
        entity: The entity.

    Returns:
        The preferred name's form and the others', sorted, without empty ones.
    """
    preferred = normalise(entity.name)
    others = {normalise(form) for name in (entity.name, *entity.aliases) for form in _forms(name)}
    return preferred, tuple(sorted(others - {preferred, ""}))


def _forms(name: str) -> list[str]:
    """Return a name as it stands and, where it has commas, in its spoken order."""
    parts = [part.strip() for part in name.split(",")]
    if not 2 <= len(parts) <= 4 or not all(parts):
        return [name]
    forms = [name, " ".join(reversed(parts))]
    number = _NUMBERING.search(parts[-1])
    if number is not None:
        parts[-1] = parts[-1][: number.start()]
        forms.append(" ".join((*reversed(parts), number[1])))
    return forms


class NameTable(Record, frozen=True, kw_only=True):
    """What an `EntityNames` holds, as it lies on disk.

    Args:
        kinds: Entity id to its kind.
        preferred: Canonical preferred name to the ids that bear it, sorted.
        aliases: Any other canonical name to the ids that bear it, sorted.
    """

    kinds: dict[str, str]
    preferred: dict[str, tuple[str, ...]]
    aliases: dict[str, tuple[str, ...]]


class EntityNames:
    """Index from canonical names to the entities that bear them; small, picklable, saved as JSON.

    Args:
        entities: The entities whose names are known.
    """

    def __init__(self, entities: Iterable[Entity]) -> None:
        kinds: dict[str, str] = {}
        preferred: defaultdict[str, set[str]] = defaultdict(set)
        aliases: defaultdict[str, set[str]] = defaultdict(set)
        for entity in entities:
            name, others = keys_of(entity)
            kinds[entity.id] = entity.kind
            preferred[name].add(entity.id)
            for other in others:
                aliases[other].add(entity.id)
        preferred.pop("", None)
        self._fill(
            NameTable(
                kinds=dict(sorted(kinds.items())),
                preferred={key: tuple(sorted(ids)) for key, ids in sorted(preferred.items())},
                aliases={key: tuple(sorted(ids)) for key, ids in sorted(aliases.items())},
            )
        )

    def _fill(self, table: NameTable) -> None:
        self.table = table
        by_length: defaultdict[int, list[str]] = defaultdict(list)
        for name in sorted({*table.preferred, *table.aliases}):
            by_length[len(name)].append(name)
        self._by_length = dict(by_length)
        self._words = frozenset(
            word for names in by_length.values() for name in names for word in name.split()
        )

    @classmethod
    def load(cls, path: Path | str) -> EntityNames:
        """Read an index that `save` wrote.

        Args:
            path: The file.

        Raises:
            DataError: The file is missing or is no such index.
        """
        index = cls(())
        index._fill(read_json(path, NameTable, "an index of names"))
        return index

    def save(self, path: Path | str) -> None:
        """Write the index as one JSON object.

        Args:
            path: The file, replaced where it exists.
        """
        write_bytes(path, msgspec.json.encode(self.table))

    def __getstate__(self) -> NameTable:
        return self.table

    def __setstate__(self, table: NameTable) -> None:
        self._fill(table)

    def __len__(self) -> int:
        return len(self.table.kinds)

    def __contains__(self, key: str) -> bool:
        return key in self.table.preferred or key in self.table.aliases

    def owners(self, key: str) -> frozenset[str]:
        """Return the ids of the entities that bear a canonical name.

        Args:
            key: A canonical name, from `normalise`.
        """
        table = self.table
        return frozenset((*table.preferred.get(key, ()), *table.aliases.get(key, ())))

    def kind(self, entity_id: str) -> str:
        """Return the kind of an entity, or "" where it is not in the index."""
        return self.table.kinds.get(entity_id, "")

    def knows_word(self, word: str) -> bool:
        """Return whether a token occurs in any name: a known word is not a slip of the pen."""
        return word in self._words

    def of_length(self, low: int, high: int) -> list[str]:
        """Return the canonical names of `low` to `high` characters."""
        return [name for n in range(low, high + 1) for name in self._by_length.get(n, ())]
