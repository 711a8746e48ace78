"""How questions are worded: several phrasings per pattern, each naming the topic in plain text.

Genes are "associated with" diseases and findings "reported in" them: the sources state no causes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from medenv.errors import UnknownNameError
from medenv.text import fold, fold_name, occurs

WORDINGS: dict[str, tuple[str, ...]] = {
    "disease>gene": (
        "Which gene is associated with {topic}?",
        "Name the gene that is associated with {topic}.",
        "A patient has been diagnosed with {topic}. Which gene is associated with this disease?",
        "One gene is associated with {topic}. Which one is it?",
    ),
    "gene>disease": (
        "Which disease is associated with the gene {topic}?",
        "Name the disease that the gene {topic} is associated with.",
        "A laboratory reports a variant in the gene {topic}. Which disease is this gene "
        "associated with?",
        "The gene {topic} is associated with one disease. Which one is it?",
    ),
    "phenotype>disease": (
        'In which disease is the finding "{topic}" reported?',
        'Name the disease in which the finding "{topic}" is reported.',
        'A patient shows the finding "{topic}". In which disease is it reported?',
        'The finding "{topic}" is reported in one disease. Which one is it?',
    ),
    "phenotype>disease>gene": (
        'Which gene is associated with the disease in which the finding "{topic}" is reported?',
        'The finding "{topic}" is reported in one disease. Which gene is associated with that '
        "disease?",
        'A patient shows the finding "{topic}", which is reported in a single disease. Name the '
        "gene that is associated with that disease.",
        'Name the gene associated with the one disease that has "{topic}" among its reported '
        "findings.",
    ),
}
"""Pattern name to its phrasings; the template name of the n-th one is ``"<pattern>/<n>"``."""

_UNFIT = re.compile(r"[{}\[\]?\"\x00-\x1f]|^\w+:\w+$")


def wordings(pattern: str, topic: str) -> tuple[tuple[str, str], ...]:
    """Return all phrasings of a question as (template name, text).

    Args:
        pattern: Name of the pattern.
        topic: Name of the topic.

    Raises:
        UnknownNameError: The pattern has no phrasings.
    """
    if pattern not in WORDINGS:
        raise UnknownNameError("question pattern", pattern, WORDINGS)
    return tuple(
        (f"{pattern}/{number}", template.replace("{topic}", topic))
        for number, template in enumerate(WORDINGS[pattern])
    )


def unfit(name: str) -> bool:
    """Return whether a name carries a catalogue's notation (braces, question marks, an id)."""
    return not name.strip() or _UNFIT.search(name) is not None


def mentions(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that occur in a text as whole words, however spelled, in the order given."""
    folded = fold(text)
    return tuple(name for name in names if occurs(fold_name(name.strip()), folded))
