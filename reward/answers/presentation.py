"""Remove presentation from answers: markup, lead-ins, list marks and citations.

Only this module removes it, layer by layer from the outside: "So the answer is **FBN1** [1]." is
read as "FBN1". Closed lists define the layers, none of which changes the meaning: a negation, a
doubt, a struck-out text or a second name stays, and then nothing matches. Every step takes linear
time in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from medenv.reward.answers.names import EntityNames, normalise

MAX_LAYERS = 8
"""Most layers that are removed."""

KIND_NOUNS = (
    "gene",
    "disease",
    "disorder",
    "condition",
    "phenotype",
    "finding",
    "symptom",
    "drug",
    "medication",
)
"""Nouns for the kind of the entity that follows them ("the gene FBN1")."""


class Reading(NamedTuple):
    """An answer without some of the layers around it.

    Attributes:
        text: The remaining text.
        cited: The citations after it, without their square brackets.
        marked: Whether it still has a list mark or a source; their numbers belong to no name.
    """

    text: str
    cited: tuple[str, ...] = ()
    marked: bool = False


def readings(answer: str, names: EntityNames | None = None) -> Iterator[Reading]:
    """Yield an answer unchanged, then with one more layer of presentation removed each time.

    Args:
        answer: The answer that the policy wrote.
        names: All known names, for a lead-in that repeats the question: "The gene associated with
            Marfan syndrome is FBN1".
    """
    text = _trimmed(_SPACES.sub(" ", without_markup(answer)))
    cited: tuple[str, ...] = ()
    for _ in range(MAX_LAYERS):
        citation = _CITATION.search(text) if text.endswith(("]", "】")) else None
        mark = _LIST_MARK.match(text)
        if citation:
            left = text[: citation.start()]
        elif mark:
            left = text[mark.end() :]
        else:
            left = _without_layer(text, names)
        left = _trimmed(left)
        if left == text or not left:
            break
        yield Reading(text, cited, marked=bool(citation or mark))
        text = left
        if citation:
            cited = (*cited, *_CITED.findall(citation[0]))
    yield Reading(text, cited)


def without_subject(text: str) -> str:
    """Return a text without its subject at the beginning: "The gene cannot be determined".

    Args:
        text: A reading of an answer.
    """
    subject = _SUBJECT.match(text)
    return text[subject.end() :] if subject else text


def without_markup(text: str) -> str:
    """Return a text without HTML, Markdown and LaTeX that only change its look.

    Strike-through is kept in every notation, because it negates the text.

    Args:
        text: Any text.
    """
    if not _MARKUP.search(text):
        return text
    if "<" in text:
        text = _BREAK.sub("\n", _INLINE_TAG.sub("", _SUBSCRIPT.sub(r"\1", text)))
        text = _FOOTNOTE.sub(r" [\1]", _SUPERSCRIPT.sub(r"^\1", text))
    if "\\" in text or "$" in text or "^{" in text:
        text = _without_latex(text)
    if "`" in text:
        text = _FENCE.sub("", text).replace("`", "")
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    for emphasis in _EMPHASIS:
        text = emphasis.sub(r"\1", text)
    return text


_SPACES = re.compile(r"[^\S\n]+")
_MARKUP = re.compile(r"[<\\$`*_#]|\]\(|\^\{")
_INLINE_TAG = re.compile(
    r"</?(?:b|strong|i|em|u|code|tt|kbd|samp|mark|span|big|small|font)\s*>", re.IGNORECASE
)
_BREAK = re.compile(r"</?(?:br|p|div|li|ul|ol|pre|h[1-6])\s*/?>", re.IGNORECASE)
_SUBSCRIPT = re.compile(r"<sub>([^<>]*)</sub>", re.IGNORECASE)
_SUPERSCRIPT = re.compile(r"(?<=\d)<sup>([-+]?\d+)</sup>", re.IGNORECASE)
_FOOTNOTE = re.compile(r"<sup>\[?(\d{1,3})\]?</sup>", re.IGNORECASE)
_FENCE = re.compile(r"^\s*```[a-z]*\s*\n", re.IGNORECASE)
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()\s]*\)")
_EMPHASIS = (
    re.compile(r"\*\*([^*\n]+)\*\*"),
    re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+)(?<=[^\s*])\*(?![\w*])"),
    re.compile(r"(?<!\w)__(?=[^\s_])([^_\n]+)(?<=[^\s_])__(?!\w)"),
    re.compile(r"(?<!\w)_(?=[^\s_])([^_\n]+)(?<=[^\s_])_(?!\w)"),
    re.compile(r"^[ \t]*#{1,6}[ \t]+([^\n]*)", re.MULTILINE),
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_COMMAND = re.compile(
    r"\\(boxed|fbox|text|textbf|textit|texttt|textrm|textsf|mathrm|mathbf|mathit|mathsf|mathtt"
    r"|emph|operatorname|mbox|underline)\s*\{([^{}]*)\}"
)
_SCRIPT = re.compile(r"([\^_])\{([^{}]*)\}")
_MATH = re.compile(r"\$\$?([^$]*)\$?\$|\\\(|\\\)|\\\[|\\\]")
_LATEX_SYMBOLS = {
    **{f"\\{char}": char for char in "%&#_-{}"},
    **{f"\\{char}": " " for char in ",; !"},
    "\\leq": "≤",
    "\\le": "≤",
    "\\geq": "≥",
    "\\ge": "≥",
    "\\times": "×",
    "\\cdot": "·",
    "\\pm": "±",
    "\\uparrow": "↑",
    "\\downarrow": "↓",
    "\\rightarrow": "→",
    "\\approx": "≈",
    "\\alpha": "α",
    "\\beta": "β",
    "\\gamma": "γ",
    "\\delta": "δ",
}
_LATEX_SYMBOL = re.compile(r"\\(?:[a-z]+|[^a-z])")
_NESTED = 4


def _without_latex(text: str) -> str:
    text = _MATH.sub(r"\1", text)
    for _ in range(_NESTED):
        before, text = text, _FRACTION.sub(r"\1/\2", text)
        text = _SCRIPT.sub(lambda script: f"^{script[2]}" if script[1] == "^" else script[2], text)
        text = _COMMAND.sub(
            lambda found: f" {found[2]} " if found[1] == "boxed" else found[2], text
        )
        if text == before:
            break
    return _LATEX_SYMBOL.sub(lambda found: _LATEX_SYMBOLS.get(found[0], found[0]), text)


_ID = r"[\w.-]+[:/_][\w./:-]*\d[\w./:-]*(?:\#\d+)?|[\w./:-]+\#\d+|PMID:?\s?\d+"
_SOURCE = r"(?:(?:see|source|ref|reference|passage|doc|document|citation|from|per)s?\b[.:]?\s*)*"
_CITED_NUMBERS = r"\^?\d{1,3}(?:†\w+)?(?:\s*[,;–-]\s*\d{1,3})*"
_CITED_IDS = rf"(?:{_ID})(?:\s*[,;]\s*(?:{_ID}))*"
_CITATION = re.compile(
    rf"(?:\s*\^?[\[【]{_SOURCE}(?:{_CITED_NUMBERS}|{_CITED_IDS})[\]】])+$", re.IGNORECASE
)
_CITED = re.compile(r"[^\s\[\]【】,;]+")
IS_SOURCE = re.compile(
    rf"(?:passage|source|ref)\s\d{{1,3}}|{_SOURCE}(?:\S+\#\d+|PMID:?\s?\d+|\[(?:{_CITED_NUMBERS}|{_CITED_IDS})\])",
    re.IGNORECASE,
)
"""A source after an answer, in round brackets."""

_FLOURISHES = " \t\r\n,;:\N{WHITE HEAVY CHECK MARK}\N{HEAVY CHECK MARK}\N{CHECK MARK}\ufe0f"
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "(": ")", "[": "]", "{": "}"}


def _trimmed(text: str) -> str:
    """Return a text without sentence-final marks; a leading point or "!" may carry meaning."""
    return text.lstrip(_FLOURISHES).rstrip(_FLOURISHES + ".!")


def _without_layer(text: str, names: EntityNames | None) -> str:
    """Return a text without its outermost layer, or unchanged."""
    closing = _QUOTES.get(text[:1])
    if closing and text[-1] == closing and not {text[0], closing} & set(text[1:-1]):
        return text if text[1:-1].strip().isdigit() and closing == "]" else text[1:-1]
    if found := _OPENING.match(text):
        return text[found.end() :]
    if names is not None and (left := _without_topic(text, names)) != text:
        return left
    for layer in (_LEAD_IN, _PRONOUN, _KIND):
        if found := layer.match(text):
            return text[found.end() :]
    if found := _TRAILER.search(text):
        return text[: found.start()]
    return text


def _without_topic(text: str, names: EntityNames) -> str:
    """Return a text without a repeated question: "The gene associated with X is", "X has"."""
    if (subject := _SUBJECT.match(text)) and (of := _OF.match(text, subject.end())):
        for link in _LINK_VERB.finditer(text, of.end(), of.end() + _LONGEST_TOPIC):
            if _is_topic(text[of.end() : link.start()], names):
                return text[link.end() :]
    counting = _COUNTING.search(text, 0, _LONGEST_TOPIC)
    if counting and _is_topic(text[: counting.start()], names):
        return text[counting.end() :]
    trailer = _TRAILER_OF.search(text)
    if trailer and _is_topic(text[trailer.end() : trailer.end() + _LONGEST_TOPIC], names):
        return text[: trailer.start()]
    return text


def _is_topic(phrase: str, names: EntityNames) -> bool:
    """Return whether a phrase can be a question's topic: a known name, or "this patient"."""
    if _SET_PHRASE.fullmatch(phrase.strip()):
        return True
    key = normalise(phrase)
    first, _, rest = key.partition(" ")
    return key in names or (first in KIND_NOUNS and rest in names)


_NUMERAL = r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_CONNECTIVE = (
    r"(?:and\s+|but\s+)?(?:so|thus|therefore|hence|consequently|accordingly|overall|finally"
    r"|ultimately|as\s+a\s+result|in\s+(?:conclusion|summary|short|the\s+end)"
    r"|to\s+(?:conclude|summari[sz]e|sum\s+up)|exactly|precisely|a\s+total\s+of)(?:\s*[,:])?\s+"
)
_GROUNDS = (
    r"(?:based\s+on|according\s+to|given|going\s+by|from)\s+"
    r"(?:(?:the|these|this|my|all|available|retrieved|provided|given|cited|above|search|research)\s+)*"
    r"(?:evidence|research|passages?|records?|results?|information|findings|data|sources?|documents?"
    r"|(?:knowledge\s+)?graph|database|text|literature|corpus|references?)"
    r"(?:\s+(?:above|provided|retrieved|found|available))?\s*,\s+"
)
_CONCLUDING = (
    r"(?:i|we)\s+(?:(?:can|would|must|therefore|thus|hence)\s+)*(?:conclude|answer)"
    r"(?:\s+that|\s+with)?(?:\s*[:,])?\s+"
)
_LIST_MARK = re.compile(r"(?:[-*+•◦‣▪–—]|\(?1[.)])\s+(?=\S)")
_OPENING = re.compile(
    rf"(?:{_CONNECTIVE}|{_GROUNDS}|{_CONCLUDING}"
    rf"|here\s+(?:is|are)\s+|{_NUMERAL}\s*:\s+)(?=\S)",
    re.IGNORECASE,
)
_MODIFIER = (
    r"(?:final|following|correct|right|true|actual|requested|causative|causal|causing|responsible|associated"
    r"|affected|mutated|implicated|underlying|relevant|single|only|sole|unique|main|primary"
    r"|principal|specific|exact|precise|definitive|definite|confirmed|clinical|genetic|molecular"
    r"|known|recorded|reported|resulting|complete|full|short|total|most[\s-]+likely|likely"
    r"|unifying|matching)"
)
_NOUN = (
    rf"(?:answers?|ans|(?:{'|'.join(KIND_NOUNS)})s?|syndromes?|diagnos[ie]s|signs?|features?"
    r"|treatments?|values?|numbers?|counts?|total|frequency|frequencies|percentage|share"
    r"|proportion|fraction|prevalence|onset|inheritance|results?|response|conclusion|entity"
    r"|entities|term|name|list|solution|variants?)"
)
_THE = (
    rf"[\"'“]?(?:(?:the|my|our|its|his|her|this|that|a|an|one|these|those|all|patient['’]s)\s+){{0,2}}"
    rf"(?:(?:\d{{1,3}}|{_NUMERAL})\s+)?(?:{_MODIFIER}\s+)*{_NOUN}(?:\s+of\s+(?:the\s+)?{_NOUN})?"
    r"(?:(?:['’]s)?\s+(?:name|symbol))?(?:\(s\))?[\"'”]?"
    r"(?:\s+(?:responsible|involved|implicated|concerned|identified|in\s+question|asked\s+for))?"
)
_VERB = r"\s+(?:is|are|was|were|would\s+be|must\s+be)(?:\s*:)?\s+"
_ADVERB = (
    r"(?:(?:therefore|thus|hence|indeed|then)(?:\s*,)?\s+)?(?:that\s+)?"
    r"(?:(?:called|named|known\s+as|identified\s+as)\s+)?"
)
_LINK_VERB = re.compile(rf"(?:{_VERB}|\s*[:=]\s*){_ADVERB}(?=\S)", re.IGNORECASE)
_LEAD_IN = re.compile(
    rf"{_THE}(?:\s*(?:[:=]|[=-]>)\s*|\s+[-–—]\s+(?!\d)|\s*\n\s*|{_VERB}{_ADVERB})(?=\S)",
    re.IGNORECASE,
)
_PRONOUN = re.compile(
    r"(?:(?:it|this|that)(?:\s+is|\s+would\s+be|['’]s)(?:\s+a\s+case\s+of)?|there\s+is"
    r"|(?:these|they|those|there)\s+are"
    r"|(?:the|this)\s+patient\s+(?:has|is\s+diagnosed\s+with|suffers\s+from))"
    rf"\s+{_ADVERB}(?=\S)",
    re.IGNORECASE,
)
_SUBJECT = re.compile(_THE, re.IGNORECASE)
_OF = re.compile(
    r"\s+(?:(?:(?:that|which)\s+)?(?:is|are)\s+)?(?:associated\s+with|linked\s+to|responsible\s+for"
    r"|causing|(?:that|which)\s+causes?|mutated\s+in|underlying|behind|reported\s+in|recorded\s+for"
    r"|for|in|of|to|with)\s+",
    re.IGNORECASE,
)
_LONGEST_TOPIC = 200
_COUNTING = re.compile(
    r"\s+(?:is|are)\s+(?:associated\s+with|linked\s+to|reported\s+in|recorded\s+in)\s+"
    rf"(?=(?:exactly\s+)?(?:\d|{_NUMERAL}\s))",
    re.IGNORECASE,
)
_SET_PHRASE = re.compile(
    r"(?:(?:the|this|that|your|my)\s+)?(?:question|query|patient|case|disease|disorder|condition|gene"
    r"|syndrome|finding|phenotype|drug)|it",
    re.IGNORECASE,
)
_KIND = re.compile(
    rf"(?:the\s+(?:{_MODIFIER}\s+)*(?:{'|'.join(KIND_NOUNS)})|gene)\s+(?:(?:called|named)\s+)?(?=\S)",
    re.IGNORECASE,
)
_TRAILER = re.compile(
    rf"\s+(?:is|are)\s+(?:the|my|our)\s+(?:{_MODIFIER}\s+)*{_NOUN}(?:\s+responsible)?$",
    re.IGNORECASE,
)
_TRAILER_OF = re.compile(
    rf"\s+(?:is|are)\s+the\s+(?:{_MODIFIER}\s+)*{_NOUN}{_OF.pattern}", re.IGNORECASE
)
