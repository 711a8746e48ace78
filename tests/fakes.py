"""Small stand-ins for what is large or far away: questions, corpora, tools that fail."""

from __future__ import annotations

from collections.abc import Sequence

from medenv.dialects import Hermes
from medenv.episodes.episode import Budget, EpisodeRules
from medenv.errors import ToolUnavailableError
from medenv.records import (
    Certificate,
    Entity,
    Hop,
    Part,
    Passage,
    Question,
    Score,
    ToolCall,
    ToolResult,
    Trajectory,
)
from medenv.tools import Tool, ToolBox, ToolOutput

HERMES = Hermes()
SEARCH = HERMES.write_call("search", {"query": "ectopia lentis"})
ANSWER = HERMES.write_answer("FBN1")

ENTITIES = (
    Entity(id="D:1", kind="disease", name="Marfan syndrome"),
    Entity(id="D:2", kind="disease", name="Homocystinuria"),
    Entity(id="G:1", kind="gene", name="FBN1", aliases=("FBN",)),
    Entity(id="G:2", kind="gene", name="CBS"),
    Entity(id="P:1", kind="phenotype", name="Ectopia lentis"),
)
NAMES = {entity.id: entity.name for entity in ENTITIES}
PASSAGES = (
    Passage(id="D:1#0", title="Marfan syndrome", text="Gene: FBN1. Findings: ectopia lentis."),
    Passage(id="D:1#1", title="Marfan syndrome", text="Onset: any age."),
    Passage(id="D:2#0", title="Homocystinuria", text="Gene: CBS. Findings: myopia."),
    Passage(id="P:1#0", title="Ectopia lentis", text="Reported in: Marfan syndrome."),
)


def question(number: int = 0) -> Question:
    """A question of two hops: which gene is behind the disease with ectopia lentis?"""
    path = (
        Hop(head="P:1", relation="phenotype_of", tail="D:1", passages=("P:1#0", "D:1#0")),
        Hop(head="D:1", relation="has_gene", tail="G:1", passages=("D:1#0",)),
    )
    return Question(
        id=f"train:{number}",
        text="Which gene is associated with the disease with ectopia lentis?",
        kind="phenotype>disease>gene",
        split="train",
        topic=ENTITIES[4],
        answers=(ENTITIES[2],),
        certificate=Certificate(
            query=["walk", "P:1", ["phenotype_of", "has_gene"]],
            answers=("G:1",),
            path=path,
            min_hops=2,
            min_calls=1,
            chance=0.5,
        ),
    )


class Shelf:
    """A retriever that gives its passages in their order, whatever is asked, if at all."""

    def __init__(self, passages: Sequence[Passage] = PASSAGES) -> None:
        self.passages = list(passages)

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        return [[(passage, 1.0) for passage in self.passages[:k]] for _ in queries]

    def get(self, passage_id: str) -> Passage | None:
        return next((p for p in self.passages if p.id == passage_id), None)


class Flaky(Tool):
    """A search whose backend fails the first times it is called."""

    name = "search"

    def __init__(self, failures: int, text: str = "found") -> None:
        super().__init__()
        self.failures, self.text = failures, text

    def call(self, query: str) -> ToolOutput:
        """Search, or fail.

        Args:
            query: Anything.
        """
        if self.failures:
            self.failures -= 1
            raise ToolUnavailableError(f"the backend is away, asked for {query!r}")
        return ToolOutput(text=self.text)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rules(toolbox: ToolBox | None = None, **budget: float) -> EpisodeRules:
    """Rules of the Hermes dialect with a budget."""
    specs = toolbox.specs if toolbox else ()
    return EpisodeRules(HERMES, specs, Budget(**budget))  # type: ignore[arg-type]  # from a table


def result(call: ToolCall, text: str = "found", status: str = "ok") -> ToolResult:
    """A result of a call."""
    return ToolResult(call_id=call.id, tool=call.name, status=status, text=text)  # type: ignore[arg-type]  # from a table


def exact(trajectory: Trajectory) -> Score:
    """A reward of 1 for the gold name and 0 for anything else."""
    right = trajectory.answer == trajectory.question.answers[0].name
    part = Part(raw=float(right), weight=1.0, weighted=float(right))
    return Score(total=float(right), parts={"answer": part})
