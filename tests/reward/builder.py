"""Builds the records that reward tests speak of; records only, no engine."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from medenv.records import (
    Certificate,
    Ending,
    Entity,
    Hop,
    Parsed,
    Question,
    ToolCall,
    ToolResult,
    Trajectory,
    Turn,
)

DRAVET = Entity(
    id="OMIM:607208",
    kind="disease",
    name="Dravet syndrome",
    aliases=("Severe myoclonic epilepsy of infancy", "SMEI"),
)
SCN1A = Entity(id="NCBIGene:6323", kind="gene", name="SCN1A", aliases=("NAC1", "Nav1.1"))
SCN2A = Entity(id="NCBIGene:6326", kind="gene", name="SCN2A", aliases=("NAC2",))


ASSOCIATION = Hop(
    head=DRAVET.id, relation="gene_of", tail=SCN1A.id, passages=("OMIM:607208#0", "OMIM:607208#1")
)
PRODUCT = Hop(head=SCN1A.id, relation="makes", tail="PR:1", passages=("UniProt:P35498#0",))


def question(
    *answers: Entity,
    text: str = "Which gene causes the disease?",
    kind: str = "disease>gene",
    min_calls: int = 2,
    path: Sequence[Hop] = (ASSOCIATION, PRODUCT),
) -> Question:
    golds = answers or (SCN1A,)
    return Question(
        id="train:0",
        text=text,
        kind=kind,
        split="train",
        topic=DRAVET,
        answers=golds,
        certificate=Certificate(
            query=["walk", DRAVET.id, ["gene_of"]],
            answers=tuple(gold.id for gold in golds),
            path=tuple(path),
            min_hops=1,
            min_calls=min_calls,
            chance=0.001,
        ),
    )


def search(
    query: str | list[str],
    *,
    status: str = "ok",
    text: str = "",
    passages: Sequence[str] = (),
    problems: Sequence[str] = (),
    **settings: object,
) -> Turn:
    """A turn with one search call, its id still to be numbered."""
    arguments = {"query": query, **settings}
    return Turn(
        text=f"<tool_call>{json.dumps({'name': 'search', 'arguments': arguments})}</tool_call>",
        parsed=Parsed(calls=(("search", arguments),), problems=tuple(problems)),
        calls=(ToolCall(id="0.0", name="search", arguments=arguments),),
        results=(
            ToolResult(
                call_id="0.0", tool="search", status=status, text=text, passages=tuple(passages)
            ),
        ),
        observation=text,
    )


def answering(answer: str, before: str = "") -> Turn:
    """The turn that states an answer."""
    return Turn(
        text=f"{before}<answer>{answer}</answer>", parsed=Parsed(thought=before, answer=answer)
    )


def malformed(text: str = "<tool_call>{") -> Turn:
    """A turn that could not be read."""
    return Turn(text=text, parsed=Parsed(problems=("the call is no JSON object",)))


def episode(
    *turns: Turn,
    asked: Question | None = None,
    ending: Ending | None = "turns",
) -> Trajectory:
    """A trajectory of these turns, calls numbered; it ends as answered if its last turn answers."""
    numbered = tuple(_number(turn, i) for i, turn in enumerate(turns))
    answer = numbered[-1].parsed.answer if numbered else None
    return Trajectory(
        question=asked or question(),
        turns=numbered,
        ending="answered" if answer is not None else ending,
        answer=answer,
        env_id="medenv/Test-v0",
        dialect="tags",
    )


def _number(turn: Turn, number: int) -> Turn:
    calls = tuple(
        ToolCall(id=f"{number}.{i}", name=call.name, arguments=call.arguments)
        for i, call in enumerate(turn.calls)
    )
    results = tuple(
        msgspec.structs.replace(result, call_id=calls[i].id)
        for i, result in enumerate(turn.results)
    )
    return Turn(
        text=turn.text,
        parsed=turn.parsed,
        calls=calls,
        results=results,
        observation=turn.observation,
        tokens=turn.tokens,
    )
