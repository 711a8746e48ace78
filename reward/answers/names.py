"""Normalise names of entities, and index the entities by canonical name."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

from medenv.io import read_json, write_bytes
from medenv.records import Entity, Record
from medenv.text import GREEK, american, fold, singular

_TOKEN = re.compile(
    r"[^\W\d_]+|\d+|[+%<>=&?|~^$]|[^\x00-\x7f\w\s]"
    r"|(?<=\d)\.(?=\d)|(?<!\S)\.(?=\d)"  # a decimal point
    r"|(?<=\w)-(?![\w-]|\s+(?:and\b|or\b|to\b|&))"  # a charge
    r"|(?<=\de)-(?=\d)|(?<![\w-])-(?=\.?\d)|(?<=[(\[])-(?=[)\]])|(?<=\s)-(?=\s*$)"  # a minus
    r"|\[\s\](?=\s)"  # an unticked box
    r"|(?<=\w)\*(?=\w)|(?<!\w)!(?=[\w=])"  # a product, a negation
)
"""Words, numbers and meaningful symbols; other punctuation only separates tokens."""

_MARKS = frozenset("?|~^$!*")
"""Marks on words, without a meaning of their own."""

_SYMBOL = re.compile(r"(?<![^\W\d_])[^\W\d_]{5,}+(?=-?\d)")
_ARTICLE = re.compile(r"\s*(?:the|an?)\s+(?=\S)")
_POSSESSIVE = re.compile(r"'s\b|(?<=s)'(?!\w)")
_COMPARISONS = str.maketrans({"≤": "<=", "⩽": "<=", "≦": "<=", "≥": ">=", "⩾": ">=", "≧": ">="})
_SUBTYPE_I = re.compile(r"\b([IVX]+)i\b")
_ROMAN = re.compile(r"(x{0,3}(?:ix|iv|v?i{0,3}))([a-h]?)")
_NUMBERING = re.compile(
    r"(?:^|\s)((?:type\s+)?(?:\d+[a-z]{0,2}|[ivx]+[a-h]?|[a-h]))$", re.IGNORECASE
)
_TYPE_FIRST = re.compile(r"(type\s+(?:\d+[a-z]?|[ivx]+[a-h]?|[a-h]))\s+(\S.*)", re.IGNORECASE)
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u2010\u2011](?=[^\W\d_][^\W\dA-Z_])")
_COUNTED = frozenset(("type", "subtype", "stage", "grade", "class", "factor", "group"))
_NUMBERED = frozenset(("deficiency", "disease", "dysplasia", "syndrome"))
_SHORT = {"&": "and", "grey": "gray", "disk": "disc"}
_GREEK = {letter: f" {name} " for letter, name in GREEK.items()}
_GREEK_LETTER = re.compile(r"-?([α-ω])(?:-(?=\w))?")
_ROMAN_VALUE = {
    roman: str(value)
    for value, roman in enumerate(
        (tens + ones)
        for tens in ("", "x", "xx", "xxx")
        for ones in ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
    )
    if roman
}

STATEMENTS = frozenset(("option", "prevalence", "value"))
"""Kinds of answers that are statements, not names; the order of their parts matters."""

_DIRECTION = re.compile(
    r"(?:increas|decreas|elevat|reduc|rais|lower)ed|high|low|normal|positive|negative|absent"
    r"|present|yes|no|true|false|[\W\d_]+",
    re.IGNORECASE,
)


@lru_cache(maxsize=1 << 16)
def normalise(text: str) -> str:
    """Return the canonical form of a name: two spellings of one name have one canonical form.

    It folds compatibility forms (NFKC), case, accents, invisible characters, punctuation and
    spacing, a leading article, the possessive 's, Greek letters against their names, British
    against American spelling, plurals, "&" against "and", and "type II" against "type 2", "II" and
    "2". Letters and digits are separate tokens: "IL-2" is "IL2" while "NKX2-1" is not "NKX21".

    It keeps look-alike letters of other scripts, digits, every word that can distinguish two
    entities ("disease", "syndrome", "gene"), and every meaningful symbol: arrows, signs and
    charges ("HER2+", "-80"), comparisons, decimal points, powers, negations and question marks.

    Args:
        text: A name or an answer.

    Returns:
        Lower-case tokens joined by one space; empty where no token is left.
    """
    folded = fold(_SUBTYPE_I.sub(r"\1 i", text))
    if not folded.isascii():
        folded = _GREEK_LETTER.sub(lambda match: _GREEK[match[1]], folded.translate(_COMPARISONS))
        folded = "".join(map(_unless_punctuation, folded))
    folded = _POSSESSIVE.sub("", folded)
    article = _ARTICLE.match(folded)
    tokens = _TOKEN.findall(folded, article.end() if article else 0)
    if all(token in _MARKS for token in tokens):
        return ""
    return " ".join(_fold_words(tokens, frozenset(_SYMBOL.findall(folded))))


def _unless_punctuation(char: str) -> str:
    """Return a character, or a space for punctuation of other scripts."""
    return " " if char > "\x7f" and unicodedata.category(char)[0] == "P" and char != "‰" else char


def _fold_words(tokens: list[str], symbols: frozenset[str]) -> list[str]:
    """Fold spelling, plural and numbering of the tokens of one name.

    Symbols are words that contain a number, and keep their last letter: CAPNS1 is not CAPN1.
    """
    out: list[str] = []
    for place, word in enumerate(tokens, start=1):
        token = _SHORT.get(word, word)
        before = out[-1] if out else ""
        number, letter = "", ""
        if token[0] in "ivx":
            number, letter = _arabic(token, before, last=place == len(tokens))
        if number or before == "type":
            token = number or (_fold_word(token) if len(token) >= 5 else token)
            if before == "type" and (len(token) == 1 or token.isdigit()):
                out.pop()
            out.extend((token, letter) if letter else (token,))
        elif len(token) < 5:
            out.append(token)
        else:
            out.append(american(token) if token in symbols else _fold_word(token))
    return out


def _arabic(token: str, before: str, *, last: bool) -> tuple[str, str]:
    """Read a Roman numeral with an optional letter after it ("iib" is "2", "b"), or nothing.

    Without a word such as "type" before it, a single letter is a numeral only after a word, and
    "x" only at the end of a numbered name: the X of "trisomy X" does not mean ten.
    """
    match = _ROMAN.fullmatch(token)
    if match is None or not match[1]:
        return "", ""
    numeral, letter = match[1], match[2]
    if before not in _COUNTED:
        behind_word = before.isalpha() and (len(before) >= 4 or len(numeral) > 1)
        alone = len(numeral) == 1
        if not behind_word or (alone and letter and not last):
            return "", ""
        if numeral == "x" and not (last and before in _NUMBERED):
            return "", ""
    return _ROMAN_VALUE[numeral], letter


def _fold_word(word: str) -> str:
    """Fold British spelling and plural of a word of five letters or more."""
    return singular(american(word))


@lru_cache(maxsize=1 << 15)
def keys_of(entity: Entity) -> tuple[str, tuple[str, ...]]:
    """Return the canonical forms of an entity's preferred name and of its other names.

    Each name also has its other written forms, see `forms`, and a form without a catalogue's
    question mark.

    Args:
        entity: The entity.

    Returns:
        The preferred name's form and the others', sorted, without empty ones.
    """
    preferred = normalise(entity.name)
    names = (entity.name, *entity.aliases)
    unmarked = [name.replace("?", "") for name in names if "?" in name]
    others = {normalise(form) for name in (*names, *unmarked) for form in forms(name, entity.kind)}
    return preferred, tuple(sorted(others - {preferred, ""}))


def forms(name: str, kind: str) -> list[str]:
    """Return a name and its other written forms.

    These are its spoken order where it has commas ("Deafness, autosomal recessive 12" is "autosomal
    recessive deafness 12"), its type last ("type 2 diabetes"), and no hyphens ("Xlinked").

    Args:
        name: The name.
        kind: The kind of its entity; `STATEMENTS` keep their order.
    """
    found = [name]
    if kind not in STATEMENTS:
        found += _spoken(name)
    if typed := _TYPE_FIRST.fullmatch(name.strip()):
        found.append(f"{typed[2]} {typed[1]}")
    if _HYPHEN.search(name):
        found.append(_HYPHEN.sub("", name))
    return found


def _spoken(name: str) -> list[str]:
    """Return the spoken orders of a name with commas, with its number last or not."""
    parts = [part.strip() for part in name.split(",")]
    if not 2 <= len(parts) <= 4 or not all(parts) or all(map(_DIRECTION.match, parts)):
        return []
    number = _NUMBERING.search(parts[-1])
    bare = [*parts[:-1], parts[-1][: number.start()]] if number else []
    spoken = []
    for order in _ORDERS[len(parts)]:
        spoken.append(" ".join(parts[i] for i in order))
        if number:
            moved = [bare[i] for i in order]
            spoken.append(" ".join((*moved, number[1])))
            spoken.append(
                " ".join(f"{part} {number[1]}" if part == parts[0] else part for part in moved)
            )
    return spoken


_ORDERS = {
    2: ((1, 0),),
    3: ((2, 1, 0), (1, 0, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1)),
    4: ((3, 2, 1, 0),),
}
"""Number of parts of a name to its spoken orders."""


class NameTable(Record, frozen=True, kw_only=True):
    """The content of an `EntityNames` on disk.

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
        entities: The entities to index.
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
            DataError: The file is missing or is not such an index.
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
        """Return whether a token occurs in any name: a known word is not a misspelling."""
        return word in self._words

    def of_length(self, low: int, high: int) -> list[str]:
        """Return the canonical names of `low` to `high` characters."""
        return [name for n in range(low, high + 1) for name in self._by_length.get(n, ())]
