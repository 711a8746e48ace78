"""The renamed world: the true graph with invented ids and names of diseases, genes, drugs and such.

What is plain English stays: findings, modes of inheritance, onsets and their definitions. Node and
edge numbers are unchanged, so graph and questions are the same up to names, and knowledge about the
true names does not help.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from medenv.kg.certificates.certificate import documents_of
from medenv.kg.certificates.queries import evaluate
from medenv.kg.documents.naming import mentions
from medenv.kg.graph import Column, Graph, Nodes
from medenv.kg.questions.drafts import Rejected, Rejection
from medenv.kg.worlds.counterfactual import fictional, proved_anew, unsourced
from medenv.kg.worlds.pseudonyms import Pseudonymizer
from medenv.records import Question
from medenv.text import name_key, whole_words

ENGLISH = frozenset(
    (
        *("phenotype", "inheritance", "onset", "course", "frequency", "modifier", "history"),
        *("prevalence", "concept", "drug_role", "organism_taxon", "biological_process", "cell"),
        *("cellular_component", "gross_anatomical_structure", "phenotypic_feature"),
    )
)
"""Kinds of entities whose names and definitions are English and stay."""


@dataclass(frozen=True, eq=False)
class Renaming:
    """Invented names for a graph.

    Args:
        true: The true graph.
        seed: Seed of the names.
    """

    true: Graph
    seed: int = 0

    @cached_property
    def coiner(self) -> Pseudonymizer:
        """The generator of invented words."""
        renamed = (node for node in range(len(self.true)) if self.renames(node))
        names = [name for node in renamed for name in self.true.names_of(node)]
        return Pseudonymizer(names, self.seed)

    def renames(self, node: int) -> bool:
        """Return whether a node gets another name."""
        return self.true.kind(node) not in ENGLISH

    @cached_property
    def ids(self) -> dict[str, str]:
        """True ids to invented ids in the same order, which preserves node numbers."""
        width = len(str(len(self.true)))
        return {true_id: f"FIC:{i:0{width}}" for i, true_id in enumerate(self.true.nodes.ids)}

    @cached_property
    def graph(self) -> Graph:
        """The renamed graph."""
        nodes, coin = self.true.nodes, self.coiner.name
        known = [self.renames(node) for node in range(len(self.true))]

        def all_of(names: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
            told = zip(names, known, strict=True)
            return tuple(tuple(map(coin, own)) if new else own for own, new in told)

        told = zip(nodes.names, known, strict=True)
        renamed = Nodes(
            ids=tuple(self.ids.values()),
            names=tuple(coin(name) if new else name for name, new in told),
            aliases=all_of(nodes.aliases),
            xrefs=((),) * len(nodes.ids),
            # A definition of a disease tells its name in other words.
            texts=tuple("" if new else text for text, new in zip(nodes.texts, known, strict=True)),
            accepted=all_of(nodes.accepted) if nodes.accepted else (),
        )
        columns = {
            relation: {name: self._column(name, column) for name, column in named.items()}
            for relation, named in unsourced(self.true.columns).items()
        }
        info = fictional(self.true.info, "renamed", self.seed)
        return replace(self.true, info=info, nodes=renamed, columns=columns, replaced={}, prose=())

    def _column(self, name: str, column: Column) -> Column:
        """Return a qualifier with invented ids; frequencies keep their term ids."""
        if name == "frequency":
            return column
        values = ("|".join(self.ids.get(v, v) for v in value.split("|")) for value in column.values)
        return Column(column.codes, tuple(values))

    def query(self, query: Any) -> Any:
        """Return a query with invented ids.

        Args:
            query: A query on the true graph, or a part of one.
        """
        if isinstance(query, list):
            return [self.query(part) for part in query]
        return self.ids.get(query, query) if isinstance(query, str) else query

    def question(self, question: Question) -> Question:
        """Return a question about the renamed graph.

        Args:
            question: A question of the true graph.

        Raises:
            UsageError: The true graph does not answer the question.
            Rejected: The text still contains a true name, or an invented name reveals too much.
        """
        text = self.wording(question)
        query = self.query(question.proof.query)
        rare = self.ids.get(question.rare, "")
        return proved_anew(documents_of(self.graph), question, query, text, rare)

    def wording(self, question: Question) -> str:
        """Return a question's text with invented names.

        Args:
            question: A question of the true graph.

        Raises:
            UsageError: The true graph does not answer the question.
            Rejected: The text still contains a true name.
        """
        query = question.proof.query
        outcome = evaluate(self.true, query)
        swaps: dict[str, str] = {}
        for node in outcome.named:
            old, new = self.true.nodes.names[node], self.graph.nodes.names[node]
            swaps |= {_within(old): _within(new), old: new}
        if query[0] == "chain" and query[1][0] == "described":
            node = outcome.topic
            swaps[quoted(self.true.nodes.texts[node])] = quoted(self.graph.nodes.texts[node])
        text = _replaced(question.text, swaps)
        named = [self.true.nodes.names[node] for node in outcome.named if self.renames(node)]
        if mentions(text, named):
            raise Rejected(Rejection.TRUE_NAME)
        return text


def _within(name: str) -> str:
    """Return a name with a lower-case first letter."""
    return name[:1].lower() + name[1:]


def quoted(definition: str) -> str:
    """Return a definition as quoted in questions."""
    return definition.strip().replace('"', "'")


def _replaced(text: str, swaps: dict[str, str]) -> str:
    """Replace all names in one pass, longest first, as whole words, if needed ignoring case."""
    parts: Sequence[str] = sorted(swaps, key=lambda old: (-len(old), old))
    patterns = [whole_words(old) if old in text else f"(?i:{whole_words(old)})" for old in parts]
    if not patterns:
        return text
    folded = {name_key(old): new for old, new in swaps.items()}
    return re.sub(
        "|".join(patterns),
        lambda found: swaps.get(found.group(), folded.get(name_key(found.group()), "")),
        text,
    )
