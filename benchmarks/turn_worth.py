"""How far credits of turns are from their true worth, which is enumerated over the toy graph.

    python benchmarks/turn_worth.py                   # prints the tables
    python benchmarks/turn_worth.py --write outputs/turn_worth.md \
        --figure docs/results/turn_worth.svg

A scripted policy has a few turns to choose from in each state, with fixed probabilities. Snapshots
of the environment are restored to try each of them, so that the value of every state and the
advantage of every turn are exact. Then the policy plays groups of episodes, and the registered
advantage estimators credit their turns, one token to each turn.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import torch
import typer
from omegaconf import OmegaConf

from medenv.build.environment import Parts, registered_parts
from medenv.build.scoring import Scoring, scoring_of
from medenv.envs.env import MedResearchEnv
from medenv.episodes.episode import Snapshot
from medenv.errors import MedEnvError, UsageError
from medenv.integrations.verl.estimators import GDPO, TURN_GRPO
from medenv.records import Question, Scored, Trajectory
from medenv.report.cards import figure
from medenv.reward import advantages_of_parts

Floats = npt.NDArray[np.float64]

TO_GO = "reward-to-go less the group's mean"
ESTIMATORS = {"grpo": "GRPO", GDPO: "GDPO", TURN_GRPO: "turn credit", TO_GO: "reward-to-go"}
"""Estimators by verl's name, and how the page calls them; `TO_GO` is in no registry."""

SCORINGS = ("answer_only", "composite", "process", "process,turns")
ENV = "medenv/Research-v0"
WORTHLESS = 1e-9
"""Advantage up to which a turn has no sign."""


class Choice(NamedTuple):
    """A turn that the policy may take.

    Args:
        kind: What it does, for tables.
        text: The text of the turn.
        probability: Its probability; those of a state add up to 1.
    """

    kind: str
    text: str
    probability: float


ChoicePolicy = Callable[[Trajectory], Sequence[Choice]]
"""From the episode so far to the turns that may follow, whatever came about."""


class Outcome(NamedTuple):
    """An episode at some point.

    Args:
        snapshot: The state of the environment.
        trajectory: The episode so far.
        over: Whether it has ended.
    """

    snapshot: Snapshot
    trajectory: Trajectory
    over: bool


class State(NamedTuple):
    """A state of a question, with what is worth what in it.

    Args:
        number: Place in `Worths.states`.
        turn: Number of turns before it.
        choices: The turns that may follow.
        after: The state after each turn, or None where the episode ends.
        returns: Expected total of each turn under the policy, shape (turns, scorings).
        value: Expected total of the state, shape (scorings,).
    """

    number: int
    turn: int
    choices: tuple[Choice, ...]
    after: tuple[State | None, ...]
    returns: Floats
    value: Floats

    @property
    def advantages(self) -> Floats:
        """Worth of each turn: its expected total less that of the state."""
        return self.returns - self.value

    @property
    def probabilities(self) -> Floats:
        """Probability of each turn."""
        return np.array([one.probability for one in self.choices])


def same_turns(trajectory: Trajectory) -> Hashable:
    """Return what merges episodes that took the same turns in another order, up to the last search.

    Args:
        trajectory: The episode so far.
    """
    texts = [turn.text for turn in trajectory.turns]
    return (tuple(sorted(texts)), _last_search(trajectory))


def whole_history(trajectory: Trajectory) -> Hashable:
    """Return what merges no episodes but equal ones.

    Args:
        trajectory: The episode so far.
    """
    return tuple(turn.text for turn in trajectory.turns)


class Worths:
    """Values of all states of a question under a policy, by dynamic programming over snapshots.

    Args:
        env: The environment; tools have to answer the same call always alike.
        question: The question.
        policy: The policy.
        rewards: Total of a finished episode, one for each scoring.
        merge: Key of a state; episodes with the same key must be worth the same.

    Attributes:
        states: All states that the policy can reach, each after those that follow it.
        start: The first state.
    """

    def __init__(
        self,
        env: MedResearchEnv,
        question: Question,
        policy: ChoicePolicy,
        rewards: Sequence[Callable[[Trajectory], float]],
        merge: Callable[[Trajectory], Hashable] = same_turns,
    ) -> None:
        self.question = question
        self._env, self._policy, self._rewards, self._merge = env, policy, rewards, merge
        self._known: dict[Hashable, State] = {}
        self._played: dict[tuple[str, ...], Outcome] = {}
        self.states: list[State] = []
        env.reset(options={"question": question.id})
        self._played[()] = Outcome(env.snapshot(), env.episode.trajectory(), over=False)
        self.start = self._worth(self._played[()])

    def after(self, texts: tuple[str, ...]) -> Outcome:
        """Return the episode in which the policy wrote given texts.

        Args:
            texts: Its turns.
        """
        found = self._played.get(texts)
        if found is None:
            found = self._played[texts] = self._step(self.after(texts[:-1]), texts[-1])
        return found

    def visits(self) -> Floats:
        """Return the probability that an episode comes to each state, shape (states,)."""
        shares = np.zeros(len(self.states))
        shares[self.start.number] = 1.0
        for state in sorted(self.states, key=lambda one: one.turn):
            for choice, after in zip(state.choices, state.after, strict=True):
                if after is not None:
                    shares[after.number] += shares[state.number] * choice.probability
        return shares

    def _step(self, before: Outcome, text: str) -> Outcome:
        self._env.restore(before.snapshot)
        _, _, terminated, truncated, _ = self._env.step(text)
        over = terminated or truncated
        return Outcome(self._env.snapshot(), self._env.episode.trajectory(), over)

    def _worth(self, here: Outcome) -> State:
        key = self._merge(here.trajectory)
        if key in self._known:
            return self._known[key]
        choices = tuple(self._policy(here.trajectory))
        after: list[State | None] = []
        returns = np.empty((len(choices), len(self._rewards)))
        for row, choice in enumerate(choices):
            then = self._step(here, choice.text)
            after.append(None if then.over else self._worth(then))
            state = after[-1]
            returns[row] = (
                [reward(then.trajectory) for reward in self._rewards]
                if state is None
                else state.value
            )
        value = np.array([one.probability for one in choices]) @ returns
        turn = len(here.trajectory.turns)
        made = State(len(self.states), turn, choices, tuple(after), returns, value)
        self.states.append(made)
        self._known[key] = made
        return made


class Step(NamedTuple):
    """A step of training: one group of episodes for each question.

    Args:
        scored: For each scoring, the episodes with their scores.
        question: Number of the question of each episode.
        path: State and choice of each turn of each episode.
    """

    scored: tuple[list[Scored], ...]
    question: list[int]
    path: list[list[tuple[State, int]]]


def play(
    worths: Sequence[Worths], scorings: Sequence[Scoring], size: int, rng: np.random.Generator
) -> Step:
    """Play a group of episodes for each question.

    Args:
        worths: The questions.
        scorings: How episodes are scored.
        size: Episodes of a group.
        rng: Draws the turns.
    """
    scored: tuple[list[Scored], ...] = tuple([] for _ in scorings)
    question, path = [], []
    for number, worth in enumerate(worths):
        for _ in range(size):
            state: State | None = worth.start
            texts, taken = (), []
            while state is not None:
                chosen = int(rng.choice(len(state.choices), p=state.probabilities))
                taken.append((state, chosen))
                texts = (*texts, state.choices[chosen].text)
                state = state.after[chosen]
            trajectory = worth.after(texts).trajectory
            for rows, scoring in zip(scored, scorings, strict=True):
                rows.append(Scored(trajectory=trajectory, score=scoring.reward(trajectory)))
            question.append(number)
            path.append(taken)
    return Step(scored, question, path)


def credits_of(
    estimator: str, scored: Sequence[Scored], question: Sequence[int], scoring: Scoring
) -> list[Floats]:
    """Return what an estimator credits each turn of each episode with.

    Args:
        estimator: verl's name of it, or `TO_GO`.
        scored: The episodes of a step.
        question: Their questions.
        scoring: Says what each turn is paid.
    """
    lengths = [len(one.trajectory.turns) for one in scored]
    rewards = torch.zeros(len(scored), 2 * max(lengths), dtype=torch.float64)
    mask = torch.zeros_like(rewards)
    by_parts = (
        advantages_of_parts([one.score for one in scored], question) if estimator == GDPO else None
    )
    for row, (one, length) in enumerate(zip(scored, lengths, strict=True)):
        mask[row, : 2 * length : 2] = 1.0  # a turn is one token, and an observation another
        if by_parts is None:
            paid = torch.tensor(scoring.turn_rewards(one), dtype=torch.float64)
            rewards[row, : 2 * length : 2] = paid
        else:
            rewards[row, 2 * length - 2] = by_parts[row]
    index = np.array([str(one) for one in question], dtype=object)
    if estimator == TO_GO:
        found = _to_go(rewards, index)
    else:
        config = OmegaConf.create({"norm_adv_by_std_in_grpo": True})
        given = {"token_level_rewards": rewards, "response_mask": mask}
        found = registered(estimator)(**given, index=index, config=config)[0].numpy()
    return [found[row, : 2 * length : 2] for row, length in enumerate(lengths)]


def registered(estimator: str) -> Callable[..., Any]:
    """Return the estimator that training uses under a name.

    Args:
        estimator: verl's `algorithm.adv_estimator`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of verl, as it is imported
        from verl.trainer.ppo.core_algos import get_adv_estimator_fn

        import medenv.integrations.verl.advantages  # noqa: F401  # registers ours
    found: Callable[..., Any] = get_adv_estimator_fn(estimator)
    return found


def _to_go(rewards: torch.Tensor, index: npt.NDArray[Any]) -> Floats:
    """Return the rewards-to-go less the mean total of the group, in its standard deviations."""
    to_go: Floats = rewards.flip(dims=[1]).cumsum(dim=1).flip(dims=[1]).numpy()
    for name in set(index):
        totals = to_go[index == name, 0]
        to_go[index == name] -= totals.mean()
        to_go[index == name] /= totals.std(ddof=1) + 1e-6
    return to_go


class Turns(NamedTuple):
    """All turns of some steps, each array of shape (turns,) but the credits, by estimator."""

    step: npt.NDArray[np.intp]
    number: npt.NDArray[np.intp]
    kind: npt.NDArray[np.str_]
    state: npt.NDArray[np.intp]
    entry: npt.NDArray[np.intp]
    worth: Floats
    credit: Mapping[str, Floats]


class Space(NamedTuple):
    """The logits of the policy: one for each choice of each state of each question.

    Args:
        first: First entry of each state, the states of all questions in a row, shape (states + 1,).
        offset: First state of each question.
        probability: Probability of each entry in its state.
        turn: Number of turns before each entry.
        ends: Whether the turn of each entry ends the episode.
        gradient: True gradient of the mean total by each logit, shape (entries, scorings).
    """

    first: npt.NDArray[np.intp]
    offset: list[int]
    probability: Floats
    turn: npt.NDArray[np.intp]
    ends: npt.NDArray[np.bool_]
    gradient: Floats


def space_of(worths: Sequence[Worths]) -> Space:
    """Return the logits of a policy over some questions, and the gradient by them.

    The gradient of the expected total by the logit of a turn is the probability of its state, times
    that of the turn in it, times its advantage.

    Args:
        worths: The questions.
    """
    states = [state for one in worths for state in one.states]
    visits = np.concatenate([one.visits() for one in worths])
    return Space(
        first=np.cumsum([0, *(len(one.choices) for one in states)]),
        offset=np.cumsum([0, *(len(one.states) for one in worths)])[:-1].tolist(),
        probability=np.concatenate([one.probabilities for one in states]),
        turn=np.concatenate([[one.turn] * len(one.choices) for one in states]),
        ends=np.array([after is None for one in states for after in one.after]),
        gradient=np.concatenate(
            [
                visit * one.probabilities[:, None] * one.advantages
                for one, visit in zip(states, visits, strict=True)
            ]
        ),
    )


def turns_of(
    steps: Sequence[Step], space: Space, number: int, scoring: Scoring, estimators: Sequence[str]
) -> Turns:
    """Return all turns of some steps with their worth and their credits under one scoring.

    Args:
        steps: The steps.
        space: Numbers the states and choices.
        number: Number of the scoring.
        scoring: The scoring.
        estimators: verl's names, or `TO_GO`.
    """
    credit: dict[str, list[Floats]] = {name: [] for name in estimators}
    rows = []
    for at, step in enumerate(steps):
        for name in estimators:
            credit[name] += credits_of(name, step.scored[number], step.question, scoring)
        for question, path in zip(step.question, step.path, strict=True):
            for k, (state, chosen) in enumerate(path):
                place = space.offset[question] + state.number
                worth = state.advantages[chosen, number]
                kind = state.choices[chosen].kind
                rows.append((at, k, kind, place, space.first[place] + chosen, worth))
    step_of, turn, kind, place, entry, worth = (np.array(one) for one in zip(*rows, strict=True))
    made = {name: np.concatenate(parts) for name, parts in credit.items()}
    return Turns(step_of, turn, kind, place, entry, worth, made)


class Estimate(NamedTuple):
    """An estimate with its 95 % interval over steps."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        shown = [f"{one:.2f}".replace("-", "\N{MINUS SIGN}") for one in self]
        return f"{shown[0]} ({shown[1]} to {shown[2]})"


class Bootstrap:
    """Functions of sums over steps, with intervals from resampled steps.

    Args:
        steps: Number of steps.
        seed: Seed of the draws.
        draws: Number of draws.
    """

    def __init__(self, steps: int, seed: int, draws: int = 1000) -> None:
        rng = np.random.default_rng([seed, 1])
        drawn = rng.multinomial(steps, [1 / steps] * steps, size=draws)
        self.counts: Floats = np.vstack([np.ones(steps), drawn])

    def of(self, function: Callable[..., Floats], *columns: Floats) -> Estimate:
        """Return a function of the sums of columns.

        Args:
            function: Takes the sum of each column in each draw.
            columns: Arrays of shape (steps,).
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # draws without such a turn
            return _estimate(function(*(self.counts @ column for column in columns)))


def _estimate(samples: Floats) -> Estimate:
    """Return the first of some samples with the interval of the others."""
    drawn = samples[1:][np.isfinite(samples[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    return Estimate(float(samples[0]), float(low), float(high))


class Report(NamedTuple):
    """How far an estimator's credits are from the truth under one scoring.

    Args:
        correlation: Of credit and worth over turns.
        left: Mean squared error after the best scaling, as a share of the mean squared worth.
        sign: Share of turns whose credit has the sign of their worth; a credit of 0 has none.
        one_step: Mean cosine of a step's gradient and the true one.
        in_the_mean: Cosine of the mean gradient and the true one; 1 where there is no bias.
        ending: Mean gradient on turns that end the episode, in units of the true gradient.
        drift: Mean credit of the turns of each number, in units of worth: the slope of credit over
            worth is scaled to 1. The mean worth is 0 for each.
        weight: Length of the mean gradient along the true one among the turns of each number, as a
            share of the length among all.
        by_kind: Mean credit of each kind of turn in units of worth, less the mean of its state.
    """

    correlation: Estimate
    left: Estimate
    sign: Estimate
    one_step: Estimate
    in_the_mean: Estimate
    ending: Estimate
    drift: list[Estimate]
    weight: list[Estimate]
    by_kind: dict[str, float]


MAX_TURN = 5
"""Last turn with figures of its own; few episodes are longer."""


def report(turns: Turns, credit: Floats, space: Space, number: int, draw: Bootstrap) -> Report:
    """Compare credits with the truth.

    Args:
        turns: All turns with their worth.
        credit: What they are credited with, shape (turns,).
        space: The logits, with the true gradient.
        number: Number of the scoring.
        draw: Draws the intervals.
    """
    steps = draw.counts.shape[1]

    def sums(values: npt.ArrayLike, among: npt.NDArray[np.bool_] | None = None) -> Floats:
        weights = np.broadcast_to(np.asarray(values, dtype=np.float64), turns.step.shape)
        weights = weights if among is None else weights * among
        found: Floats = np.bincount(turns.step, weights, minlength=steps)
        return found

    worth = turns.worth
    moments = [sums(one) for one in (1.0, credit, worth, credit**2, worth**2, credit * worth)]
    signed = np.abs(worth) > WORTHLESS
    gradients = _gradients(turns, credit, space, steps)
    true = space.gradient[:, number]
    along = gradients @ true / (true @ true)
    products = gradients @ gradients.T
    lengths = np.sqrt(np.diag(products)) * np.sqrt(true @ true)
    cosines = np.divide(gradients @ true, lengths, out=np.zeros(steps), where=lengths > 0)
    one, unit = np.ones(steps), space.ends.astype(np.float64)
    drift, weight = [], []
    for k in range(MAX_TURN):
        here, part = turns.number == k, space.turn == k
        total = [sums(1.0, here), sums(credit, here), moments[4], moments[5]]
        drift.append(draw.of(lambda n, c, ww, cw: c / n * ww / cw, *total))
        by_turn = gradients[:, part] @ true[part] / (true[part] @ true[part])
        weight.append(draw.of(lambda a, b: a / b, by_turn, along))
    scale = moments[4].sum() / moments[5].sum()  # of the slope of credit over worth
    return Report(
        correlation=draw.of(_correlation, *moments),
        left=draw.of(lambda cc, ww, cw: 1 - cw**2 / (cc * ww), *moments[3:]),
        sign=draw.of(
            lambda right, n: right / n,
            sums(np.sign(credit) == np.sign(worth), signed),
            sums(1.0, signed),
        ),
        one_step=draw.of(lambda c, n: c / n, cosines, one),
        in_the_mean=_mean_cosine(draw, products, gradients @ true, float(true @ true)),
        ending=draw.of(lambda e, a: e / a, gradients @ unit, along),
        drift=drift,
        weight=weight,
        by_kind=_by_kind(turns, credit * scale),
    )


def _correlation(n: Floats, x: Floats, y: Floats, xx: Floats, yy: Floats, xy: Floats) -> Floats:
    found: Floats = (n * xy - x * y) / np.sqrt((n * xx - x**2) * (n * yy - y**2))
    return found


def _gradients(turns: Turns, credit: Floats, space: Space, steps: int) -> Floats:
    """Return each step's gradient by the logits, per group: credit times (taken - probability)."""
    entries, states = len(space.probability), len(space.first) - 1
    flat = turns.step * entries + turns.entry
    gradients = np.bincount(flat, credit, minlength=steps * entries).reshape(steps, entries)
    by_state = np.bincount(turns.step * states + turns.state, credit, minlength=steps * states)
    spread = np.repeat(by_state.reshape(steps, states), np.diff(space.first), axis=1)
    found: Floats = gradients - spread * space.probability
    return found


def _mean_cosine(draw: Bootstrap, products: Floats, along: Floats, square: float) -> Estimate:
    """Return the cosine of the mean gradient; pairs of one step with itself are left out of it.

    A step's product with itself holds its noise, which the mean over more steps would not have.
    """
    counts, steps = draw.counts, draw.counts.shape[1]
    pairs = (counts @ products * counts).sum(axis=1) - counts**2 @ np.diag(products)
    number = steps**2 - (counts**2).sum(axis=1)  # 0 in a draw of one step alone, which says nothing
    pairs = np.divide(pairs, number, out=np.full(len(pairs), np.nan), where=number > 0)
    samples: Floats = counts @ along / steps / np.sqrt(np.maximum(pairs, 1e-300) * square)
    return _estimate(samples)


def _by_kind(turns: Turns, scaled: Floats) -> dict[str, float]:
    size = np.maximum(np.bincount(turns.state), 1)
    centred = scaled - (np.bincount(turns.state, scaled) / size)[turns.state]
    return {kind: float(centred[turns.kind == kind].mean()) for kind in KINDS if kind in turns.kind}


KINDS = (
    "search the next hop",
    "search something else",
    "repeat a search",
    "read",
    "write no call",
    "answer rightly",
    "answer wrongly",
    'answer "unknown"',
)

BEFORE = (0.30, 0.15, 0.10, 0.08, 0.07, 0.06, 0.16, 0.08)
AFTER = (0.0, 0.10, 0.12, 0.12, 0.06, 0.40, 0.14, 0.06)
"""Weights of `KINDS` while the proof is not shown in full, and once it is."""


class Researcher:
    """The policy of the benchmark: its choice depends on what has been shown alone.

    Turns that cannot be written yet, such as to repeat a search before there is one, are left out,
    and the weights of the others are scaled to add up to 1.

    Args:
        parts: Questions and dialect.
    """

    def __init__(self, parts: Parts) -> None:
        self._dialect = parts.rules.dialect
        self._names = {one.id: one.name for asked in parts.questions for one in asked.named}
        self._answers = {one.id: one for asked in parts.questions for one in asked.answers}

    def __call__(self, trajectory: Trajectory) -> list[Choice]:
        """Return the turns that may follow.

        Args:
            trajectory: The episode so far.
        """
        question, write = trajectory.question, self._dialect
        shown = [one for turn in trajectory.turns for made in turn.results for one in made.passages]
        left = [hop for hop in question.proof.path if not {*hop.passages} & {*shown}]
        on_path = {end for hop in question.proof.path for end in (hop.head, hop.tail)}
        gold = question.answers[0]
        others = sorted({*self._names} - on_path)
        wrong = sorted(
            one.name
            for one in self._answers.values()
            if one.kind == gold.kind and one not in question.answers
        )
        last = _last_search(trajectory)
        texts = (
            self._search(left[0].head) if left else "",
            self._search(others[0]),
            last,
            write.write_call("read", {"passage_id": shown[0]}) if shown else "",
            "Let me think about it.",
            write.write_answer(gold.name),
            write.write_answer(wrong[0]),
            write.write_answer("unknown"),
        )
        weights = BEFORE if left else AFTER
        rows = [row for row in zip(KINDS, texts, weights, strict=True) if row[1]]
        total = sum(weight for *_, weight in rows)
        return [Choice(kind, text, weight / total) for kind, text, weight in rows]

    def _search(self, entity: str) -> str:
        name = self._names.get(entity, entity)
        return self._dialect.write_call("search", {"query": name})


def _last_search(trajectory: Trajectory) -> str:
    searches = (
        turn.text
        for turn in reversed(trajectory.turns)
        for one in turn.calls
        if one.name == "search"
    )
    return next(searches, "")


class Result(NamedTuple):
    """Results of the benchmark.

    Args:
        reports: Scoring and estimator to the distance of its credits from the truth.
        worth: Scoring and kind of turn to its mean worth.
        states: Number of states of all questions.
        turns: Number of turns that were credited.
        ending: Scoring to the true gradient on turns that end the episode.
    """

    reports: dict[tuple[str, str], Report]
    worth: dict[tuple[str, str], float]
    states: int
    turns: int
    ending: dict[str, float]


def measure(
    scorings: Sequence[str],
    *,
    steps: int,
    size: int,
    seed: int,
    questions: int | None = None,
    policy: Callable[[Parts], ChoicePolicy] = Researcher,
) -> Result:
    """Enumerate what turns are worth and compare what they are credited with.

    Args:
        scorings: Rewards by name, ``,turns`` behind those that are to be paid by turns.
        steps: Groups of each question.
        size: Episodes of a group.
        seed: Step i draws from ``default_rng([seed, 0, i])``.
        questions: Number of questions, the first ones; None for all of the toy graph.
        policy: Makes the policy.

    Raises:
        UsageError: Too few steps or episodes, or a reward that does not exist.
    """
    if steps < 2 or size < 2:
        raise UsageError(f"expected 2 or more steps and episodes, got {steps} and {size}")
    every = [registered_parts(ENV, scoring=scoring_named(name)) for name in scorings]
    parts, paid = every[0], [one.scoring for one in every]
    rewards = [_total(one) for one in paid]
    choose = policy(parts)
    worths = [Worths(parts.env(), one, choose, rewards) for one in parts.questions[:questions]]
    space = space_of(worths)
    played = [play(worths, paid, size, np.random.default_rng([seed, 0, i])) for i in range(steps)]
    draw = Bootstrap(steps, seed)
    reports, worth, turns = {}, {}, 0
    for number, (name, scoring) in enumerate(zip(scorings, paid, strict=True)):
        found = turns_of(played, space, number, scoring, tuple(ESTIMATORS))
        turns = len(found.worth)
        for estimator, credit in found.credit.items():
            reports[name, estimator] = report(found, credit, space, number, draw)
        worth |= {(name, kind): value for kind, value in _by_kind(found, found.worth).items()}
    ending = {
        name: float(space.gradient[space.ends, number].sum())
        for number, name in enumerate(scorings)
    }
    return Result(reports, worth, len(space.first) - 1, turns, ending)


def scoring_named(name: str) -> Any:
    """Return the settings of a scoring by its name on the command line.

    Args:
        name: A reward, ``,turns`` behind it if it is to be paid by turns.
    """
    reward, _, how = name.partition(",")
    if how not in ("", "turns"):
        raise UsageError(f"expected REWARD or REWARD,turns, got {name!r}")
    return msgspec.structs.replace(scoring_of(reward), turn_rewards=bool(how))


def _total(scoring: Scoring) -> Callable[[Trajectory], float]:
    def total(trajectory: Trajectory) -> float:
        return scoring.reward(trajectory).total or 0.0

    return total


def tables(result: Result) -> str:
    """Return the tables of the page.

    Args:
        result: The results.
    """
    reports = result.reports
    lines = _table(
        ("reward", "estimator", "correlation", "error left", "sign right"),
        [(s, ESTIMATORS[e], r.correlation, r.left, r.sign) for (s, e), r in reports.items()],
    )
    lines += _table(
        ("reward", "estimator", "one step", "in the mean", "ending (estimated)", "ending (true)"),
        [
            (s, ESTIMATORS[e], r.one_step, r.in_the_mean, r.ending, _minus(result.ending[s]))
            for (s, e), r in reports.items()
        ],
    )
    numbers = [f"turn {k + 1}" for k in range(MAX_TURN)]
    for field, title in (
        ("drift", "Mean credit by the turn's number, in units of worth (true: 0):"),
        ("weight", "Weight of turns in the gradient by their number (true: 1):"),
    ):
        lines += [title, ""]
        lines += _table(
            ("reward", "estimator", *numbers),
            [(s, ESTIMATORS[e], *getattr(r, field)) for (s, e), r in reports.items()],
        )
    scorings = dict.fromkeys(s for s, _ in reports)
    kinds = [kind for kind in KINDS if any((s, kind) in result.worth for s in scorings)]
    lines += _table(
        ("reward", "kind of turn", "worth", *ESTIMATORS.values()),
        [
            (
                s,
                kind,
                _minus(result.worth[s, kind]),
                *(_minus(reports[s, e].by_kind[kind]) for e in ESTIMATORS),
            )
            for s in scorings
            for kind in kinds
        ],
    )
    return "\n".join(lines)


def _minus(value: float) -> str:
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    dashes = ["---"] * len(head)
    return [*(f"| {' | '.join(map(str, row))} |" for row in (head, dashes, *rows)), ""]


COLOURS = ("#7f7f7f", "#b07aa1", "#3b6ea5", "#e08e2b")


def draw_kinds(result: Result, scoring: str, path: Path) -> None:
    """Draw the worth of each kind of turn and what it is credited with.

    Args:
        result: The results.
        scoring: The scoring.
        path: The file, PNG or SVG by its suffix.
    """
    kinds = [kind for kind in reversed(KINDS) if (scoring, kind) in result.worth]
    with figure(path, 3.6) as axes:
        worth = [result.worth[scoring, kind] for kind in kinds]
        axes.barh(kinds, worth, color="#dddddd", label="true worth")
        for place, (name, title) in enumerate(ESTIMATORS.items()):
            credit = [result.reports[scoring, name].by_kind[kind] for kind in kinds]
            heights = [row + 0.24 - 0.16 * place for row in range(len(kinds))]
            axes.plot(credit, heights, "o", color=COLOURS[place], label=title, markersize=4)
        axes.axvline(0, color="#888888", linewidth=0.8)
        axes.set(xlabel="mean worth of the turn, and its scaled credit", title=scoring)
        axes.legend(fontsize=8, loc="upper left")


def main(  # noqa: PLR0913 - the options of the command
    steps: Annotated[int, typer.Option(help="Groups of each question.")] = 200,
    size: Annotated[int, typer.Option(help="Episodes of a group.")] = 8,
    questions: Annotated[
        int | None, typer.Option(min=1, help="Number of questions, the first ones.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the episodes and intervals.")] = 0,
    scoring: Annotated[
        list[str] | None,
        typer.Option(help="A reward, or REWARD,turns to pay it by turns; several times for more."),
    ] = None,
    write: Annotated[Path | None, typer.Option(help="File for the tables.")] = None,
    drawing: Annotated[
        Path | None, typer.Option("--figure", help="File for the figure of the last scoring.")
    ] = None,
) -> None:
    """Compare credits of turns with their true worth over the toy graph."""
    chosen = scoring or list(SCORINGS)
    try:
        result = measure(chosen, steps=steps, size=size, seed=seed, questions=questions)
    except MedEnvError as error:
        print(f"turn_worth: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    text = (
        f"{result.states:,} states, {result.turns:,} turns of {steps} groups of {size} episodes of "
        f"each question, seed {seed}\n\n{tables(result)}"
    )
    print(text)
    if write:
        write.write_text(text, encoding="utf-8")
    if drawing:
        draw_kinds(result, chosen[-1], drawing)


if __name__ == "__main__":
    typer.run(main)
