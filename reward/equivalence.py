"""Whether an answer names the gold entity, and nothing else.

An answer is paid only when the whole of it, after a small closed set of lead-in phrases, is a name
of the gold entity. A slip of the pen is forgiven only where an index of all names shows that the
answer is nobody else's name and that the slip is in a long ordinary word, never in a number, a
letter, a gene symbol or a prefix that turns the meaning round. Quantities are compared as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from medenv.records import Entity
from medenv.reward.names import EntityNames, keys_of, normalise
from medenv.reward.quantities import QUANTITY_KINDS, same_quantity, without_quantities

Kind = Literal["exact", "alias", "near", "other_entity", "wrong", "empty", "overlong", "hedged"]
"""What an answer is: three ways of being right, five of not being."""

RIGHT: frozenset[Kind] = frozenset(("exact", "alias", "near"))
"""The kinds that name the gold entity."""

MAX_CHARS = 400
"""Longest answer that is looked at; the longest name in OMIM and HPO has 145 characters."""

MIN_NEAR_CHARS = 8
"""Shortest answer that may hold a slip of the pen."""

_KIND = r"(?:gene|disease|disorder|syndrome|condition|diagnosis|phenotype|symptom|finding|drug)"
_LEAD_IN = re.compile(
    rf"(?:(?:the )?(?:final |correct |most likely |likely )?(?:answer|{_KIND})(?: name)?"
    r" (?:is|would be)"
    rf"|(?:final )?answer|(?:it|this|that) is)(?: the)?(?: gene)? "
)
_PARENTHESIS = re.compile(r"([^()]+)\(([^()]+)\)[\s.]*")
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
    """What an answer was judged to be, and why.

    Attributes:
        kind: What it is.
        reason: Why, in words.
    """

    kind: Kind
    reason: str

    @property
    def right(self) -> bool:
        """Whether the answer names the gold entity."""
        return self.kind in RIGHT


def judge_answer(
    answer: str | None, gold: Sequence[Entity], names: EntityNames | None = None
) -> Match:
    """Judge whether an answer names one of the gold entities.

    Args:
        answer: The answer that the policy wrote, or None.
        gold: The gold answers.
        names: All names known, which a near miss is held against; without it only exact names
            and aliases count.

    Returns:
        The kind of match and the reason for it.
    """
    if answer is None or not answer.strip():
        return Match("empty", "no answer was given")
    if len(answer) > MAX_CHARS:
        return Match("overlong", f"{len(answer)} characters; a name has at most {MAX_CHARS}")
    return _judged(answer, tuple(gold), names)


@lru_cache(maxsize=1 << 14)
def _judged(answer: str, gold: tuple[Entity, ...], names: EntityNames | None) -> Match:
    """Judge an answer of bearable length; several components ask the same of one trajectory."""
    key = normalise(answer)
    if not key:
        return Match("empty", "the answer holds no legible character")
    if any(entity.kind in QUANTITY_KINDS for entity in gold):
        measured = _quantity(answer, gold)
        if measured is not None:
            return measured
        gold = tuple(map(_without_quantities, gold))
    for reading in _readings(key, gold, names is not None):
        match = _match_key(reading, gold, names)
        if match is not None:
            return match
    return (
        _with_synonym(answer, gold, names) or _near(key, gold, names) or _why_not(answer, key, gold)
    )


def _quantity(answer: str, gold: Sequence[Entity]) -> Match | None:
    """Return whether an answer that is a quantity is the gold one, or None where either is none."""
    verdicts = {
        entity.id: same_quantity(answer, entity) for entity in gold if entity.kind in QUANTITY_KINDS
    }
    equal = [name for name, same in verdicts.items() if same]
    if equal:
        return Match("exact", f"is the quantity of {equal[0]}")
    differs = any(same is False for same in verdicts.values())
    return Match("wrong", "is another quantity") if differs else None


def _without_quantities(entity: Entity) -> Entity:
    """Return an answer by its names alone: of numbers, words do not say whether they are equal."""
    return without_quantities(entity) if entity.kind in QUANTITY_KINDS else entity


def _readings(key: str, gold: Sequence[Entity], indexed: bool) -> list[str]:
    """Return the answer as it stands, then without a lead-in or a word that says its kind.

    A trailing "disease" goes only where an index shows whose name the rest is: "Cushing disease"
    and "Cushing syndrome" are two diseases.
    """
    readings = [key]
    lead_in = _LEAD_IN.match(key)
    if lead_in is not None:
        readings.append(key[lead_in.end() :])
    kinds = {entity.kind for entity in gold}
    for reading in tuple(readings):
        if "gene" in kinds:
            readings.append(reading.removeprefix("gene ").removesuffix(" gene"))
        if "disease" in kinds and indexed:
            readings.append(reading.removesuffix(" disease").removesuffix(" disorder"))
    return readings


def _match_key(key: str, gold: Sequence[Entity], names: EntityNames | None) -> Match | None:
    """Return how a canonical name is one of a gold or of another entity, or None."""
    aliased: Entity | None = None
    for entity in gold:
        preferred, others = keys_of(entity)
        if key == preferred:
            return Match("exact", f"is the name of {entity.id}")
        if aliased is None and key in others:
            aliased = entity
    if aliased is None:
        return _other(key, names, "")
    return _other(key, names, aliased.kind, {entity.id for entity in gold}) or Match(
        "alias", f"is another name of {aliased.id}"
    )


def _other(
    key: str,
    names: EntityNames | None,
    kind: str,
    gold_ids: set[str] | frozenset[str] = frozenset(),
) -> Match | None:
    """Return the match with an entity that is not gold, of the given kind or of any ("")."""
    if names is None:
        return None
    others = sorted(
        other for other in names.owners(key) - gold_ids if not kind or names.kind(other) == kind
    )
    return Match("other_entity", f"is a name of {', '.join(others)}") if others else None


def _with_synonym(answer: str, gold: Sequence[Entity], names: EntityNames | None) -> Match | None:
    """Accept "name (other name)" where both are names of the same gold entity."""
    parts = _PARENTHESIS.fullmatch(answer)
    if parts is None:
        return None
    for entity in gold:
        matches = [_match_key(normalise(part), (entity,), names) for part in parts.groups()]
        if all(match is not None and match.right for match in matches):
            return Match("alias", f"is two names of {entity.id}")
    return None


def _near(key: str, gold: Sequence[Entity], names: EntityNames | None) -> Match | None:
    """Accept a slip of the pen that is nearer to the gold name than to any other."""
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
        return Match("near", f"is {meant!r} of {entity.id} but for one letter")
    return None


def _one_edit_away(key: str, names: EntityNames) -> list[str]:
    """Return the canonical names that one edit turns the answer into."""
    known = names.of_length(len(key) - 1, len(key) + 1)
    found = extract(key, known, scorer=OSA.distance, processor=None, score_cutoff=1, limit=None)
    return [name for name, _, _ in found]


def is_slip(answer: str, name: str, names: EntityNames) -> bool:
    """Return whether an answer is a name misspelt.

    Misspelt means: the same words in the same order but for one edit, which is either a space too
    many or too few between ordinary words, or one letter in a word of seven letters or more. The
    first three letters of that word are right; as written it occurs in no name at all; it is no
    chemical ("decanoyl", "decenoyl"); and what carries its meaning is untouched ("hypo-", "-itis",
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
    """Return whether a word is another one misspelt."""
    if min(len(word), len(gold)) < 7 or not (word.isalpha() and gold.isalpha()):
        return False
    if word[:3] != gold[:3] or names.knows_word(word):
        return False
    if _CHEMICAL.search(gold) or meaning(word) != meaning(gold):
        return False
    return int(OSA.distance(word, gold, score_cutoff=1)) == 1


@lru_cache(maxsize=1 << 14)
def meaning(word: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the parts that carry a word's meaning: its prefix, its suffix and its stems.

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
        gold: The gold answers, whose kind decides which lead-in may go.
        names: All names known.
    """
    for reading in _readings(normalise(answer[: MAX_CHARS + 1]), gold, True):
        owners = names.owners(reading)
        if owners:
            return owners
    return frozenset()


def _why_not(answer: str, key: str, gold: Sequence[Entity]) -> Match:
    """Say how an answer that names no gold entity goes wrong."""
    wanted = {
        name for entity in gold for keys in (keys_of(entity),) for name in (keys[0], *keys[1])
    }
    wanted.discard("")
    parts = {normalise(part) for part in _LIST.split(answer)}
    if len(parts - {""}) > 1 and parts & wanted:
        return Match("hedged", "a gold name is one of several answers")
    if any(f" {name} " in f" {key} " for name in wanted):
        return Match("overlong", "a gold name is buried in other words")
    return Match("wrong", "names no gold answer")
