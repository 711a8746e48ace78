"""A reader who has the HPO's raw files and a question's English, and nothing of ours.

It shares no code with the package: files are split at tabs, sentences are taken apart by patterns,
and every "exactly one" is counted on what the rows say.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Ids = set[str]
KINDS = {"disease": "disease", "diseases": "disease", "gene": "gene", "genes": "gene"}
KINDS |= {"finding": "finding", "findings": "finding"}
HAVE = ("disease", "gene", "finding", "attribute")
PHENOTYPIC = "HP:0000118"
_KIND = r"(?P<other>other )?(?P<kind>diseases?|genes?|findings?)"
_GROUP = r"(?:associated with (?P<a>.+?)|in which (?P<b>.+?) is reported|reported in (?P<c>.+?))"
_GROUPED = [
    rf"Of the {_KIND} {_GROUP}, exactly one (?P<clues>.+)\.",
    rf"Just one of the {_KIND} {_GROUP} (?P<clues>(?:also|is|has) .+)\.",
    rf"Among the {_KIND} {_GROUP}, only one (?P<clues>.+)\.",
    rf"A single {_KIND} {_GROUP} (?P<clues>(?:also|is|has) .+)\.",
]
_BARE = [
    rf"(?P<a>.+) is associated with exactly one {_KIND}\.",
    rf"There is just one {_KIND} associated with (?P<a>.+)\.",
    rf"(?:Only one|A single) {_KIND} is associated with (?P<a>that .+)\.",
    rf"(?P<a>.+) is reported in exactly one {_KIND}\.",
    rf"There is just one {_KIND} in which (?P<a>.+) is reported\.",
    rf"Only one {_KIND} is reported with (?P<a>.+)\.",
    rf"A single {_KIND} is known to feature (?P<a>.+)\.",
    rf"Exactly one {_KIND} is reported in (?P<a>.+)\.",
    rf"There is just one {_KIND} that is reported in (?P<a>that .+)\.",
    r"(?P<a>.+) has only one (?P<other>other )?reported (?P<kind>finding)\.",
    rf"A single {_KIND} is on record for (?P<a>.+)\.",
]
_SINGLED = [
    r"Start from the one (?P<kind>\w+) that (?P<clues>.+)\.",
    r"There is just one (?P<kind>\w+) that (?P<clues>.+)\.",
    r"(?:Only one|A single) (?P<kind>disease|gene|finding) (?P<clues>.+)\.",
]
_DEFINED = [
    r"Start from the (?P<kind>\w+) that is defined like this: (?P<text>«\d+»)",
    r"An? (?P<kind>\w+) is defined as follows: (?P<text>«\d+»)",
    r"Consider the (?P<kind>\w+) with this definition: (?P<text>«\d+»)",
    r"Take the (?P<kind>\w+) whose definition reads: (?P<text>«\d+»)",
]
_ENDS = (
    r"Which .+|Name the .+|According to the records.+|Identify the .+|(?:No|Each|Every) [\w, ]+\."
)
_NAMED = r"is (?:reported in|associated with(?: the gene)?) (.+)"
_VERB = re.compile(
    r"(?:^|, | and )(?:also )?(has|is (?:also )?associated with(?: the gene)?"
    r"|is (?:also )?reported in|is (?:also )?a kind of|is recorded without) "
)


class UnreadableError(Exception):
    """A question that cannot be followed."""


class Records:
    """The rows of hp.obo, phenotype.hpoa and genes_to_phenotype.txt that OMIM's diseases have.

    Args:
        folder: The folder with the three files.
    """

    def __init__(self, folder: Path) -> None:
        self.names: dict[str, Ids] = defaultdict(set)
        self.definitions: dict[str, Ids] = defaultdict(set)
        self.kind: dict[str, str] = {}
        self.parents: dict[str, Ids] = defaultdict(set)
        self.linked: dict[tuple[str, str], Ids] = defaultdict(set)
        self.excluded: dict[str, Ids] = defaultdict(set)
        self._above: dict[str, Ids] = {}
        self._terms((folder / "hp.obo").read_text("utf-8"))
        for term in list(self.kind):
            if PHENOTYPIC not in self.kinds_of(term):
                self.kind[term] = "attribute"  # such as a mode of inheritance: no finding
        for row in _rows(folder / "phenotype.hpoa"):
            self._annotation(row)
        for row in _rows(folder / "genes_to_phenotype.txt"):
            if row[5] in self.kind:
                self._entity(f"gene {row[0]}", "gene", row[1])
                self._link(row[5], f"gene {row[0]}")

    def _terms(self, text: str) -> None:
        self._merged: dict[str, str] = {}
        for stanza in text.split("\n[Term]\n")[1:]:
            stanza = stanza.split("\n[Typedef]")[0]
            told = re.findall(r"^(\w+): (.*)$", stanza, re.MULTILINE)
            fields = defaultdict(list)
            for key, value in told:
                fields[key].append(value)
            if "true" in fields["is_obsolete"]:
                continue
            term = fields["id"][0]
            self._merged |= {alt: term for alt in fields["alt_id"]}
            self._entity(term, "finding", fields["name"][0])
            self.parents[term] |= {value.split(" ")[0] for value in fields["is_a"]}
            for value in fields["def"]:
                said = re.match(r'"((?:[^"\\]|\\.)*)"', value)
                if said:
                    self.definitions[_squeezed(said[1])].add(term)

    def _annotation(self, row: list[str]) -> None:
        disease, name, negation, term, frequency = *row[:4], row[7]
        never = frequency == "HP:0040285" or re.match(r"0/|0(\.0)?%$", frequency)
        if disease.startswith("OMIM:"):
            self._entity(disease, "disease", name)
            term = self._merged.get(term, term)
            if negation == "NOT" or never:
                self.excluded[disease].add(term)
            else:
                self._link(disease, term)

    def _entity(self, entity: str, kind: str, name: str) -> None:
        self.kind[entity] = kind
        self.names[name.casefold()].add(entity)

    def _link(self, one: str, other: str) -> None:
        self.linked[one, self.kind[other]].add(other)
        self.linked[other, self.kind[one]].add(one)

    def kinds_of(self, entity: str) -> Ids:
        """Return what an entity is a kind of, however far up."""
        if entity not in self._above:
            parents = self.parents[entity]
            self._above[entity] = parents.union(*map(self.kinds_of, parents))
        return self._above[entity]


class Reader:
    """Reads one question and goes where it says.

    Args:
        records: The raw records.
        text: The question.
    """

    def __init__(self, records: Records, text: str) -> None:
        self.records = records
        self._quoted: list[str] = []
        plain = re.sub(r'"([^"]*)"', self._keep, text)
        self._sentences = re.split(r"(?<=[.?]) (?=[A-Z])|(?<=») (?=[A-Z])", plain)
        self.seen: list[str] = []

    def answer(self) -> Ids:
        """Return the entity that the question leads to.

        Raises:
            UnreadableError: A sentence cannot be taken apart, or leads to none or to several.
        """
        here: Ids = set()
        for sentence in self._sentences:
            if re.fullmatch(_ENDS, sentence):
                continue
            here = self._taken(sentence, here)
            if len(here) != 1:
                raise UnreadableError(f"{sentence!r} leads to {sorted(here)}")
            self.seen += here
        return here

    def _taken(self, sentence: str, here: Ids) -> Ids:
        for pattern in [*_GROUPED, *_BARE]:
            if found := re.fullmatch(pattern, sentence):
                said = found.groupdict()
                start = self._start(said.get("a") or said.get("b") or said.get("c") or "", here)
                reached = set(self.records.linked[start, KINDS[said["kind"]]])
                if said["other"]:
                    reached -= set(self.seen)
                return self._fitting(KINDS[said["kind"]], said.get("clues") or "", reached)
        for pattern in _DEFINED:
            if found := re.fullmatch(pattern, sentence):
                return set(self.records.definitions[_squeezed(self._said(found["text"]))])
        for pattern in _SINGLED:
            if found := re.fullmatch(pattern, sentence):
                fits = self._fitting(KINDS[found["kind"]], found["clues"])
                named = re.fullmatch(_NAMED, found["clues"])
                if named and self._named(named[1]):
                    self.seen += self._named(named[1])
                return fits
        raise UnreadableError(f"cannot read {sentence!r}")

    def _start(self, said: str, here: Ids) -> str:
        if re.match(r"[Tt]hat (disease|gene|finding)$", said):
            return next(iter(here))
        kind, name = re.fullmatch(r"(?:[Tt]he (gene|finding) )?(.+)", said, re.DOTALL).groups()
        named = {one for one in self._named(name) if self.records.kind[one] == (kind or "disease")}
        if len(named) != 1:
            raise UnreadableError(f"{said!r} names {sorted(named)}")
        self.seen += named
        return next(iter(named))

    def _fitting(self, kind: str, clues: str, among: Ids | None = None) -> Ids:
        """Return what fits clues, of all of a kind or of some."""
        told = clues.replace("has a course described as", "has")
        fits = among
        if fits is None:
            fits = {one for one, its in self.records.kind.items() if its == kind}
        for verb, names in _clauses(told):
            for name in re.split(r", | and ", names.removesuffix(" among its findings")):
                ids = self._named(name)
                if not ids:
                    raise UnreadableError(f"nobody is called {self._said(name)!r}")
                fits = {one for one in fits if ids & self._has(one, verb)}
        return fits

    def _has(self, entity: str, verb: str) -> Ids:
        if "kind of" in verb:
            return self.records.kinds_of(entity)
        if "without" in verb:
            return self.records.excluded[entity]
        had = set().union(*(self.records.linked[entity, kind] for kind in HAVE))
        if self.records.kind[entity] == "disease":  # whoever has a focal seizure has a seizure
            had |= set().union(*map(self.records.kinds_of, had))
        return had

    def _keep(self, found: re.Match[str]) -> str:
        self._quoted.append(found[1])
        return f"«{len(self._quoted) - 1}»"

    def _said(self, text: str) -> str:
        return re.sub(r"«(\d+)»", lambda found: self._quoted[int(found[1])], text)

    def _named(self, text: str) -> Ids:
        return self.records.names.get(self._said(text).casefold(), set())


def _clauses(told: str) -> Iterator[tuple[str, str]]:
    """Yield each verb with the names after it."""
    found = list(_VERB.finditer(told))
    if bool(found) != bool(told.strip()):
        raise UnreadableError(f"cannot read {told!r}")
    ends = [*(after.start() for after in found[1:]), len(told)]
    for verb, end in zip(found, ends, strict=False):
        yield verb[1], told[verb.end() : end]


def _squeezed(text: str) -> str:
    return " ".join(re.sub(r"\\(.)", r"\1", text).split()).rstrip(".").casefold()


def _rows(path: Path) -> Iterator[list[str]]:
    lines = (line for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))
    next(lines)
    for line in lines:
        yield line.split("\t")
