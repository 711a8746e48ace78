"""Judge whether an answer names the gold entity, and nothing else.

An answer is right only if all of it, without its presentation (see
`medenv.reward.answers.presentation`), is a name or the id of the gold entity; an aside in brackets
must mean the same. A misspelling is accepted only where an index of all names shows that the answer
is no other entity's name and that the error is in a long ordinary word, never in a number, a
letter, a gene symbol or a prefix that reverses the meaning. Quantities are compared as numbers.
Where all gold answers are asked for, only a list of them all is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from medenv.records import Entity
from medenv.reward.answers.listing import NO_LIST, Listed, segment, separators_in
from medenv.reward.answers.names import STATEMENTS, EntityNames, forms, keys_of, normalise
from medenv.reward.answers.presentation import IS_SOURCE, readings
from medenv.reward.answers.quantities import QUANTITY_KINDS, same_quantity, without_quantities

Kind = Literal[
    "exact",
    "alias",
    "near",
    "list",
    "other_entity",
    "wrong",
    "empty",
    "overlong",
    "hedged",
    "incomplete",
]
"""Kinds of matches: four are right, six are wrong."""

RIGHT: frozenset[Kind] = frozenset(("exact", "alias", "near", "list"))
"""The kinds that count as right."""

MAX_CHARS = 400
"""Longest answer that is judged, characters; the longest name in OMIM and HPO has 145."""

MAX_LISTED = 4
"""Longest list that is read, in items per gold answer."""

MIN_NEAR_CHARS = 8
"""Shortest answer that may be misspelt, characters."""

_ASIDE = re.compile(r"(.+?)\s*\(((?:[^()]|\([^()]*\))+)\)", re.DOTALL)
_ALSO = re.compile(
    r"(.+?),?\s+(?:also\s+(?:known\s+as|called)|a\.?k\.?a\.?)\s+(.+)", re.IGNORECASE | re.DOTALL
)
_BESIDE = re.compile(
    r"(.+?)\s*(?:[,;:|]|\s[–—-])\s+([A-Za-z]+:\d+)|([A-Za-z]+:\d+)(?:\s[–—-]|[,;:])\s+(.+)",
    re.DOTALL,
)
_SAYS_ALSO = re.compile(
    r"(?:also\s+(?:known\s+as|called)|a\.?k\.?a\.?|abbreviated(?:\s+as)?|abbr\.?|abbreviation|synonym"
    r"|symbol)\s*:?\s+(?=\S)",
    re.IGNORECASE,
)
_ABBREVIATION = re.compile(r"(?=(?:[^A-Z]*[A-Z]){2})[A-Za-z]{2,8}(?:[- ]?\d{1,2}[A-Z]?)?")
_NEGATIVES = frozenset(("EXCL", "NO", "NONE", "NOR", "NOT", "RO"))
_WORD = re.compile(r"(?<!')[a-z]+|(?<=')[a-z]{2,}")
_SMALL_WORDS = frozenset(("a", "and", "by", "due", "in", "of", "or", "the", "to", "with"))
_MOST_ASIDES = 4
_SEPARATORS = 2  # minimum, since names of other entities may have more than the gold names
_BEHIND = re.compile(r"(?:\([^()]*\)|\[[^\[\]]*\])\s*$")
_ABOUT = re.compile(r"(?:≈|~|about|approximately|approx\.?|ca\.?|i\.e\.,?)\s*", re.IGNORECASE)
_LABELS = {
    "hp": frozenset(("hp", "hpo")),
    "ncbigene": frozenset(("entrez", "gene", "ncbi", "ncbigene")),
    "omim": frozenset(("mim", "omim")),
    "orpha": frozenset(("orpha", "orphanet")),
}
"""Namespace to the labels in common use."""
_LIST = re.compile(
    r"[,;/|&\n()?]|\b(?:or|and|vs|versus|either|also|alternatively|possibly)\b", re.IGNORECASE
)

_PREFIXES = """
    hypo hyper macro micro mega megalo brady tachy intra inter infra ante anti ab ad endo ecto exo
    eso ento epi hemi oligo poly pre pro peri per post sub super supra supero infero iso aniso normo
    dys eu un non pseudo para meta ortho retro leuko mono bi tri tetra multi pan acro osteo arthr
    arteri neuro nephro hepato gastro entero cardio myo myelo phono photo
"""
_SUFFIXES = """
    itis osis oma emia uria penia cytosis pathy plasia plegia paresis algia phagia phasia phonia
    trophy tropia phoria opsia ectasia stenosis malacia megaly sclerosis lysis tony tonia kinesia
    lexia praxia gnosia thymia melia dactyly cephaly gnathia genesis ectomy otomy ostomy oplasty
    somia stomia
"""
_PREFIX = re.compile("|".join(sorted(_PREFIXES.split(), key=len, reverse=True)))
_SUFFIX = re.compile("(?:" + "|".join(sorted(_SUFFIXES.split(), key=len, reverse=True)) + ")$")
_STEM = re.compile("hyper|hypo|ureter|urethr|renal|retin|meso|telo|(?:mes|met|my|tel|di)en")
_CHEMICAL = re.compile("yl|oic$|ate$|ose$|ase$|ine$")


class Match(NamedTuple):
    """Judgement of an answer, with its reason.

    Attributes:
        kind: Kind of match.
        reason: Reason, in words.
        entity: Id of the gold answer that it names, or "" for none or several.
    """

    kind: Kind
    reason: str
    entity: str = ""

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.kind in RIGHT


class _Gold:
    """Index of the gold answers by canonical name.

    Attributes:
        entities: The answers, without the names that are quantities.
        measured: The answers that are quantities.
        kinds: Their kinds.
        ids: Their ids.
        by_id: Canonical id to id.
        preferred: Canonical preferred name to its bearer.
        aliases: Any other canonical name to its bearer.
        separators: Most list separators in one of their names.
    """

    def __init__(self, gold: Sequence[Entity]) -> None:
        self.measured = tuple(entity for entity in gold if entity.kind in QUANTITY_KINDS)
        self.entities = tuple(map(_without_quantities, gold))
        self.kinds = frozenset(entity.kind for entity in gold)
        self.ids = frozenset(entity.id for entity in gold)
        self.by_id = {normalise(one.id): one.id for one in gold if one.kind not in STATEMENTS}
        names = [name for one in gold for name in (one.name, *one.aliases)]
        self.separators = max((_SEPARATORS, *map(separators_in, names)))
        self.preferred: dict[str, Entity] = {}
        self.aliases: dict[str, Entity] = {}
        for entity in self.entities:
            name, others = keys_of(entity)
            self.preferred.setdefault(name, entity)
            for other in others:
                self.aliases.setdefault(other, entity)
        self.preferred.pop("", None)

    def only(self, entity_id: str) -> _Gold:
        """Return the index of one answer."""
        if len(self.ids) == 1:
            return self
        measured = [one for one in self.measured if one.id == entity_id]
        named = [one for one in self.entities if one.id == entity_id]
        return _gold((*measured, *named) if measured else tuple(named))


@lru_cache(maxsize=1 << 12)
def _gold(gold: tuple[Entity, ...]) -> _Gold:
    return _Gold(gold)


def judge_answer(
    answer: str | None,
    gold: Sequence[Entity],
    names: EntityNames | None = None,
    *,
    all_of: bool = False,
) -> Match:
    """Judge whether an answer names the gold entity, and nothing else.

    Args:
        answer: The answer that the policy wrote, or None.
        gold: The gold answers.
        names: Index of all names, for judging near misses; without it only exact names and
            aliases count.
        all_of: Whether all gold answers are asked for. Otherwise one of them is right, and so is
            any list of nothing but gold answers.

    Returns:
        The kind of match and the reason for it.
    """
    if answer is None or not answer.strip():
        return Match("empty", "no answer was given")
    if len(answer) <= MAX_CHARS:
        match = _judged(answer, tuple(gold), names)
    else:
        match = Match("overlong", f"{len(answer)} characters; a name has at most {MAX_CHARS}")
    if len(gold) < 2 or (match.right and not all_of):
        return match
    listed = read_list(answer, gold, names)
    if not all_of and listed.named and all(listed.named):
        return Match("list", f"{len(listed.named)} of {len(gold)} right answers, and no other")
    if listed.found == len(gold) == len(listed.named) and not listed.alternatives:
        return Match("list", "all of the answers, and no other")
    if match.right:
        return Match("incomplete", f"one of {len(gold)} answers that are asked for")
    if all_of and listed.found:
        found, items = listed.found, len(listed.named)
        return Match("incomplete", f"{found} of {len(gold)} answers in a list of {items}")
    return match


def read_list(answer: str, gold: Sequence[Entity], names: EntityNames | None = None) -> Listed:
    """Read the items of an answer that lists names.

    Args:
        answer: The answer that the policy wrote.
        gold: The gold answers.
        names: All names known.

    Returns:
        The entity of each item; empty for more than `MAX_LISTED` items per gold answer.
    """
    if len(answer) > MAX_CHARS * len(gold):
        return NO_LIST
    target, golds = _gold(tuple(gold)), tuple(gold)

    def named(item: str, joined: bool) -> str | None:
        if joined and not _may_be_name(item, target, names):
            return None
        match = _judged(item, golds, names)
        return match.entity if match.right else "" if match.kind == "other_entity" else None

    *_, (text, _, _) = readings(answer, names)
    return segment(text, named, separators=target.separators, most=MAX_LISTED * len(gold))


def _may_be_name(text: str, gold: _Gold, names: EntityNames | None) -> bool:
    """Return whether a text is a known name, ignoring asides in brackets."""
    for _ in range(_MOST_ASIDES):
        key = normalise(text)
        if key in gold.preferred or key in gold.aliases or (names is not None and key in names):
            return True
        if (left := _BEHIND.sub("", text)) == text:
            return False
        text = left
    return False


@lru_cache(maxsize=1 << 14)
def _judged(answer: str, gold: tuple[Entity, ...], names: EntityNames | None) -> Match:
    """Judge an answer of at most `MAX_CHARS`; cached, since several components need the result."""
    key = normalise(answer)
    if not key:
        return Match("empty", "the answer holds no legible character")
    target = _gold(gold)
    read = list(readings(answer, names))
    # "X [2]" is X with a source, although an "X 2" may exist.
    for reading in sorted(read, key=lambda one: one.marked):
        if match := _match(reading.text, target, names):
            return _contradicted(reading.cited, target, names) or match
    text = read[-1].text
    for form in dict.fromkeys(forms(text, next(iter(target.kinds), ""))[1:]):
        if match := _match_key(normalise(form), target, names):
            return _contradicted(read[-1].cited, target, names) or match
    return _near(normalise(text), target.entities, names) or _why_not(answer, key, target)


def _match(text: str, gold: _Gold, names: EntityNames | None) -> Match | None:
    """Return the match of a whole text, or None where it is unknown."""
    return _plain_match(text, gold, names) or _with_asides(text, gold, names)


def _quantity(text: str, gold: Sequence[Entity]) -> Match | None:
    """Return the match of a quantity, or None where text or gold answer is no quantity."""
    verdicts = {entity.id: same_quantity(text, entity) for entity in gold}
    equal = [name for name, same in verdicts.items() if same]
    if equal:
        return Match("exact", f"is the quantity of {equal[0]}", equal[0])
    differs = any(same is False for same in verdicts.values())
    return Match("wrong", "is another quantity") if differs else None


def _without_quantities(entity: Entity) -> Entity:
    """Return an answer without quantities, which are compared as numbers and not as words."""
    return without_quantities(entity) if entity.kind in QUANTITY_KINDS else entity


def _without_kind(key: str, gold: _Gold, *, indexed: bool) -> Iterator[str]:
    """Yield a canonical name unchanged, then without a word for its kind.

    A trailing "disease" is removed only where an index shows which entity bears the rest:
    "Cushing disease" and "Cushing syndrome" are two diseases.
    """
    yield key
    if "gene" in gold.kinds and key.endswith(" gene"):
        yield key.removesuffix(" gene")
    if "disease" in gold.kinds and indexed and key.endswith((" disease", " disorder")):
        yield key.rpartition(" ")[0]


def _match_key(key: str, gold: _Gold, names: EntityNames | None) -> Match | None:
    """Return the match of a canonical name with a gold or another entity, or None."""
    if entity := gold.preferred.get(key):
        return Match("exact", f"is the name of {entity.id}", entity.id)
    aliased = gold.aliases.get(key)
    if aliased is None:
        return _other(key, names, "")
    return _other(key, names, aliased.kind, gold.ids) or Match(
        "alias", f"is another name of {aliased.id}", aliased.id
    )


def _other(
    key: str, names: EntityNames | None, kind: str, gold_ids: frozenset[str] = frozenset()
) -> Match | None:
    """Return the match with an entity that is not gold, of the given kind or any ("")."""
    if names is None:
        return None
    others = sorted(
        other for other in names.owners(key) - gold_ids if not kind or names.kind(other) == kind
    )
    return Match("other_entity", f"is a name of {', '.join(others)}") if others else None


def _with_asides(
    text: str, gold: _Gold, names: EntityNames | None, left: int = _MOST_ASIDES
) -> Match | None:
    """Accept "name (aside)" where the name is gold and the aside means only the same."""
    parts = _ASIDE.fullmatch(text) or _ALSO.fullmatch(text) or _BESIDE.fullmatch(text)
    if parts is None or not left:
        return None
    main, aside = (part for part in parts.groups() if part)
    match = _plain_match(main, gold, names) or _with_asides(main, gold, names, left - 1)
    if match is None or not match.right:
        return _turned_round(main, aside, gold, names) or match
    same = gold.only(match.entity)
    if all(_says_the_same(piece.strip(), same, names) for piece in re.split("[;,]", aside)) or (
        _says_the_same(aside.strip(), same, names)
    ):
        return match
    return Match("hedged", "what stands in brackets is no other name of the gold answer")


def _plain_match(text: str, gold: _Gold, names: EntityNames | None) -> Match | None:
    """Return the match of a text without asides, a quantity, a name or an id, or None."""
    if gold.measured and (measured := _quantity(text, gold.measured)):
        return measured
    key = normalise(text)
    for reading in _without_kind(key, gold, indexed=names is not None):
        if match := _match_key(reading, gold, names):
            return match
    if gold_id := _id_in(key, gold):
        return Match("alias", "is the id of the gold answer", gold_id)
    if names is not None and (kind := names.kind(text)) and kind in gold.kinds:
        return Match("other_entity", f"is the id of another {kind}")
    return None


def _turned_round(main: str, aside: str, gold: _Gold, names: EntityNames | None) -> Match | None:
    """Accept "abbreviation (name)"."""
    match = _plain_match(aside, gold, names)
    if match is None or not match.right:
        return None
    return match if _says_the_same(main.strip(), gold.only(match.entity), names) else None


def _says_the_same(piece: str, gold: _Gold, names: EntityNames | None) -> bool:
    """Return whether an aside is another name, the id, the kind or a source of the gold answer."""
    piece = _SAYS_ALSO.sub("", piece, count=1) if _SAYS_ALSO.match(piece) else piece
    key = normalise(piece)
    kind = key.removesuffix(" symbol").removesuffix(" name")
    if key in gold.preferred or key in gold.aliases or kind in gold.kinds:
        return True
    if _id_in(key, gold):
        return True
    about = _ABOUT.match(piece)
    if any(same_quantity(piece[about.end() if about else 0 :], one) for one in gold.measured):
        return True
    if IS_SOURCE.fullmatch(piece):
        return True
    owned = names is not None and bool(names.owners(key) - gold.ids)
    return any(
        found == "surely" or (found == "maybe" and not owned)
        for entity in gold.entities
        if entity.kind != "gene"
        for name in (entity.name, *entity.aliases)
        if (found := _abbreviates(piece, name))
    )


def _id_in(key: str, gold: _Gold) -> str:
    """Return the id of the gold answer in a canonical text, or ""; "MIM 1" is "OMIM:1"."""
    if key in gold.by_id:
        return gold.by_id[key]
    *said, number = key.split() or [""]
    for known, gold_id in gold.by_id.items():
        space, _, local = known.partition(" ")
        if number == local and said and _LABELS.get(space, {space}).issuperset(_id_words(said)):
            return gold_id
    return ""


def _id_words(words: Sequence[str]) -> list[str]:
    return [word for word in words if word not in ("id", "number", "entry", "no")]


def _abbreviates(short: str, name: str) -> Literal["", "maybe", "surely"]:
    """Return whether a text is an abbreviation of a name, as "CMT1A" is of one that ends in 1A.

    The result is "surely" for the first letters of the name's words, and "maybe" where the
    letters occur in the name in their order, the first at the beginning of a word. A number in
    the text must be the name's.

    Source: Schwartz and Hearst 2003, A simple algorithm for identifying abbreviation definitions.
    """
    if not _ABBREVIATION.fullmatch(short) or short.upper() in _NEGATIVES:
        return ""
    words, parts = normalise(name).split(), normalise(short).split()
    at = next((place for place, part in enumerate(parts) if part.isdigit()), len(parts))
    if at < len(parts):
        first = next((place for place, word in enumerate(words) if word.isdigit()), len(words))
        end = first + 1
        while end < len(words) and len(words[end]) == 1:
            end += 1
        if parts[at:] != words[first:end]:
            return ""
    letters = re.split("[^a-z]", short.lower(), maxsplit=1)[0]
    spoken = _WORD.findall(name.casefold())
    if letters in ("".join(w[0] for w in spoken if w not in left) for left in ((), _SMALL_WORDS)):
        return "surely"
    spelled = " ".join(spoken)
    begun = re.search(rf"\b{letters[:1]}", spelled) if letters else None
    rest = iter(spelled[begun.end() :]) if begun else iter("")
    return "maybe" if begun and all(letter in rest for letter in letters[1:]) else ""


def _contradicted(cited: Sequence[str], gold: _Gold, names: EntityNames | None) -> Match | None:
    """Return the match with another entity whose id follows a gold name in brackets."""
    spaces = {gold_id.partition(":")[0] for gold_id in gold.by_id.values()}
    for one in cited:
        known = names.kind(one) if names is not None else ""
        of_an_entity = known in gold.kinds or (one.partition(":")[0] in spaces and "#" not in one)
        if of_an_entity and one not in gold.ids:
            return Match("other_entity", f"{one} in brackets is another entity")
    return None


def _near(key: str, gold: Sequence[Entity], names: EntityNames | None) -> Match | None:
    """Accept a misspelling that is nearer to the gold name than to any other."""
    if names is None or len(key) < MIN_NEAR_CHARS or not key.isascii():
        return None
    gold_ids = {entity.id for entity in gold}
    for entity in gold:
        preferred, others = keys_of(entity)
        meant = next((one for one in (preferred, *others) if is_slip(key, one, names)), None)
        if entity.kind == "gene" or meant is None:
            continue
        for other in _one_edit_away(key, names):
            if names.owners(other) - gold_ids:
                return Match("other_entity", f"is as near to {other!r} as to {meant!r}")
        return Match("near", f"is {meant!r} of {entity.id} but for one letter", entity.id)
    return None


def _one_edit_away(key: str, names: EntityNames) -> list[str]:
    """Return the canonical names at an edit distance of one."""
    known = names.of_length(len(key) - 1, len(key) + 1)
    found = extract(key, known, scorer=OSA.distance, processor=None, score_cutoff=1, limit=None)
    return [name for name, _, _ in found]


def is_slip(answer: str, name: str, names: EntityNames) -> bool:
    """Return whether an answer is a misspelt name.

    A misspelt name has the same words in the same order except for one edit: an extra or missing
    space between ordinary words, or one letter in a word of seven letters or more. The first three
    letters of that word are right; its misspelt form occurs in no name; it is not a chemical
    ("decanoyl", "decenoyl"); and its meaningful parts are unchanged ("hypo-", "-itis",
    "ureter").

    Args:
        answer: Canonical form of the answer.
        name: Canonical form of the name.
        names: All names known.
    """
    if abs(len(answer) - len(name)) > 1:
        return False
    ours, theirs = answer.split(), name.split()
    if len(ours) != len(theirs):
        return _same_but_for_a_space(ours, theirs)
    differing = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
    return len(differing) == 1 and _is_word_slip(*differing[0], names)


def _same_but_for_a_space(ours: list[str], theirs: list[str]) -> bool:
    """Return whether two names differ by one space between words of three letters or more."""
    short, long = sorted((ours, theirs), key=len)
    if len(long) != len(short) + 1 or "".join(ours) != "".join(theirs):
        return False
    split = next(i for i, word in enumerate(short) if word != long[i])
    return all(len(word) >= 3 and word.isalpha() for word in long[split : split + 2])


def _is_word_slip(word: str, gold: str, names: EntityNames) -> bool:
    """Return whether a word is a misspelling of another."""
    if min(len(word), len(gold)) < 7 or not (word.isalpha() and gold.isalpha()):
        return False
    if word[:3] != gold[:3] or names.knows_word(word):
        return False
    if _CHEMICAL.search(gold) or meaning(word) != meaning(gold):
        return False
    return int(OSA.distance(word, gold, score_cutoff=1)) == 1


@lru_cache(maxsize=1 << 14)
def meaning(word: str) -> tuple[str, str, tuple[str, ...]]:
    """Return a word's meaningful parts: its prefix, its suffix and its stems.

    Args:
        word: A canonical word.
    """
    prefix, suffix = _PREFIX.match(word), _SUFFIX.search(word)
    return (
        prefix[0] if prefix else "",
        suffix[0] if suffix else "",
        tuple(_STEM.findall(word)),
    )


def owners_of(answer: str, gold: Sequence[Entity], names: EntityNames) -> frozenset[str]:
    """Return the ids of all entities that an answer names, whether gold or not.

    Args:
        answer: The answer that the policy wrote.
        gold: The gold answers; their kind decides which kind words are removed.
        names: All names known.
    """
    return _owners(answer[: MAX_CHARS + 1], tuple(gold), names)


@lru_cache(maxsize=1 << 12)
def _owners(answer: str, gold: tuple[Entity, ...], names: EntityNames) -> frozenset[str]:
    target = _gold(gold)
    for reading in readings(answer, names):
        for key in _without_kind(normalise(reading.text), target, indexed=True):
            if owners := names.owners(key):
                return owners
    return frozenset()


def _why_not(answer: str, key: str, gold: _Gold) -> Match:
    """Return the kind of error of an answer that names no gold entity."""
    wanted = {*gold.preferred, *gold.aliases}
    parts = {normalise(part) for part in _LIST.split(answer)}
    if len(parts - {""}) > 1 and parts & wanted:
        return Match("hedged", "a gold name is one of several answers")
    if any(f" {name} " in f" {key} " for name in wanted):
        return Match("overlong", "a gold name is buried in other words")
    return Match("wrong", "names no gold answer")
