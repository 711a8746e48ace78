"""Any policy on the questions of any set, in any environment; resumable.

The folder of an evaluation holds

    identity.json      the settings that its figures depend on
    episodes.jsonl     the journal: every episode that was played
    sampled.jsonl      the sampled episodes, one `Scored` a line
    greedy.jsonl       the greedy ones
    costs.jsonl        what each took: seconds, tokens read, money
    summary.json       the figures of both with intervals
    page.html          how good, where it fails and why, and every episode turn by turn
    report.md          the figures of the page in Markdown
    report.html        beside another evaluation: before against after
    memory.json        likewise, where the two differ in their tools or their world

An episode that cannot be played or scored, because a tool, the judge or the policy's server failed,
is missing: its answer counts as not right, the figures say how many there are, and the same command
plays them again. When the failures do not end, the evaluation stops instead.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from medenv.build.prepare import (
    ENVIRONMENT,
    Steps,
    TrainingEnv,
    open_environment,
    prepare,
    write_environment,
)
from medenv.build.settings import AUTO, PolicySettings, RunSettings, SamplingSettings
from medenv.errors import PolicyUnavailableError, UnknownNameError, UsageError
from medenv.evaluation.baselines import BASELINES, open_baseline
from medenv.evaluation.compare import Episodes, read_evaluation, report_of, sides
from medenv.evaluation.costs import (
    MeteredPolicy,
    priced,
    with_shares,
    without_cost,
    write_costs,
)
from medenv.evaluation.memory import MEMORY, Contrast
from medenv.evaluation.summary import Summary, summarise, with_missing, write_scored
from medenv.integrations.hydra.identity import claim, files_digest, significant
from medenv.io import FolderLock, Journal, digest, write_json
from medenv.kg.questions.sets import SPLITS
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.records import Policy, Question, Record, Scored
from medenv.report.evaluation import MARKDOWN, PAGE, EvaluationReport, write_evaluation
from medenv.report.headline import Row, headline
from medenv.report.training import write_training_report
from medenv.rollouts.driver import AsyncPolicy, RolloutRetryPolicy
from medenv.rollouts.policies import Teacher
from medenv.trajectories.collector import without_times
from medenv.trajectories.gate import ClosedError, Gate
from medenv.trajectories.served import ServedPolicy, ServedSettings

if TYPE_CHECKING:
    from medenv.integrations.hf.engines import Engine

ENGINES = (AUTO, "transformers", "vllm")
GREEDY = -1
"""Number of the greedy episode of a question; sampled ones are counted from 0."""

_GOES_ON = "what has been played is kept, the same command goes on"

FAILURES = 8
"""Episodes that may fail one after the other before what they need is held to be gone."""


class EvaluateSettings(RunSettings, frozen=True, kw_only=True):
    """What `recipes/evaluate.py` composes from; `n` is the number of questions that are asked.

    Args:
        policy: What is evaluated: a path, or a served policy.
        split: Which questions are asked: ``"train"``, ``"test"`` or empty for all.
        samples: Sampled episodes of each question.
        greedy: Whether each is answered greedily too.
        sampling: How the policy writes when it samples.
        closed_book: Whether the policy plays without tools in the same environment.
        concurrency: Episodes that run at the same time.
        against: Folder of an evaluation before, or empty.

    Raises:
        UsageError: A value is out of range.
        UnknownNameError: An unknown engine or split.
    """

    policy: PolicySettings = PolicySettings()
    split: str = "test"
    samples: int = 4
    greedy: bool = True
    sampling: SamplingSettings = SamplingSettings()
    closed_book: bool = False
    concurrency: int = 256
    against: str = ""

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.policy.engine not in ENGINES:
            raise UnknownNameError("engine", self.policy.engine, ENGINES)
        if self.split and self.split not in SPLITS:
            raise UnknownNameError("split", self.split, SPLITS)
        if self.samples < 0 or (not self.samples and not self.greedy):
            raise UsageError(f"expected samples >= 0, or greedy answers; got {self.samples}")
        if self.concurrency < 1 or (self.n is not None and self.n < 1):
            raise UsageError(
                f"expected concurrency and n of at least 1, got {self.concurrency} and {self.n}"
            )

    @property
    def folder(self) -> Path:
        """The folder of the evaluation."""
        return Path(self.root) / self.run


class Evaluated(Record, frozen=True, kw_only=True):
    """One episode, one line of the journal.

    Args:
        i: Number of the question.
        sample: Number of the sample, or `GREEDY`.
        scored: The episode and its score.
    """

    i: int
    sample: int
    scored: Scored

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from all others."""
        return self.i, self.sample


class Evaluation(NamedTuple):
    """What came out.

    Attributes:
        sampled: The figures of the sampled episodes, or None where there are none.
        greedy: The figures of the greedy ones, likewise.
        rows: Beside another evaluation: before, after and the paired difference.
        contrast: Beside one that differs in its tools or its world: memory against research.
    """

    sampled: Summary | None
    greedy: Summary | None
    rows: list[Row]
    contrast: Contrast | None


class GenerationBackend(Protocol):
    """Makes the policy of each episode."""

    def begin(self, question: Question, i: int, *, greedy: bool) -> Policy | AsyncPolicy:
        """Return the policy of an episode.

        Args:
            question: What is asked.
            i: Number of the episode.
            greedy: Whether it writes greedily.
        """
        ...


class TokenBackend:
    """Episodes that an engine in this process writes.

    Args:
        engine: Writes.
        sampling: How, when it samples.
    """

    def __init__(self, engine: Engine, sampling: SamplingSettings) -> None:
        from medenv.integrations.hf.engines import BatchScheduler  # imports torch

        self._scheduler, self._sampling = BatchScheduler(engine), sampling
        self._greedy = msgspec.structs.replace(sampling, temperature=0.0, top_p=1.0)

    def begin(self, question: Question, i: int, *, greedy: bool) -> AsyncPolicy:
        """Return the policy of an episode."""
        del question, i  # the prompt says what is asked
        from medenv.integrations.hf.engines import TokenPolicy

        return TokenPolicy(self._scheduler, self._greedy if greedy else self._sampling)


class ServedBackend:
    """Episodes that a server writes.

    Args:
        endpoint: The server.
        policy: What is evaluated.
        sampling: How it writes when it samples.
        stop: Where it is to stop.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        policy: PolicySettings,
        sampling: SamplingSettings,
        stop: list[str],
    ) -> None:
        self._endpoint, self._stop = endpoint, stop
        self._policy, self._sampling = policy, sampling

    def begin(self, question: Question, i: int, *, greedy: bool) -> AsyncPolicy:
        """Return the policy of an episode."""
        del question  # the prompt says what is asked
        how = self._sampling
        params = {
            "temperature": 0.0 if greedy else how.temperature,
            "top_p": 1.0 if greedy else how.top_p,
            "max_tokens": how.turn_tokens,
        }
        served = ServedSettings(tool_role=self._policy.tool_role, params=params)
        return ServedPolicy(self._endpoint, "", self._stop, served, i)


class BaselineBackend:
    """Episodes that a baseline writes.

    Args:
        baseline: Makes its policies.
    """

    def __init__(self, baseline: Teacher[Policy]) -> None:
        self._baseline = baseline

    def begin(self, question: Question, i: int, *, greedy: bool) -> Policy:
        """Return the policy of an episode."""
        del greedy  # it writes the same either way
        return self._baseline.begin(question, i)


def evaluate(
    settings: EvaluateSettings,
    say: Callable[[str], None] = lambda _: None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Evaluate a policy, or go on with it.

    Args:
        settings: What is evaluated.
        say: Told what is being done, in words.
        report: Told the numbers of episodes done and to do.

    Raises:
        UsageError: A setting cannot be.
        FolderInUseError: Another process evaluates in the folder.
        OtherSettingsError: The folder holds an evaluation with other settings.
        DataError: A folder is missing or damaged.
        PolicyUnavailableError: No episode could be played, or `FAILURES` of them one after the
            other could not; the same call goes on later.
    """
    with FolderLock(settings.folder):
        return _evaluate(settings, say, report)


def _evaluate(
    settings: EvaluateSettings, say: Callable[[str], None], report: Callable[[int, int], None]
) -> Evaluation:
    folder = settings.folder
    policy = settings.policy
    if not (policy.path or policy.url or policy.baseline):
        raise UsageError(
            "no policy is named: set policy=FOLDER, policy=NAME or policy=http://host/v1#model"
        )
    if policy.baseline and policy.baseline not in BASELINES:
        raise UnknownNameError("baseline", policy.baseline, BASELINES)
    before = read_evaluation(settings.against) if settings.against else None
    prepared = prepare(settings, Steps(say))
    if settings.closed_book:
        without = msgspec.structs.replace(prepared.spec.env, tools={})
        prepared = prepared._replace(spec=msgspec.structs.replace(prepared.spec, env=without))
    splits = [settings.split] if settings.split else SPLITS
    whole = [question for split in splits for question in prepared.asked(split)]
    if not whole:
        raise UsageError(
            f"{prepared.questions.folder} holds no {settings.split} questions: set split=train, "
            "or split='' for all"
        )
    questions, env = whole[: settings.n], open_environment(prepared.spec, whole)
    if settings.sampling.turn_tokens is None:
        sampling = msgspec.structs.replace(
            settings.sampling, turn_tokens=prepared.spec.env.turn_tokens
        )
        settings = msgspec.structs.replace(settings, sampling=sampling)
    identity = _identity(settings, env)
    path = folder / "episodes.jsonl"
    claim(folder, identity, path.exists())
    write_environment(folder / ENVIRONMENT, prepared.spec)
    run = {"run": digest(identity)}
    with Journal(path, run, Evaluated, key=attrgetter("key")) as journal:
        authors = partial(_authors, settings, env, prepared.asked("train"))
        asyncio.run(_play(settings, env, questions, journal, authors, _Told(say, report)))
    done = sorted(journal.known, key=lambda one: one.key)
    done = [one for one in done if one.sample < settings.samples]
    costed = [priced(one, policy) for one in with_shares([one.scored for one in done])]
    played = [(one.sample == GREEDY, scored) for one, scored in zip(done, costed, strict=True)]
    sampled = with_missing(
        [scored for greedily, scored in played if not greedily], questions, settings.samples
    )
    greedy = with_missing(
        [scored for greedily, scored in played if greedily], questions, int(settings.greedy)
    )
    write_scored(folder / "sampled.jsonl", without_cost(sampled))
    write_scored(folder / "greedy.jsonl", without_cost(greedy))
    write_costs(folder, sampled, greedy)
    figures = {
        name: summarise(scored, seed=settings.seed) if scored else None
        for name, scored in (("sampled", sampled), ("greedy", greedy))
    }
    write_json(folder / "summary.json", figures)
    facts = {"policy": settings.policy.name, "folder": str(folder)}
    if policy.input_price is not None:
        facts["price of a million tokens"] = (
            f"{policy.input_price:g} {policy.currency} read, {policy.output_price:g} written"
        )
    rows, contrast = _beside(before, settings, sampled, greedy) if before else ([], None)
    page = EvaluationReport(
        sampled=sampled,
        greedy=greedy,
        facts=facts,
        contrast=contrast,
        title=settings.run,
        seed=settings.seed,
    )
    write_evaluation(folder / PAGE, page, folder / MARKDOWN)
    if contrast is not None:
        write_json(folder / MEMORY, contrast)
    return Evaluation(figures["sampled"], figures["greedy"], rows, contrast)


class _Told(NamedTuple):
    """Progress callbacks: a description, and the numbers of finished and of all episodes."""

    say: Callable[[str], None]
    report: Callable[[int, int], None]


async def _play(
    settings: EvaluateSettings,
    env: TrainingEnv,
    questions: Sequence[Question],
    journal: Journal[Evaluated],
    backend: Callable[[Endpoint | None], GenerationBackend],
    told: _Told,
) -> None:
    """Play what is not in the journal yet."""
    say, report = told
    numbers = [*([GREEDY] if settings.greedy else []), *range(settings.samples)]
    known = {one.key for one in journal.known}
    left = [(i, n) for n in numbers for i in range(len(questions)) if (i, n) not in known]
    if not left:
        return
    say("loading the policy")
    endpoint = _endpoint(settings.policy)
    authors = backend(endpoint)
    driver = env.parts.rollouts(RolloutRetryPolicy(attempts=1, timeout=86_400.0))
    gate, total = Gate(settings.concurrency), len(left) + len(known)
    failures = played = 0  # the first: one after the other
    why = ""

    async def one(i: int, sample: int) -> None:
        nonlocal failures, played, why
        async with gate:
            number = i * 1000 + sample + 1
            policy = MeteredPolicy(authors.begin(questions[i], number, greedy=sample == GREEDY))
            scored = await driver.arun(policy, questions[i], max(sample, 0))
            if scored.score.total is None:
                failures += 1
                why = f"question {questions[i].id!r}: {scored.trajectory.failure or 'no score'}"
                if failures >= FAILURES:
                    raise PolicyUnavailableError(f"{why}; {_GOES_ON}")
                return
            failures, played = 0, played + 1
            kept = msgspec.structs.replace(
                without_times(scored),
                sample=max(sample, 0),
                cost=policy.cost(scored.trajectory.seconds),
            )
            line = Evaluated(i=i, sample=sample, scored=kept)
            journal.append(line)
            known.add(line.key)
            report(len(known), total)

    say("answering")
    gc.freeze()  # as in training: what is loaded stays
    try:
        await gate.all_of([one(i, sample) for i, sample in left])
        if not played:
            raise PolicyUnavailableError(f"{why}; {_GOES_ON}")
        if len(known) < total:
            say(f"{total - len(known):,} of {total:,} episodes are missing ({why}); {_GOES_ON}")
    except ClosedError:
        raise gate.why() from None
    finally:
        if endpoint is not None:
            await endpoint.aclose()


def _endpoint(policy: PolicySettings) -> Endpoint | None:
    """Return the client of a served policy, or None where the policy runs here."""
    if not policy.url:
        return None
    return Endpoint(
        EndpointSettings(
            url=policy.url,
            model=policy.model,
            key_variable=policy.key_variable,
            attempts=policy.attempts,
            timeout=policy.timeout,
            options=policy.options,
        )
    )


def _authors(
    settings: EvaluateSettings,
    env: TrainingEnv,
    train: Sequence[Question],
    endpoint: Endpoint | None,
) -> GenerationBackend:
    policy, sampling = settings.policy, settings.sampling
    if policy.baseline:
        return BaselineBackend(open_baseline(policy.baseline, env, train, settings.seed))
    if endpoint is not None:
        return ServedBackend(endpoint, policy, sampling, list(env.parts.rules.dialect.stop))
    from medenv.integrations.hf.engines import open_engine  # imports torch

    return TokenBackend(open_engine(policy, settings.seed), sampling)


def _identity(settings: EvaluateSettings, env: TrainingEnv) -> dict[str, Any]:
    """Return what the figures depend on: not the size, nor how the answers are computed."""
    plain: dict[str, Any] = msgspec.to_builtins(settings)
    if not settings.policy.baseline:
        del plain["policy"]["baseline"]  # evaluations begun before there were any go on
    return {
        **significant({name: plain[name] for name in ("policy", "sampling", "seed")}),
        **significant({"retriever": msgspec.to_builtins(env.spec.retriever)}),
        "policy (its files)": files_digest(settings.policy.path),
        "corpus (its files)": files_digest(env.spec.corpus or ""),
        "environment": env.parts.rules.config_hash,
        "questions": digest([(one.id, one.text) for one in env.parts.questions], 16),
    }


def _beside(
    before: Episodes, settings: EvaluateSettings, sampled: list[Scored], greedy: list[Scored]
) -> tuple[list[Row], Contrast | None]:
    """Hold an evaluation against one before; write the page, and return its tables."""
    after = Episodes(folder=str(settings.folder), sampled=tuple(sampled), greedy=tuple(greedy))
    report = report_of(before, after, seed=settings.seed)
    facts = {"policy": settings.policy.name, **report.facts}
    write_training_report(
        settings.folder / "report.html", msgspec.structs.replace(report, facts=facts)
    )
    return headline(*sides(before, after), seed=settings.seed), report.contrast
