"""Scripted episodes that look like real ones, small enough to count by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medenv.records import (
    Certificate,
    Ending,
    Entity,
    Hop,
    Parsed,
    Part,
    Question,
    Score,
    Scored,
    Status,
    ToolCall,
    ToolResult,
    Trajectory,
    Turn,
)

Call = tuple[str, dict[str, Any], Status]
"""Tool, arguments, status."""

GENES = ["FBN1", "PKD1", "CFTR", "NF1", "HBB", "DMD", "COL1A1", "MECP2"]
DISEASES = [
    "Marfan syndrome",
    "Polycystic kidney disease 1",
    "Cystic fibrosis",
    "Neurofibromatosis type 1",
    "Sickle cell disease",
    "Duchenne muscular dystrophy",
    "Osteogenesis imperfecta type I",
    "Rett syndrome",
]
SIGNS = ["Ectopia lentis", "Renal cyst", "Meconium ileus", "Lisch nodules"]


def question(number: int = 0, *, hops: int = 2, text: str = "", chance: float = 0.004) -> Question:
    """Return question `number` with a gold path of `hops` hops."""
    disease, gene = DISEASES[number % 8], GENES[number % 8]
    nodes = ["HP:0001083", f"OMIM:{154700 + number}", f"HGNC:{3603 + number}"]
    nodes = nodes[3 - (hops + 1) :] if hops <= 2 else ["HP:0000501", *nodes]
    relations = ["sign_of", "sign_of_disease", "caused_by"][-hops:]
    path = tuple(
        Hop(head=head, relation=relation, tail=tail, passages=(f"{head}#0", f"{tail}#0"))
        for head, relation, tail in zip(nodes[:-1], relations, nodes[1:], strict=True)
    )
    answer = Entity(id=nodes[-1], kind="gene", name=gene)
    sign = SIGNS[number % 4]
    return Question(
        id=f"test:{number}",
        text=text
        or f"A patient's disease shows {sign.lower()} and is known as {disease}. Which gene, "
        "when mutated, causes it?",
        kind="disease>gene" if hops == 1 else "phenotype>disease>gene",
        split="test",
        topic=Entity(id=nodes[0], kind="phenotype", name=sign),
        answers=(answer,),
        certificate=Certificate(
            query=["walk", nodes[0], list(relations)],
            answers=(answer.id,),
            path=path,
            min_hops=hops,
            min_calls=hops,
            chance=chance,
            search_rank=3 if hops == 1 else None,
        ),
        source="HPO 2025-01-16",
    )


def turn(
    number: int,
    text: str,
    calls: Sequence[Call] = (),
    *,
    shown: str = "",
    problems: tuple[str, ...] = (),
    answer: str | None = None,
) -> Turn:
    """Return a turn with calls given as (tool, arguments, status)."""
    made = tuple(
        ToolCall(id=f"{number}.{i}", name=name, arguments=arguments)
        for i, (name, arguments, _) in enumerate(calls)
    )
    results = tuple(
        ToolResult(call_id=call.id, tool=call.name, status=status, text=shown)
        for call, (_, _, status) in zip(made, calls, strict=True)
    )
    parsed = Parsed(
        thought=text,
        calls=tuple((c.name, c.arguments) for c in made),
        answer=answer,
        problems=problems,
    )
    return Turn(
        text=text,
        parsed=parsed,
        calls=made,
        results=results,
        observation=shown,
        tokens=len(text.split()),
    )


def scored(
    asked: Question,
    turns: Sequence[Turn],
    *,
    right: float = 0.0,
    ending: Ending = "answered",
    sample: int = 0,
    infra: bool = False,
) -> Scored:
    """Return an episode with an accuracy part of `right` and a small cost part."""
    answer = next((t.parsed.answer for t in turns if t.parsed.answer is not None), None)
    cost = -0.02 * sum(len(t.calls) for t in turns)
    reason = "the answer is " + ("" if right >= 1 else "not ") + asked.answers[0].name
    parts = {
        "accuracy": Part(raw=right, weight=1.0, weighted=right, reason=reason),
        "evidence": Part(
            raw=0.5 * right, weight=0.2, weighted=0.1 * right, reason="one of two hops was shown"
        ),
        "cost": Part(raw=cost, weight=1.0, weighted=cost if right else 0.0, gated=not right),
    }
    total = None if infra else sum(part.weighted for part in parts.values())
    trajectory = Trajectory(
        question=asked,
        turns=tuple(turns),
        ending=ending,
        answer=answer,
        env_id="medenv/Research-v0",
        dialect="hermes",
        seed=sample,
        seconds=1.5,
    )
    score = Score(total=total, parts=parts, gates={"right answer": right >= 1})
    return Scored(trajectory=trajectory, score=score, sample=sample)


def episode(
    number: int, sample: int, rng: np.random.Generator, *, skill: float, search: float
) -> Scored:
    """Return a plausible episode of a policy of that skill that searches that often."""
    asked = question(number, hops=1 + number % 3)
    searched = rng.random() < search
    right = float(rng.random() < skill * (1.0 if searched else 0.25) * (1.1 - 0.2 * (number % 3)))
    turns = []
    if searched:
        for i in range(1 + int(rng.integers(3))):
            query = {"query": f"{asked.topic.name} disease {i if rng.random() > 0.2 else 0}"}
            status: Status = "ok" if rng.random() < 0.85 else "empty"
            call = f'<tool_call>{{"name": "search", "arguments": {query}}}</tool_call>'
            shown = (
                f"[1] {asked.id}#0 {DISEASES[number % 8]}\n{asked.topic.name} is a frequent sign "
                f"(HP:0001083). Inheritance: autosomal dominant. Gene: {asked.answers[0].name}."
                if status == "ok"
                else "Nothing was found for this query."
            )
            text = f"I should look up {asked.topic.name.lower()} first.\n{call}"
            turns.append(turn(i, text, [("search", query, status)], shown=shown))
    bad = rng.random() > 0.5 + skill / 2
    answer = asked.answers[0].name if right else GENES[(number + 3) % 8]
    problems = ("the answer has no closing tag",) if bad else ()
    text = f"The passages point to one gene.\n<answer>{answer}</answer>"
    turns.append(turn(len(turns), text, answer=answer, problems=problems))
    return scored(asked, turns, right=right, sample=sample)


def rollout(
    questions: int, samples: int, *, skill: float, search: float, seed: int = 1
) -> list[Scored]:
    """Return `samples` plausible episodes for each of `questions` questions."""
    return [
        episode(q, s, np.random.default_rng([seed, q, s]), skill=skill, search=search)
        for q in range(questions)
        for s in range(samples)
    ]


def metrics(steps: int, *, seed: int = 1, gain: float = 0.4) -> list[dict[str, float]]:
    """Return what a trainer might log over `steps` steps."""
    rng = np.random.default_rng([seed])
    rows = []
    for step in range(1, steps + 1):
        level = 0.15 + gain * (1 - np.exp(-3 * step / steps))
        accuracy = float(np.clip(level + rng.normal(0, 0.06), 0, 1))
        row = {
            "step": float(step),
            "reward/total": accuracy * 1.1 - 0.04,
            "reward/accuracy/raw": accuracy,
            "reward/accuracy/weighted": accuracy,
            "reward/evidence/raw": 0.5 * level + float(rng.normal(0, 0.03)),
            "reward/evidence/weighted": 0.1 * level,
            "reward/cost/raw": -0.06 - 0.02 * level,
            "reward/cost/weighted": -0.05 * level,
            "actor/kl": 0.002 * step / steps,
            "actor/entropy": 1.2 - 0.5 * step / steps + float(rng.normal(0, 0.02)),
            "response_length/mean": 140 + 60 * level + float(rng.normal(0, 5)),
            "actor/grad_norm": float(rng.gamma(4, 0.1)),
            "timing_s/step": 30 + float(rng.normal(0, 2)),
        }
        if step % max(1, steps // 8) == 0 or step == 1:
            held = level - 0.03 + float(rng.normal(0, 0.015))
            row |= {"val/accuracy": held, "val/accuracy/low": held - 0.07}
            row |= {"val/accuracy/high": held + 0.07}
        rows.append(row)
    return rows
