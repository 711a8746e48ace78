"""Thoughts of scripted teachers: sentence templates by occasion, several for each.

A teacher fills the slots of a template with names that the agent has seen. No template is drawn
twice in a row for one occasion, so that a set uses all of them.
"""

from __future__ import annotations

import numpy as np

from medenv.errors import UnknownNameError

OCCASIONS: dict[str, tuple[str, ...]] = {
    "begin": (
        "I am asked for a {kind}. The trail starts at {start}.",
        "The question ends at a {kind} and begins with {start}, so I start there.",
        "Working step by step: {start} first, and in the end a {kind}.",
        "What is wanted is a {kind}. The fixed point is {start}.",
        "I need a {kind}; what I am given is {start}.",
        "Let me lay this out. I have {start}, and I want a {kind}.",
    ),
    "begin_unnamed": (
        "The {first} at the start is described, not named. I have to identify it first.",
        "I am asked for a {kind}, but the {first} I begin with has no name yet.",
        "Before anything else I must find out which {first} is meant.",
        "The question hides its first {first} behind a description, so that comes first.",
        "Step one is to put a name to the {first} that is described.",
        "No name is given for the first {first}; the description has to lead me to it.",
    ),
    "begin_clues": (
        "I am looking for a {kind} that fits several conditions at once.",
        "The {kind} I want is given only by what holds for it.",
        "Several conditions have to meet in one {kind}.",
        "There is no name to start from, only what is true of the {kind}.",
    ),
    "search": (
        "I search for {query}.",
        "Let me look up {query}.",
        "A search for {query} should bring this up.",
        "First I see what the corpus says on {query}.",
        "I ask the corpus for {query}.",
        "Searching {query} is the direct way.",
    ),
    "med_search": (
        "The medical search weighs how reliable a source is, so I ask it for {query}.",
        "I use the medical search for {query}.",
        "This is a clinical detail; the medical search for {query} fits better.",
        "I turn to the medical search: {query}.",
    ),
    "read": (
        "The document on {name} says more than the excerpt. I read it.",
        "I open the document on {name}.",
        "The full entry for {name} should list this.",
        "The excerpt is cut, so I read the entry for {name}.",
        "Details on {name} are in its own document; I read that.",
    ),
    "read_on": (
        "The document on {name} goes on; I read further.",
        "It is not in the first part. I read on about {name}.",
        "There is more on {name} below, so I continue.",
    ),
    "diagnose": (
        "Findings point to diseases, so I let the diagnosis tool rank them for {query}.",
        "Which diseases show {query}? The diagnosis tool can rank them.",
        "I have findings and need a disease: I ask the diagnosis tool about {query}.",
        "A ranking by findings should help here: {query}.",
    ),
    "found": (
        "The result states that {fact}.",
        "Here it is: {fact}.",
        "So {fact}.",
        "This shows that {fact}.",
        "Good, {fact}.",
        "According to the passage, {fact}.",
    ),
    "fits": (
        "That it {clue} agrees with the question.",
        "It also {clue}, as asked.",
        "The condition that it {clue} is met.",
        "The question wants one that {clue}, and this is it.",
    ),
    "examine": (
        "Is it {name}? I look at what is recorded of it.",
        "{name} is one of those listed. I check it against the question.",
        "I check {name} before I take it.",
        "Several are listed; I look at {name}.",
    ),
    "listing": (
        "Rather than check each, I look at what is recorded of {name}.",
        "The entry on {name} should name the one that is meant.",
        "{name} narrows it down; I look there.",
    ),
    "alone": (
        "Of the {number} that came up, only {name} is named together with {other}.",
        "{other} is named with {name}, and with none of the other {rest} that came up.",
        "That leaves {name}: {other} is not mentioned with any of the other {rest}.",
    ),
    "treatment": (
        "What is {name} treated with? I search for that.",
        "I look for texts on treatment: {name}.",
    ),
    "ruled_out": (
        "What I read of {name} does not say that it {clue}, so I leave it.",
        "{name}: nothing there says that it {clue}. That speaks against it.",
        "I see no sign that {name} {clue}; another one has to be meant.",
    ),
    "not_found": (
        "That does not show what I need.",
        "Not there yet.",
        "None of these results settles it.",
        "This brings nothing decisive.",
        "The step I need is not among these results.",
    ),
    "failed": (
        "The tool did not answer. I make the same call once more.",
        "That call failed for no reason of mine, so I repeat it.",
        "The tool was out of reach; I try it again.",
        "No answer from the tool. One more try.",
    ),
    "next": (
        "Next: the {kind}.",
        "Now for the {kind}.",
        "From there I need the {kind}.",
        "What follows is the {kind}.",
        "The next link is a {kind}.",
    ),
    "answer": (
        "All steps are shown: {chain}. The answer is {answer}.",
        "Putting it together: {chain}. So it is {answer}.",
        "The chain is closed: {chain}. I answer {answer}.",
        "In sum, {chain}. That makes it {answer}.",
        "Every link is documented: {chain}. Hence {answer}.",
    ),
    "give_up": (
        "I have not found what would settle this.",
        "The sources that I could reach do not decide it.",
    ),
    "vague": (
        "A broad search may give an overview: {query}.",
        "I begin wide, with {query}.",
        "Let me see what {query} alone brings.",
    ),
    "vague_over": (
        "Too broad: these results are about many things.",
        "As feared, that is too general.",
        "This is no narrower than the question itself. I need names.",
    ),
    "wrong_tool": (
        "A direct lookup of {name} would be quickest.",
        "Maybe the graph can be asked directly about {name}.",
        "I try to look {name} up without searching.",
    ),
    "wrong_tool_over": (
        "There is no such tool here. I use what I have.",
        "That tool is not on offer, so I go by the list.",
        "I may only use the tools that I was given.",
    ),
    "wrong_id": (
        "I read the entry on {name} by its number.",
        "I go straight to the document that should hold {name}.",
    ),
    "wrong_id_over": (
        "I made that id up; ids come from search results.",
        "No such passage. I have to search before I can read.",
    ),
    "hasty": (
        "{name} is the first that matches. I take it.",
        "This looks good enough: {name}.",
        "I settle for {name} without checking the rest.",
    ),
}
"""Sentence templates by occasion; slots are in braces."""


class Words:
    """Draw the wordings of an episode.

    Args:
        rng: Random generator.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._last: dict[str, int] = {}

    def say(self, occasion: str, **slots: str) -> str:
        """Return a sentence.

        Args:
            occasion: One of `OCCASIONS`.
            **slots: Slot name to its text.

        Raises:
            UnknownNameError: Unknown occasion.
        """
        if occasion not in OCCASIONS:
            raise UnknownNameError("occasion", occasion, OCCASIONS)
        choices = OCCASIONS[occasion]
        last = self._last.get(occasion)
        others = [n for n in range(len(choices)) if n != last]
        self._last[occasion] = chosen = others[int(self._rng.integers(len(others)))]
        sentence = choices[chosen].format_map(slots)
        return sentence[:1].upper() + sentence[1:]
