"""Teaching data: episodes of scripted teachers in the real environment, as exact token sequences.

The loss mask covers what a policy would write and nothing else: not the prompt, not an observation,
not the markup of the chat template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from medenv.errors import UsageError
from medenv.records import Message, Question, Record, Scored, Trajectory
from medenv.rollouts.driver import Rollouts
from medenv.rollouts.policies import Teacher


class SFTExample(Record, frozen=True, kw_only=True):
    """One sequence to learn from.

    Args:
        input_ids: Token ids of the whole episode.
        loss_mask: 1 where the policy wrote the token, else 0; as long as `input_ids`.
        teacher: Name of the teacher.
    """

    input_ids: list[int]
    loss_mask: list[int]
    teacher: str


Encode = Callable[[str], list[int]]
"""Text to token ids, control tokens recognised."""


def taught(
    rollouts: Rollouts,
    questions: Sequence[Question],
    teachers: Mapping[str, tuple[float, Teacher]],
    *,
    n: int,
    seed: int,
) -> Iterator[tuple[str, Scored]]:
    """Yield `n` episodes, teacher and question drawn for each by (seed, its number) alone.

    Args:
        rollouts: Drives the environment.
        questions: What is asked.
        teachers: Name to its share and the teacher; shares are relative.
        n: Number of episodes.
        seed: Seed of the draw.

    Raises:
        UsageError: No teacher has a share, or there are no questions.
    """
    names = sorted(teachers)
    shares = np.array([teachers[name][0] for name in names], dtype=float)
    if not questions or not names or shares.min() < 0 or shares.sum() <= 0:
        raise UsageError(
            f"teaching needs questions and shares above 0, got {len(questions)} questions "
            f"and shares {dict(zip(names, shares.tolist(), strict=True))}"
        )
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        question = questions[int(rng.integers(len(questions)))]
        yield name, rollouts.run(teachers[name][1].begin(question, i), question, seed=i)


def grounded(trajectory: Trajectory) -> bool:
    """Return whether every gold entity after the topic was shown before the episode ended.

    An oracle knows the answer from the certificate; only an episode in which the passages showed
    it too is worth imitating.

    Args:
        trajectory: An episode of a question with one gold answer.
    """
    hops = trajectory.question.path
    shown = [set(result.passages) for turn in trajectory.turns for result in turn.results]
    seen = set().union(*shown) if shown else set()
    observed = "\n".join(turn.observation for turn in trajectory.turns)
    return all(seen & set(hop.passages) for hop in hops) and all(
        answer.name in observed for answer in trajectory.question.answers
    )


def lesson(
    teacher: str, trajectory: Trajectory, prompt: Sequence[Message], encode: Encode, turn_end: str
) -> SFTExample:
    """Return an episode as tokens in the ChatML layout of the tiny policy, with its exact mask.

    Args:
        teacher: Who wrote it.
        trajectory: A finished episode.
        prompt: The messages before the first turn.
        encode: The policy's tokenizer.
        turn_end: The token that ends a turn, which the policy writes itself.
    """
    ids: list[int] = []
    mask: list[int] = []

    def add(text: str, written: bool) -> None:
        new = encode(text)
        ids.extend(new)
        mask.extend([int(written)] * len(new))

    def context(role: str, content: str) -> None:
        add(f"<|im_start|>{role}\n{content}{turn_end}\n", written=False)

    for message in prompt:
        context(message["role"], message["content"])
    for turn in trajectory.turns:
        add("<|im_start|>assistant\n", written=False)
        add(turn.text + turn_end, written=True)
        add("\n", written=False)
        if turn.observation:
            context("tool", turn.observation)
    return SFTExample(input_ids=ids, loss_mask=mask, teacher=teacher)
