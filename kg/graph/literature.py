"""Facts that single sentences of the literature state, as edges of a graph.

A sentence states a fact where a pattern made by hand leads from one entity's name to the other's. A
sentence that is hedged, negated, comparative or about animals states none, and neither does one
that only names both entities beside a word for the relation: those pairs become edges as well, of
which no question asks, so that "exactly one" holds over every reading of every text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from medenv.kg.graph import Graph, Prose
from medenv.kg.graph.builder import both_ways
from medenv.kg.graph.graph import Column
from medenv.kg.graph.schema import (
    HAS_ACTIVITY,
    INHIBITS,
    REPORTED_TARGET,
    REPORTED_TREATMENT,
    TREATMENT_NAMES,
    Relation,
)
from medenv.records import Passage
from medenv.retrieval.documents import PASSAGE_CHARS

SOURCE = "PubMed"
"""Name of the source of the texts."""

STATED, NAMED = "stated", "named"
MORE_OF_HEAD, MORE_OF_TAIL = "stated, more of head", "stated, more of tail"
"""How a text has an edge: as a fact, or as two names beside a word for the relation; a fact while
texts name a drug for its head, or its tail, that the graph does not have."""

STATEMENT = "statement"
"""Qualifier of the edges, with one of these values."""

_KINDS = {"disease": "D", "drug": "R", "gene": "G", "disease_class": "C", "phenotype": "P"}
"""Kind of an entity to its letter in a marked sentence; only the first three are asked about."""

_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")
_SENTENCE = re.compile(r"(?<=[a-z0-9)\]>%][.!?])\s+(?=[A-Z<])")

_REFUSED = re.compile(
    r"\b(may|might|could|would|should|can|not|no|nor|neither|never|none|without|lacks?|lacking|"
    r"unlikely|unclear|unknown|putative|perhaps|possib\w+|potential\w*|probabl\w+|suggest\w*|"
    r"hypothe\w+|whether|if|seems?|appear\w*|suspected|propos\w+|promising|candidates?|aim\w*|"
    r"investigat\w+|evaluat\w+|assess\w*|examined?|examines|examining|explor\w+|"
    r"trials?|phase|preclinical|emerging|"
    r"experimental|tested|fail\w*|ineffective|withdrawn|"
    r"unapproved|off-label|controvers\w+|debat\w+|mice|mouse|murine|rats?|zebrafish|rodents?|"
    r"drosophila|dogs?|monkeys?|yeast|vitro|xenograft\w*|animals?|compar\w+|versus|"
    r"vs|than|superior|inferior|rather|unlike|combine[sd]?|combining|"
    r"combinations?|plus|together|except|discontinu\w+|"
    r"novel targets?|studied|study|rarely|only if|anecdotal\w*)\b"
    r"|\?",
    re.IGNORECASE,
)
"""Words after which a sentence is no plain statement about patients."""

_PAREN = r"(?: ?\([^()<>]{1,60}\))?"
_FILL = r"[^<>.;:]{0,70}?"
_PEOPLE = (
    r"(?:(?:adult|adults|pediatric|paediatric|children|patients|people|individuals|those|all|the|"
    r"with|and|in|of|having|who have|symptomatic|active|acute|chronic|severe|moderate|mild|to|"
    r"advanced|metastatic|relapsed|refractory|recurrent|or|relapsing|newly diagnosed|early|"
    r"moderate-to-severes|rare disease|rare disorder|disease|disorder|a|an) )*"
)
_END = (
    rf"(?={_PAREN}(?:[.,;:)]|$| (?:and|in|with|who|whose|by|is|are|was|were|has|have|that|which|to|"
    r"on|at|since|because|based|based on|through|from|after|as|due|when|while|patients|under|for|"
    r"worldwide|therapy|treatment|but)\b))"
)
_ADJECTIVES = r"(?:[\w-]+,? ){0,7}?"
_AGENT = r"(?:inhibitor|antagonist|blocker)s?"

_IS = r"(?:is|was|are|has been|have been|became|is being)"
_APART = r"(?:,[^<>;:]{1,80},)?"
_NO_RECEPTOR = r"(?! receptors?| ligand)"

_PATTERNS: dict[str, tuple[str, ...]] = {
    REPORTED_TREATMENT.name: (
        rf"<R>{_PAREN}{_APART} {_IS} {_FILL}\b(?:treatment|therapy|management|drug|medication|"
        rf"agent) (?:approved |used |indicated |available )?(?:of|for) (?:the treatment of )?"
        rf"{_PEOPLE}<D>{_END}",
        rf"<R>{_PAREN}{_APART} {_IS} {_FILL}(?:approved|licensed|indicated|authori[sz]ed|used|"
        rf"effective|recommended|marketed){_FILL} (?:for|in|to treat) (?:the )?(?:use in )?"
        rf"(?:the )?"
        rf"(?:treatment of |management of |therapy of |treating )?{_PEOPLE}<D>{_END}",
        rf"<D>{_PAREN} {_IS} (?:\w+ly )?(?:treated|managed) with "
        r"(?:oral |intravenous |subcutaneous |intrathecal |the drug )?<R>",
        rf"(?:approv\w+|licen[sc]\w+) (?:the use )?(?:of )?<R>{_PAREN} (?:for|in) (?:the )?"
        rf"(?:treatment of |management of )?{_PEOPLE}<D>{_END}",
    ),
    REPORTED_TARGET.name: (
        rf"<R>{_PAREN}{_APART} {_IS} (?:a|an|the) {_ADJECTIVES}{_AGENT} (?:of|for|against) "
        rf"(?:the )?"
        rf"(?:enzyme |receptor |protein )?<G>{_NO_RECEPTOR}{_END}",
        rf"<R>{_PAREN},? (?:(?:is|was|which is) )?(?:a|an|the) {_ADJECTIVES}(?:anti-)?<G>"
        rf"{_NO_RECEPTOR}{_PAREN}(?: [\w-]+){{0,2}} (?:{_AGENT}|(?:monoclonal )?antibody)\b",
        rf"<R>{_PAREN},? (?:(?:is|was) )?(?:a|an|the) {_ADJECTIVES}antibody (?:\w+ )?(?:that "
        r"(?:inhibits|blocks|targets|binds|binds to)|against|to|targeting|directed against|"
        rf"directed at|inhibiting|blocking|directed to) (?:the )?(?:human )?<G>"
        rf"{_NO_RECEPTOR}{_END}",
        rf"<R>{_PAREN} (?:\w+ly )?(?:inhibits|blocks|antagoni[sz]es|targets) (?:the )?"
        rf"(?:enzyme |receptor |protein |activity of )?<G>{_NO_RECEPTOR}{_END}",
        rf"(?:anti-)?<G>{_PAREN} (?:{_AGENT}|(?:monoclonal )?antibody),? <R>",
    ),
}
"""Relation to patterns in a marked sentence, where D, R and G are a disease, drug and gene."""

_CUES = {
    REPORTED_TREATMENT.name: re.compile(
        r"treat|therap|approv|indicated|indication|manag|administ|effective", re.I
    ),
    REPORTED_TARGET.name: re.compile(
        r"inhibit|block|antagoni|agonist|antibod|target|bind|against|anti-|modulat", re.I
    ),
}
"""Relation to the words for it."""

_RELATIONS: dict[str, tuple[Relation, str, str]] = {
    REPORTED_TREATMENT.name: (REPORTED_TREATMENT, "D", "R"),
    REPORTED_TARGET.name: (REPORTED_TARGET, "R", "G"),
}
"""Relation with the letters of its head and tail."""

_WITHOUT_DRUG = {REPORTED_TREATMENT.name: "D", REPORTED_TARGET.name: "G"}
"""Relation to the letter of its end that is no drug."""

_SLOT = {letter: rf"<{letter}(?P<{letter}>\d+)>" for letter in "DRG"}
_COMPILED = {
    name: tuple(
        re.compile(re.sub(r"<([DRG])>", lambda found: _SLOT[found[1]], pattern), re.IGNORECASE)
        for pattern in patterns
    )
    for name, patterns in _PATTERNS.items()
}
_MARK = re.compile(r"<([A-Z])(\d+)>")
_UNKNOWN_DRUG = re.compile(
    r"\b\w{3,}(?:mab|nib|cept|ersen|siran|statin|gliptin|gliflozin|\wparin|vir|lukast|prazole|"
    r"sartan|platin|rubicin|taxel|limus|parib|ciclib|dronate|setron|triptan)s?\b",
    re.IGNORECASE,
)
"""Names of drugs by their stems, whether a graph has them or not."""


_Fact = tuple[str, int, int]
"""Relation, head and tail."""


class Reading(NamedTuple):
    """Facts and names in one sentence.

    Attributes:
        stated: Relation, head and tail of the facts that it states.
        named: The same of pairs that it names beside a word for the relation.
        disputed: Relation and entity of which it names a drug that the graph does not have.
    """

    stated: frozenset[_Fact]
    named: frozenset[_Fact]
    disputed: frozenset[tuple[str, int]]


class Reader:
    """Finds the entities of a graph in sentences, and what is said of them.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._meant: dict[tuple[str, ...], set[int]] = defaultdict(set)
        self._exact: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._longest: dict[str, int] = {}
        for kind in _KINDS:
            for node in graph.of_kind(kind).tolist() if kind in graph.kinds else ():
                for name in graph.names_of(node):
                    self._learn(node, kind, name)

    def _learn(self, node: int, kind: str, name: str) -> None:
        least = {"gene": 3, "drug": 5}.get(kind, 6)
        if len(name) < least:
            return
        key = tuple(_TOKEN.findall(name.lower()))
        if not key:
            return
        self._meant[key].add(node)
        if " " not in name and (kind == "gene" or name.isupper()):
            self._exact[key].add(name)
        self._longest[key[0]] = max(len(key), self._longest.get(key[0], 0))

    def marked(self, sentence: str) -> str:
        """Return a sentence with a mark ``<D12>`` for each name: letter of the kind, and node."""
        tokens = list(_TOKEN.finditer(sentence))
        lower = [token.group().lower() for token in tokens]
        out, at, done = [], 0, 0
        while at < len(tokens):
            for size in range(min(self._longest.get(lower[at], 0), len(tokens) - at), 0, -1):
                key = tuple(lower[at : at + size])
                start, end = tokens[at].start(), tokens[at + size - 1].end()
                if key in self._meant and self._fits(key, sentence, start, end):
                    out += [sentence[done:start], self._mark(key)]
                    done, at = end, at + size
                    break
            else:
                at += 1
        return "".join((*out, sentence[done:]))

    def _fits(self, key: tuple[str, ...], sentence: str, start: int, end: int) -> bool:
        exact = self._exact.get(key)
        if exact and sentence[start:end] not in exact:
            return False
        if sentence[end : end + 1] in {"-", "/", "\u2010", "\u2013"} or sentence[end:].startswith(
            "'"
        ):
            return False
        before = sentence[max(0, start - 5) : start].lower()
        return before.endswith("anti-") or before[-1:] not in {"-", "/", "\u2010", "\u2013"}

    def _mark(self, key: tuple[str, ...]) -> str:
        nodes = self._meant[key]
        diseases = {node for node in nodes if self._graph.kind(node) == "disease"}
        findings = {node for node in nodes if self._graph.kind(node) == "phenotype"}
        if diseases and diseases | findings == nodes:
            nodes = diseases  # the finding of the same name is the disease
        if len(nodes) > 1:
            return f"<X{min(nodes)}>"  # the name means several entities
        node = min(nodes)
        return f"<{_KINDS[self._graph.kind(node)]}{node}>"

    def read(self, sentence: str) -> Reading:
        """Return what a sentence says.

        Args:
            sentence: One sentence.
        """
        text = self.marked(sentence)
        nodes: dict[str, set[int]] = defaultdict(set)
        for mark in _MARK.finditer(text):
            nodes[mark[1]].add(int(mark[2]))
        named = {
            (name, head, tail)
            for name, (_, one, other) in _RELATIONS.items()
            if _CUES[name].search(text)
            for head in nodes[one]
            for tail in nodes[other]
        }
        disputed = set[tuple[str, int]]()
        if _UNKNOWN_DRUG.search(_MARK.sub(" ", text)):
            disputed = {
                (name, node)
                for name, letter in _WITHOUT_DRUG.items()
                if _CUES[name].search(text)
                for node in nodes[letter]
            }
        stated = set[_Fact]()
        for name, patterns in _COMPILED.items():
            _, one, other = _RELATIONS[name]
            for pattern in patterns:
                for found in pattern.finditer(text):
                    if not _refused(text, *found.span()):
                        stated.add((name, int(found[one]), int(found[other])))
        return Reading(frozenset(stated), frozenset(named | stated), frozenset(disputed))


def _refused(text: str, start: int, end: int) -> bool:
    """Whether a match is of a clause that states nothing, or begins within a longer name or list.

    Args:
        text: The marked sentence.
        start: Where the match begins.
        end: Where it ends.
    """
    around = text[max(0, start - _BEFORE) : end + _AFTER]
    return bool(_WITHIN.search(text[:start]) or _REFUSED.search(_MARK.sub(" ", around)))


_BEFORE, _AFTER = 120, 40
"""Characters around a match in which no word may refuse it."""

_WITHIN = re.compile(
    r"(?:\b(?:and|or|of|with|to|than|like|interfering|anti)|[/>,-]) ?$", re.IGNORECASE
)


def sentences_of(text: str) -> Iterator[str]:
    """Yield the sentences of a text.

    Args:
        text: The text; white space in it counts as one space.
    """
    yield from _SENTENCE.split(" ".join(text.split()))


def with_literature(graph: Graph, passages: Iterable[Passage]) -> tuple[Graph, dict[str, int]]:
    """Return the graph with the facts that passages state, the passages, and counts.

    An edge is ``"named"`` and not ``"stated"`` where a text only names its ends beside a word for
    the relation, or where another source of the graph has it in place of the literature.

    Args:
        graph: The graph.
        passages: The passages; an id is ``BIOASQ:<document>#<number>``.
    """
    reader = Reader(graph)
    stated: dict[_Fact, list[Passage]] = defaultdict(list)
    named: dict[_Fact, list[Passage]] = defaultdict(list)
    disputed = set[tuple[str, int]]()
    read = 0
    for passage in passages:
        read += 1
        for sentence in sentences_of(passage.text):
            reading = reader.read(sentence)
            for fact in reading.stated:
                stated[fact].append(passage)
            for fact in reading.named:
                named[fact].append(passage)
            disputed |= reading.disputed
    rivals = _rivals(graph, {node for _, head, tail in stated for node in (head, tail)})
    certain = {fact: _statement(fact, disputed) for fact in stated if fact not in rivals}
    for name, (relation, _, _) in _RELATIONS.items():
        pairs = sorted({fact[1:] for fact in (*named, *rivals) if fact[0] == name})
        rows = both_ways(pairs, len(graph))
        values = (NAMED, STATED, MORE_OF_HEAD, MORE_OF_TAIL)
        found = [values.index(certain.get((name, *pair), NAMED)) for pair in pairs]
        codes = np.array(found, dtype=np.int32)
        graph = replace(
            graph,
            relations={**graph.relations, name: relation},
            rows={**graph.rows, name: rows[0], relation.inverse: rows[1]},
            columns={**graph.columns, name: {STATEMENT: Column(codes, values)}},
        )
    prose = sorted(
        (*graph.prose, *_prose(graph, named, stated)),
        key=lambda text: (text.entity, text.source, text.heading),
    )
    return replace(graph, prose=tuple(prose)), {
        "BioASQ: passages of PubMed read": read,
        "BioASQ: facts that a sentence states": len(stated),
        "BioASQ: facts that other sources record, not asked about": len(stated) - len(certain),
        "BioASQ: pairs named beside a word for a relation, not asked about": len(named)
        - len(stated),
    }


def _statement(fact: _Fact, disputed: set[tuple[str, int]]) -> str:
    """Return the qualifier of a fact by the ends of which texts name more than the graph has."""
    relation, head, tail = fact
    if (relation, head) in disputed:
        return MORE_OF_HEAD
    return MORE_OF_TAIL if (relation, tail) in disputed else STATED


def _rivals(graph: Graph, nodes: set[int]) -> set[_Fact]:
    """Return what other sources of a graph record of some nodes in the same sense."""
    treated, known = (TREATMENT_NAMES.name, TREATMENT_NAMES.inverse), set(graph.rows)
    inhibited = {INHIBITS.name, HAS_ACTIVITY.name} <= known
    found, treats = set[_Fact](), REPORTED_TREATMENT.name
    for node in nodes:
        if treated[0] in known:
            found |= {(treats, node, n) for n in graph.step(node, treated[0]).tolist()}
            found |= {(treats, n, node) for n in graph.step(node, treated[1]).tolist()}
        if inhibited:
            found |= {
                (REPORTED_TARGET.name, node, gene)
                for enzyme in graph.step(node, INHIBITS.name).tolist()
                for gene in graph.step(enzyme, HAS_ACTIVITY.inverse).tolist()
            }
            found |= {
                (REPORTED_TARGET.name, drug, node)
                for enzyme in graph.step(node, HAS_ACTIVITY.name).tolist()
                for drug in graph.step(enzyme, INHIBITS.inverse).tolist()
            }
    return found


def _prose(
    graph: Graph,
    named: Mapping[_Fact, Iterable[Passage]],
    stated: Mapping[_Fact, Iterable[Passage]],
) -> Iterator[Prose]:
    """Yield the passages that name a pair, each once under the head, with what they state of it."""
    ids = graph.nodes.ids
    facts: dict[tuple[int, str], dict[_Fact, None]] = defaultdict(dict)
    texts: dict[tuple[int, str], Passage] = {}
    for fact, passages in sorted(named.items()):
        for passage in passages:
            texts[fact[1], passage.id] = passage
            if any(one.id == passage.id for one in stated.get(fact, ())):
                facts[fact[1], passage.id][fact] = None
    for (head, name), passage in texts.items():
        text = " ".join(passage.text.split())
        if len(text) <= PASSAGE_CHARS:  # a longer one is cut, and might state less
            yield Prose(
                entity=ids[head],
                source=f"{SOURCE} {document_of(passage.id)}",
                text=text,
                evidence="literature",
                states=tuple((ids[h], r, ids[t]) for r, h, t in facts[head, name]),
            )


def document_of(passage: str) -> str:
    """Return the number in PubMed in a passage's id: ``BIOASQ:10026129#0``.

    Args:
        passage: The id.
    """
    return passage.rpartition(":")[2].partition("#")[0]
