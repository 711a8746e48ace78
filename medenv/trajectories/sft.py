"""Examples for supervised fine-tuning, and scripted teachers' episodes as their source.

`medenv.integrations.hf.chat_tokens.ChatTokens.stream` renders an episode as an example. The loss
mask covers only the tokens that a policy would write: no prompt, no observation, and not the
markup of the chat template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from medenv.errors import UsageError
from medenv.records import Policy, Question, Record, Scored, Trajectory
from medenv.rollouts.driver import Rollouts
from medenv.rollouts.policies import Teacher


class SFTExample(Record, frozen=True, kw_only=True):
    """A token sequence to train on.

    Args:
        input_ids: Token ids of the whole episode.
        loss_mask: 1 where the policy wrote the token, else 0; as long as `input_ids`.
        teacher: Name of the teacher.
    """

    input_ids: list[int]
    loss_mask: list[int]
    teacher: str


def teacher_episodes(
    rollouts: Rollouts,
    questions: Sequence[Question],
    teachers: Mapping[str, tuple[float, Teacher[Policy]]],
    *,
    n: int,
    seed: int,
) -> Iterator[tuple[str, Scored]]:
    """Yield `n` episodes; (seed, number) determines each one's teacher and question.

    Args:
        rollouts: Drives the environment.
        questions: Questions.
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
            f"teachers need questions and shares above 0, got {len(questions)} questions "
            f"and shares {dict(zip(names, shares.tolist(), strict=True))}"
        )
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        question = questions[int(rng.integers(len(questions)))]
        yield name, rollouts.run(teachers[name][1].begin(question, i), question, seed=i)


def grounded(trajectory: Trajectory) -> bool:
    """Return whether every gold entity after the topic was shown before the episode ended.

    An oracle reads the answer from the certificate; only an episode whose passages also show it
    is worth imitating.

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
