"""Answers as language models write them, right and wrong, made around the entities of an ontology.

Truth comes from how an answer was made: what is put around a gold name says nothing about it, or
says that it does not hold, doubts it, or names something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
from name_pairs import WRITINGS, World

from medenv.records import Entity

Text = Callable[[str], str]
"""Puts something around a name."""


class Case(NamedTuple):
    """An answer to a question.

    Attributes:
        right: Whether it is right.
        category: What was done to it.
        gold: The gold answers; none where the right answer is that there is none.
        answer: What is answered.
        all_of: Whether all gold answers are asked for.
    """

    right: bool
    category: str
    gold: tuple[Entity, ...]
    answer: str
    all_of: bool = False


def _filled(*templates: str) -> tuple[Text, ...]:
    return tuple((lambda name, one=one: one.replace("{}", name)) for one in templates)


FRAMES: dict[str, tuple[Text, ...]] = {
    "in a box": _filled(
        *("\\boxed{{}}", "$\\boxed{{}}$", "\\boxed{\\text{{}}}", "$$\\boxed{\\textbf{{}}}$$"),
        *("The answer is \\boxed{{}}.", "Final answer: \\(\\boxed{{}}\\)"),
    ),
    "at the end of a conclusion": _filled(
        *("So the answer is {}.", "Thus, the answer is {}.", "Therefore, the final answer is {}."),
        *("Hence the answer is {}", "So, the final answer is: {}", "The final answer is {}."),
        *("In conclusion, the answer is {}.", "Based on the evidence, the answer is {}."),
        *("Therefore: {}", "I conclude that the answer is {}.", "The correct answer is {}."),
        *("According to the passages, the answer is {}.", "My final answer is {}."),
    ),
    "behind a label": _filled(
        *(
            "Answer: {}",
            "Final answer: {}",
            "**Answer:** {}",
            "**Final Answer**: {}",
            "Answer = {}",
        ),
        *("Answer:\n{}", "## Final Answer\n\n{}", "<b>Answer:</b> {}", "ANSWER: {}"),
        '{"answer": "{}"}',
    ),
    "emphasised": _filled(
        *("**{}**", "__{}__", "*{}*", "`{}`", "<b>{}</b>", "<strong>{}</strong>", "<i>{}</i>"),
        *("***{}***", "```\n{}\n```", "<em>{}</em>.", "**{}.**"),
    ),
    "quoted": _filled('"{}"', "“{}”", "'{}'", "‘{}’.", "«{}»", "({})"),
    "with a citation": _filled(
        *("{} [1]", "{} [1].", "{}. [2]", "{} [1][3]", "{} [1, 2]", "{} [OMIM:100800#0]"),
        *("{} [HP:0000002#1, OMIM:100800#2]", "**{}** [3]", "{} 【4】", "The answer is {} [1]."),
    ),
    "as an item": _filled("1. {}", "1) {}", "- {}", "* {}", "• {}", "(1) {}", "- **{}**"),
    "as a sentence": _filled("It is {}.", "This is {}.", "It's {}.", "{} is the answer.", "{}!"),
}
"""Wrappings of right answers of any kind."""

OF_KIND: dict[str, tuple[Text, ...]] = {
    "disease": _filled(
        *("Diagnosis: {}", "Final diagnosis: {}", "The diagnosis is {}.", "The disease is {}."),
        *("The most likely diagnosis is {}.", "**Diagnosis:** {}", "Disease: {}"),
        *(
            "The final diagnosis is **{}**.",
            "Thus the diagnosis is {}",
            "The underlying disease is {}.",
        ),
    ),
    "gene": _filled(
        *("The causative gene is {}.", "The gene is {}.", "Gene: {}", "the {} gene", "gene {}"),
        *("The responsible gene is **{}**.", "The associated gene is {}", "The {} gene."),
        *("Causal gene: {}", "{} is the causative gene.", "The gene symbol is {}."),
    ),
    "phenotype": _filled(
        *("The finding is {}.", "Finding: {}", "The phenotype is {}.", "Phenotype: **{}**"),
        *("The reported finding is {}.", "The symptom is {}", "The clinical feature is {}."),
    ),
}
"""Wrappings of right answers that state the kind of the answer."""

NEGATIONS: tuple[Text, ...] = _filled(
    *("¬{}", "❌ {}", "✗ {}", "{} ❌", "not {}", "Not {}.", "NOT {}", "no {}", "anything but {}"),
    *("The answer is not {}.", "It is not {}.", "~{}", "!{}", "≠ {}", "\\neg {}", "{} is wrong"),
    *("\\boxed{\\text{not } {}}", "**not** {}", "{} (not)", "{} (excluded)", "{} [excluded]"),
    *(
        "The wrong answer is {}.",
        "Excluded: {}",
        "rule out {}",
        "🚫 {}",
        "{} is excluded",
        "neither {}",
    ),
)
STRUCK: tuple[Text, ...] = (
    *_filled("~~{}~~", "<s>{}</s>", "<del>{}</del>", "<strike>{}</strike>", "\\sout{{}}"),
    *_filled("\\cancel{{}}", "**~~{}~~**", "The answer is ~~{}~~.", "~~{}~~ [1]"),
    lambda name: "".join(f"{char}\u0336" for char in name),
)
DOUBTS: tuple[Text, ...] = _filled(
    *("{}?", "possibly {}", "Probably {}.", "maybe {}", "perhaps {}", "{} (?)", "{} (probably)"),
    *("It might be {}.", "The answer could be {}.", "suspected {}", "{} or similar", "{}, perhaps"),
    *("I guess {}", "Not sure, but {}", "The answer is probably {}.", "likely {}", "? {}", "{}??"),
    *("Either {} or something else", "consistent with {}", "The diagnosis may be {}."),
)
TWO: tuple[Callable[[str, str], str], ...] = tuple(
    (lambda one, other, form=form: form.replace("{}", one).replace("()", other))
    for form in (
        *("{} or ()", "{}, ()", "{} / ()", "{}/()", "{}; ()", "{}\n()", "{} and ()", "{} | ()"),
        *("1. {}\n2. ()", "- {}\n- ()", "\\boxed{{}} or \\boxed{()}", "**{}** or **()**"),
        *("The answer is {} or ().", "() or {}", "(), {}", "not () but {}", "{}, not ()"),
        *("{} [()]", "{} = ()", "\\boxed{()} {}", "{} vs ()"),
        *("{}, less likely ()", "The answer is {}. Alternatively ().", "{} & ()", "{} > ()"),
    )
)

_ENTITY_KINDS = ("disease", "gene", "phenotype")


def names(world: World, count: int) -> Iterator[Case]:
    """Yield names in every frame: the gold one, another one, and the gold one taken back."""
    for at, kind in enumerate(_ENTITY_KINDS):
        golds, others = world.shuffled(kind, 20 + at), world.shuffled(kind, 30 + at)
        pairs = cycle(
            (world.entities[gold], world.entities[other].name)
            for gold, other in zip(golds, others, strict=True)
            if gold != other and not _shares_a_name(world, gold, other)
        )
        frames = FRAMES | {"with its kind": OF_KIND[kind]}
        for category, texts in frames.items():
            for text, (entity, other) in islice(zip(cycle(texts), pairs, strict=False), count):
                yield Case(True, category, (entity,), text(entity.name))
                yield Case(False, f"another name {category}", (entity,), text(other))
        yield from _in_two_frames([one for texts in frames.values() for one in texts], pairs, count)
        for category, texts in (
            ("negated", NEGATIONS),
            ("struck out", STRUCK),
            ("doubted", DOUBTS),
        ):
            for text, (entity, _) in islice(zip(cycle(texts), pairs, strict=False), 2 * count):
                yield Case(False, category, (entity,), text(entity.name))
        for join, (entity, other) in islice(zip(cycle(TWO), pairs, strict=False), 3 * count):
            yield Case(False, "two names", (entity,), join(entity.name, other))


def _in_two_frames(
    every: Sequence[Text], pairs: Iterator[tuple[Entity, str]], count: int
) -> Iterator[Case]:
    """Yield names in a frame inside another one, where people would nest them."""
    rng = np.random.default_rng([20])
    for entity, other in islice(pairs, 2 * count):
        outer, inner = (every[int(one)] for one in rng.integers(len(every), size=2))
        right, wrong = inner(entity.name), inner(other)
        if _nests(outer, inner):
            right, wrong = outer(right), outer(wrong)
        yield Case(True, "in two frames", (entity,), right)
        yield Case(False, "another name in two frames", (entity,), wrong)


def _shares_a_name(world: World, gold: int, other: int) -> bool:
    """Whether one name holds the other, or another entity's name is one of the gold ones."""
    one, two = (world.entities[number].name.casefold() for number in (gold, other))
    return one in two or two in one or world.named(gold, world.entities[other].name)


def _nests(outer: Text, inner: Text) -> bool:
    """Whether one frame can stand in another: sentences and items hold marks, marks no sentence."""
    both = outer("X"), inner("X")
    sentence = re.compile(
        r"[.:!]|^(?:the|it|this|gene)\b|\bis\b|answer|\n|^[-*•(\d]", re.IGNORECASE
    )
    return not sentence.search(both[1]) and not set("\\[【") & set(both[1]) and "```" not in both[0]


# --- asides ------------------------------------------------------------------------------------


def asides(world: World, count: int) -> Iterator[Case]:
    """Yield names with an id, an abbreviation or a synonym in brackets, their own or another's."""
    for at, kind in enumerate(_ENTITY_KINDS):
        golds, others = world.shuffled(kind, 40 + at), world.shuffled(kind, 50 + at)
        for i, (gold, number) in enumerate(zip(golds[:count], others[:count], strict=True)):
            one, other = world.entities[gold], world.entities[number]
            if gold == number or world.named(gold, other.name):
                continue
            forms = (
                f"{one.name} ({one.id})",
                f"{one.name} [{one.id}]",
                f"**{one.name}** ({one.id})",
            )
            yield Case(True, "its id in brackets", (one,), forms[i % 3])
            alone = (one.id, f"({one.id})", f"The answer is {one.id}.", f"`{one.id}`")
            yield Case(True, "its id alone", (one,), alone[i % 4])
            wrong = (
                f"{one.name} ({other.id})",
                f"{other.name} ({one.id})",
                f"{one.name} [{other.id}]",
            )
            yield Case(False, "the id of another", (one,), (*wrong, other.id)[i % 4])
            wrong = (f"{one.name} ({other.name})", f"{other.name} ({one.name})")
            yield Case(False, "another name in brackets", (one,), wrong[i % 2])
    for kind in ("disease", "phenotype"):
        for gold in world.shuffled(kind, 60)[: 4 * count]:
            one = world.entities[gold]
            for alias in one.aliases[:1]:
                if world.bearers[_plain(alias)] == {gold}:
                    yield Case(True, "a synonym in brackets", (one,), f"{one.name} ({alias})")
            short = initials(one.name)
            if short:
                yield Case(True, "its abbreviation in brackets", (one,), f"{one.name} ({short})")
                wrong = f"{one.name} ({_other_initials(short)})"
                yield Case(False, "another abbreviation in brackets", (one,), wrong)


def _plain(name: str) -> str:
    return re.sub(r"[^\w+%<>=αβγδ]|_", "", name.casefold())


def initials(name: str) -> str:
    """Return the abbreviation that the first letters of a name's words make, its number behind."""
    found = re.fullmatch(r"([A-Za-z' -]+?)(?:,? (?:type )?(\d{1,2}[A-Z]?))?", name)
    words = re.findall(r"[A-Za-z]+", found[1]) if found else []
    words = [word for word in words if word.lower() not in ("of", "the", "and", "with", "in", "s")]
    if found is None or not 2 <= len(words) <= 6 or re.search(r"\b[IVX]+\b", found[1]):
        return ""
    return "".join(word[0].upper() for word in words) + (found[2] or "")


def _other_initials(short: str) -> str:
    """Return an abbreviation with another first letter, or another number where it has one."""
    digits = re.search(r"\d+", short)
    if digits:
        return short[: digits.start()] + str(int(digits[0]) + 1) + short[digits.end() :]
    return "QXJZ"[: max(2, len(short))]


# --- names written otherwise -------------------------------------------------------------------

_BRITISH = (
    *(("haem", "hem"), ("aemia", "emia"), ("oedema", "edema"), ("oesophag", "esophag")),
    *(("paed", "ped"), ("caec", "cec"), ("foet", "fet"), ("faec", "fec"), ("gynaec", "gynec")),
    *(("tumour", "tumor"), ("colour", "color"), ("behaviour", "behavior"), ("odour", "odor")),
    *(("fibre", "fiber"), ("centre", "center"), ("litre", "liter"), ("goitre", "goiter")),
    *(("ised", "ized"), ("isation", "ization"), ("ysed", "yzed"), ("sulph", "sulf")),
    *(("grey", "gray"), ("mould", "mold"), ("ageing", "aging"), ("labour", "labor")),
    *(("dyspnoea", "dyspnea"), ("diarrhoea", "diarrhea"), ("apnoea", "apnea")),
)  # fmt: skip


def _british(name: str) -> str:
    for british, american in _BRITISH:
        changed = re.sub(rf"(?<![ao]){american}", british, name)
        if changed != name:
            return changed
    return name


def _american(name: str) -> str:
    for british, american in _BRITISH:
        name = name.replace(british, american)
    return name


def _roman(number: int) -> str:
    tens, ones = divmod(number, 10)
    return "X" * tens + ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[ones]


def _numbered(name: str) -> tuple[str, str, str] | None:
    """Return what stands before a number at the end, the number, and its letter."""
    found = re.fullmatch(r"(.*?[a-z]{3}),? (?:type )?(\d{1,2}|[IVX]{2,5})([A-D]?)", name)
    if found is None or re.search(r"(?:group|factor|stage|class|grade|chromosome)$", found[1]):
        return None
    number = found[2] if found[2].isdigit() else _ARABIC.get(found[2], "")
    return (found[1], number, found[3]) if number and int(number) < 40 else None


_ARABIC = {_roman(number): str(number) for number in range(1, 40)}


def _typed(form: str) -> Text:
    def write(name: str) -> str:
        parts = _numbered(name)
        if parts is None:
            return name
        stem, number, letter = parts
        return form.format(stem=stem, arabic=number + letter, roman=_roman(int(number)) + letter)

    return write


def _inverted(order: tuple[int, int, int]) -> Text:
    def write(name: str) -> str:
        parts = name.split(", ")
        number = re.fullmatch(r"(.*[a-z]) (\d+[A-Z]?)", parts[-1])
        if (
            len(parts) != 3
            or not number
            or re.search(r"\b(?:and|or|with|type)\b|\d", name[: -len(parts[-1])] + number[1])
        ):
            return name
        pieces = [parts[0], parts[1], number[1]]
        return f"{' '.join(pieces[i] for i in order)} {number[2]}".capitalize()

    return write


OTHERWISE: dict[str, Text] = {
    "type for a number": _typed("{stem} type {arabic}"),
    "type and a Roman numeral": _typed("{stem} type {roman}"),
    "type behind a comma": _typed("{stem}, type {arabic}"),
    "a Roman numeral alone": lambda name: (
        name
        if (parts := _numbered(name)) is None
        or int(parts[1]) == 10
        or (parts[1] in "15" and parts[2])
        else _typed("{stem} {roman}")(name)
    ),
    "a number alone": _typed("{stem} {arabic}"),
    "three parts in spoken order": _inverted((2, 1, 0)),
    "three parts, the second first": lambda name: (
        name
        if len(parts := name.split(", ")) != 3 or re.search(r"\b(?:and|or|with)\b", name)
        else f"{parts[1]} {parts[0]}, {parts[2]}".capitalize()
    ),
    "hyphens dropped": lambda name: re.sub(r"(?<=[a-zA-Z])-(?=[A-Za-z][a-z])", "", name),
    "hyphens as spaces": lambda name: name.replace("-", " "),
    "British spelling": _british,
    "American spelling": _american,
    "plain ASCII quotes and dashes": lambda name: name.replace("-", "–").replace("'", "’"),
}


def otherwise(world: World, count: int) -> Iterator[Case]:
    """Yield gold names in other spellings, each in a frame, and close names of others likewise."""
    every = [text for texts in FRAMES.values() for text in texts]
    for at, (category, write) in enumerate((OTHERWISE | _old_writings()).items()):
        found = 0
        mixed = (*world.shuffled("disease", 70 + at), *world.shuffled("phenotype", 70 + at))
        for number in mixed:
            entity = world.entities[number]
            answer = write(entity.name)
            if answer == entity.name or world.bearers.get(_plain(answer), {number}) != {number}:
                continue
            text = every[found % len(every)] if found % 2 else (lambda name: name)
            yield Case(True, category, (entity,), text(answer))
            parts = _numbered(entity.name)
            if parts:
                other = f"{parts[0]} type {int(parts[1]) + 1}{parts[2]}"
                if not world.named(number, other):
                    yield Case(False, "another number of a series", (entity,), text(other))
            found += 1
            if found == count:
                break


def _old_writings() -> dict[str, Text]:
    return {
        family: WRITINGS[family]
        for family in ("upper case", "Greek letters", "spoken order", "no possessive", "plural")
    }


# --- numbers -----------------------------------------------------------------------------------

_WORDED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORDED += ("eleven", "twelve")
NUMBER_FRAMES = _filled(
    *("{}", "**{}**", "`{}`", '"{}"', "\\boxed{{}}", "The answer is {}.", "Answer: {}", "{}."),
    *(
        "So the answer is **{}**.",
        "{} [1]",
        "1. {}",
        "The number is {}.",
        "<b>{}</b>",
        "$\\boxed{{}}$",
    ),
)
COUNTED = (
    "{} diseases",
    "{} genes",
    "There are {} diseases.",
    "{} distinct findings",
    "{} in total",
)


def _count(number: int) -> Entity:
    aliases = (_WORDED[number],) if number < len(_WORDED) else ()
    return Entity(id=f"value:{number}", kind="value", name=str(number), aliases=aliases)


def _share(few: int, many: int) -> Entity:
    part = Fraction(few, many)
    aliases = (f"{_rounded(100 * part, 0)}%", f"{_rounded(100 * part, 1)}%", f"{few} of {many}")
    return Entity(id=f"value:{few}/{many}", kind="value", name=f"{few}/{many}", aliases=aliases)


def _rounded(number: Fraction, places: int) -> str:
    scaled = int(number * 10**places + Fraction(1, 2))
    whole, rest = divmod(scaled, 10**places)
    return f"{whole}.{rest:0{places}d}" if places else str(whole)


def numbers(world: World, count: int) -> Iterator[Case]:
    """Yield counts and shares as models write them, and numbers that are nearly the same."""
    column = world.graph.columns["has_phenotype"]["frequency"]
    stated = [re.fullmatch(r"(\d+)/(\d+)", value) for value in sorted(column.values)]
    shares = [(int(one[1]), int(one[2])) for one in stated if one and 0 < int(one[1]) < int(one[2])]
    rng = np.random.default_rng([80])
    for i in range(count):
        number = int(rng.integers(2, 60))
        gold, frame = (_count(number),), NUMBER_FRAMES[i % len(NUMBER_FRAMES)]
        worded = _WORDED[number] if number < len(_WORDED) else str(number)
        yield Case(True, "a number in a frame", gold, frame(str(number)))
        said = COUNTED[i % len(COUNTED)].format(number)
        yield Case(True, "a number with its noun", gold, said)
        both = (f"{worded} ({number})", f"{number} ({worded})", worded, f"{worded} diseases")
        yield Case(True, "a number in words", gold, both[i % 4])
        off = number + (1 if i % 2 else -1)
        yield Case(False, "another number in a frame", gold, frame(str(off)))
        yield Case(
            False, "another number with its noun", gold, COUNTED[i % len(COUNTED)].format(off)
        )
        wrong = (f"-{number}", f"−{number}", f"{number}?", f"~{number}", f"about {number}")
        wrong += (
            f"≥ {number}",
            f"> {number}",
            f"{number} or {off}",
            f"{number}, {off}",
            f"¬{number}",
        )
        wrong += (f"~~{number}~~", f"not {number}", f"0.{number}", f"{number}0", f"{number}.5")
        wrong += (
            f"10^{number}",
            f"{number}²",
            f"{number} ({off})",
            f"{number}-{off + 2}",
            f"❌ {number}",
        )
        yield Case(False, "a number with another sign", gold, wrong[i % len(wrong)])
    for i in range(count):
        few, many = shares[int(rng.integers(len(shares)))]
        gold, frame = (_share(few, many),), NUMBER_FRAMES[i % len(NUMBER_FRAMES)]
        part = Fraction(few, many)
        places = int(rng.integers(0, 4))
        percent = _rounded(100 * part, places)
        if percent.strip("0.") and float(percent) < 100:
            yield Case(True, "a share, rounded", gold, frame(f"{percent}%"))
        said = (f"{few} of {many} patients", f"{few} out of {many}", f"{few}/{many}")
        yield Case(True, "a share in a frame", gold, frame(said[i % 3]))
        detailed = (
            f"{few}/{many} ({_rounded(100 * part, 1)}%)",
            f"{_rounded(100 * part, 1)}% of patients",
        )
        if 0.001 < part < 0.999:
            yield Case(True, "a share in other words", gold, detailed[i % 2])
        step = Fraction(1, 10 ** max(1, places))
        off = _rounded(100 * part + (2 if i % 2 else -2) * step, max(1, places))
        if not off.startswith("-"):
            yield Case(False, "a share, off in its last digit", gold, frame(f"{off}%"))
        wrong = (
            f"{few}/{many + 1}",
            f"{few + 1}/{many}",
            f"{many}/{few}",
            f"{few}-{many}",
            f"<{few}/{many}",
        )
        wrong += (
            f"¬{few}/{many}",
            f"{few}/{many}?",
            f"~~{few}/{many}~~",
            f"about {percent}%",
            f"{few},{many}",
        )
        if part != Fraction(few + 1, many):
            yield Case(False, "another share", gold, frame(wrong[i % len(wrong)]))


# --- symbols -----------------------------------------------------------------------------------

_TURNED = (
    *(("↑ {}", "↓ {}"), ("{} +", "{} -"), ("+{}", "-{}"), ("≥ {}", "≤ {}"), ("> {}", "< {}")),
    *(("{} ↑", "{} ↓"), ("{} → X", "{} ← X"), ("{}+", "{}-"), ("{} = X", "{} ≠ X")),
    *(("± {}", "{}"), ("10^3 {}", "10^-3 {}"), ("10³ {}", "103 {}"), ("2.5 {}", "25 {}")),
    *(("{} 0.5", "{} 5"), ("↑ {}", "{}"), ("-5 {}", "5 {}"), ("10⁻³ {}", "10³ {}")),
)  # fmt: skip
_ORDERED = (
    *(("increased", "decreased"), ("5", "10"), ("low", "high"), ("positive", "negative")),
    *(("↑", "↓"), ("1.5 mg", "3 mg"), ("yes", "no"), ("T3 high", "T4 low")),
)


def symbols(world: World, count: int) -> Iterator[Case]:
    """Yield options whose meaning is in a symbol or an order, as they are and turned round."""
    chosen = [world.entities[number].name for number in world.shuffled("gene", 90)]
    for i in range(count):
        one, other = _TURNED[i % len(_TURNED)]
        name = chosen[i]
        for right, wrong in ((one, other), (other, one)):
            gold = (Entity(id="O:1", kind="option", name=right.format(name)),)
            frame = FRAMES["behind a label"][i % 5] if i % 2 else (lambda text: text)
            yield Case(True, "a symbol as it is", gold, frame(right.format(name)))
            yield Case(False, "a symbol turned round", gold, frame(wrong.format(name)))
        first, second = _ORDERED[i % len(_ORDERED)]
        joint = (", ", "; ", " and ", " → ")[i % 4]
        gold = (Entity(id="O:2", kind="option", name=f"{first}{joint}{second}"),)
        yield Case(True, "values in their order", gold, f"{first}{joint}{second}")
        yield Case(False, "values in another order", gold, f"{second}{joint}{first}")


# --- lists -------------------------------------------------------------------------------------


def _comma_and(items: Sequence[str], last: str) -> str:
    return f"{', '.join(items[:-1])}{last}{items[-1]}"


LISTS: dict[str, Callable[[Sequence[str]], str]] = {
    "a numbered list": lambda items: "\n".join(f"{i}. {one}" for i, one in enumerate(items, 1)),
    "a list in brackets": lambda items: "\n".join(f"({i}) {one}" for i, one in enumerate(items, 1)),
    "a bulleted list": lambda items: "\n".join(f"- {one}" for one in items),
    "a bulleted list in bold": lambda items: "\n".join(f"* **{one}**" for one in items),
    "a list by lines": "\n".join,
    "a list by semicolons": "; ".join,
    "a list by commas": ", ".join,
    "a list by commas and and": lambda items: _comma_and(items, " and "),
    "a list with an Oxford comma": lambda items: _comma_and(items, ", and "),
    "a list in a sentence": lambda items: f"The diseases are {_comma_and(items, ' and ')}.",
    "a list behind a label": lambda items: "Answer:\n" + "\n".join(f"- {one}" for one in items),
    "a list with citations": lambda items: "\n".join(
        f"{i}. {one} [{i}]" for i, one in enumerate(items, 1)
    ),
    "a list with its number": lambda items: f"There are {len(items)} diseases: {'; '.join(items)}.",
}


def lists(world: World, count: int) -> Iterator[Case]:
    """Yield lists of all diseases with a finding: whole, lacking one, and with one too many."""
    graph = world.graph
    groups = []
    for number in world.shuffled("phenotype", 95):
        found = [n for n in graph.step(number, "phenotype_of").tolist() if n in world.entities]
        if 2 <= len(found) <= 6 and len({world.entities[n].name for n in found}) == len(found):
            groups.append(found)
    others = world.shuffled("disease", 96)
    rng = np.random.default_rng([97])
    for at, (category, write) in enumerate(LISTS.items()):
        for i in range(count):
            group = groups[(at * count + i) % len(groups)]
            gold = tuple(world.entities[n] for n in group)
            items = [gold[int(k)].name for k in rng.permutation(len(gold))]
            other = world.entities[others[(at * count + i) % len(others)]].name
            yield Case(True, category, gold, write(items), all_of=True)
            lacking = write(items[:-1]) if len(items) > 2 else items[0]
            yield Case(False, "a list that lacks one", gold, lacking, all_of=True)
            yield Case(False, "one of a list", gold, items[0], all_of=True)
            if other not in items:
                yield Case(
                    False, "a list with one too many", gold, write([*items, other]), all_of=True
                )
                yield Case(
                    False,
                    "a list with one exchanged",
                    gold,
                    write([*items[:-1], other]),
                    all_of=True,
                )
                yield Case(True, "one of any", gold, FRAMES["behind a label"][i % 5](items[0]))
                yield Case(False, "one of any with a wrong one", gold, write([items[0], other]))


# --- unknown -----------------------------------------------------------------------------------

_UNKNOWN = ("unknown", "Unknown", "I do not know", "cannot be determined", "not known")
_NOT_UNKNOWN: tuple[Text, ...] = _filled(
    *("unknown ({})", "unknown, perhaps {}", "not unknown", "¬unknown", "~~unknown~~", "unknown?"),
    *(
        "{}",
        "The answer is {}.",
        "unknown or {}",
        "I do not know, but {}",
        "❌ unknown",
        "Unknown: {}",
    ),
)


def unknown(world: World, count: int) -> Iterator[Case]:
    """Yield answers that say that there is none, in every frame, and answers that do not."""
    every = [text for texts in FRAMES.values() for text in texts]
    genes = world.shuffled("gene", 99)
    for i in range(count):
        said = _UNKNOWN[i % len(_UNKNOWN)] if i % 3 else "unknown"
        yield Case(True, "unknown in a frame", (), every[i % len(every)](said))
        name = world.entities[genes[i % len(genes)]].name
        yield Case(False, "not unknown", (), _NOT_UNKNOWN[i % len(_NOT_UNKNOWN)](name))


MAKERS = (names, asides, otherwise, numbers, symbols, lists, unknown)
"""Everything that is made, in this order."""
