"""The settings of a run: one record for each config group, and what all recipes compose from.

graph × corpus × retriever × questions × env × scoring × policy × hardware. Hydra's schema is
generated from these records, so that a field added here is a config key. See docs/pipeline.md.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from medenv.dialects.base import PromptStyle
from medenv.episodes.episode import Budget
from medenv.errors import UnknownNameError, UsageError
from medenv.kg.questions.synthesis import QuestionsSettings
from medenv.kg.sources import GraphSettings
from medenv.kg.worlds.worlds import WorldSettings
from medenv.records import Record
from medenv.rollouts.driver import RolloutRetryPolicy

__all__ = [
    "AUTO",
    "CORPORA",
    "AblateSettings",
    "AblationSettings",
    "CorpusSettings",
    "CurriculumSettings",
    "EnvSettings",
    "EnvironmentSpec",
    "GraphSettings",
    "HardwareSettings",
    "JudgeTermSettings",
    "LessonsSettings",
    "PolicySettings",
    "QuestionsSettings",
    "RetrieverSettings",
    "RunSettings",
    "SamplingSettings",
    "ScoringSettings",
    "SftSettings",
    "StageSettings",
    "SynthesizeSettings",
    "TinyPolicySettings",
    "TrainSettings",
    "ValidationSettings",
]


AUTO = "auto"
"""What follows from the questions: their own graph and corpus, or else the defaults."""

CORPORA = (AUTO, "documents", "files", "none")
"""Where a corpus can come from."""


class CorpusSettings(Record, frozen=True, kw_only=True):
    """The config group `corpus`.

    Args:
        source: ``"auto"`` for the corpus that the questions came with, ``"documents"`` for the
            documents of the graph, ``"files"`` for passages of one's own, or ``"none"``.
        path: Own passages: a JSONL file of passages, a folder of text, Markdown and HTML files,
            a saved index, or the URL of a corpus server or of Milvus.

    Raises:
        UnknownNameError: An unknown source.
        UsageError: Files without a path, or a path beside another source.
    """

    source: str = AUTO
    path: str | None = None

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.source not in CORPORA:
            raise UnknownNameError("corpus", self.source, CORPORA)
        if self.source != AUTO and (self.source == "files") != (self.path is not None):
            raise UsageError(
                "expected corpus=PATH, or a source without a path, got "
                f"source={self.source!r}, path={self.path!r}"
            )


class RetrieverSettings(Record, frozen=True, kw_only=True):
    """The config group `retriever`.

    Args:
        name: Name of a retriever: ``"bm25"``, ``"dense"``, ``"hybrid"``, ``"milvus"``,
            ``"remote"``, or one that a package offers.
        options: Its own options, e.g. ``{"analysis": "english"}``.
    """

    name: str = "bm25"
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class EnvSettings(Record, frozen=True, kw_only=True):
    """The config group `env`.

    Args:
        env_id: Versioned id of the environment.
        dialect: How the policy writes calls and answers.
        prompt_style: How much the system message explains.
        tools: Tool name to its options.
        only: The tools that are offered, by name, with their options in `tools` where they have
            some there; empty for all of `tools`. ``env.tools=[search,read]`` sets it.
        budget: What one episode may use up.
        turn_tokens: Most tokens of one turn.
        retry: Time limits and tries of tool calls and of the policy's texts. A text may wait for a
            whole update of the weights where a trainer is asynchronous.
    """

    env_id: str = "medenv/Research-v0"
    dialect: str = "hermes"
    prompt_style: PromptStyle = "full"
    tools: dict[str, dict[str, Any] | None] = msgspec.field(default_factory=dict)
    only: tuple[str, ...] = ()
    budget: Budget = Budget()
    turn_tokens: int = 1_024
    retry: RolloutRetryPolicy = RolloutRetryPolicy()

    def __post_init__(self) -> None:
        """Keep the tools that are offered, so that `tools` says which there are."""
        if self.only:
            kept = {name: self.tools.get(name) for name in self.only}
            msgspec.structs.force_setattr(self, "tools", kept)
            msgspec.structs.force_setattr(self, "only", ())


class JudgeTermSettings(Record, frozen=True, kw_only=True):
    """The judge of the component `expert`: a model behind an OpenAI-compatible endpoint.

    Args:
        url: Base URL; empty for no judge.
        model: Model name.
        rubric: Criterion name to the question that decides it by yes or no; empty for
            `medenv.reward.components.judge.RUBRIC`.
        cache: Folder in which verdicts are kept; empty for ``<root>/verdicts``.
        key_variable: Environment variable that holds the API key.
        concurrency: Requests at a time, of each process that plays episodes.
        attempts: Tries of one request in all.
        timeout: Longest wait for a reply, seconds.
        options: Further fields of every request.

    Raises:
        UsageError: `concurrency` below 1.
    """

    url: str = ""
    model: str = ""
    rubric: dict[str, str] = msgspec.field(default_factory=dict)
    cache: str = ""
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 16
    attempts: int = 3
    timeout: float = 60.0
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.concurrency < 1:
            raise UsageError(f"expected scoring.judge.concurrency >= 1, got {self.concurrency}")


class ScoringSettings(Record, frozen=True, kw_only=True):
    """The config group `scoring`; `medenv.build.scoring.build_scoring` makes a reward of it.

    Args:
        preset: Name of a reward preset or of a reward that a package registers.
        reward: ``package.module:object``, a whole reward of one's own, instead of a preset.
        weights: Weights by component, instead of a preset's; a name may be
            ``package.module:object``.
        alpha: Weight of `accuracy` in the preset `paper`, where it is not 1.0.
        beta: Weight of `expert` in the preset `paper`, where it is not 0.2; needs a judge.
        gamma: Weight of `efficiency` in the preset `paper`, where it is not 0.1.
        gates: Component to its gate, where it is not that of the preset or the default.
        vetoes: Gates without which nothing pays, instead of a preset's.
        ramps: Component to how its weight changes over training, see `medenv.reward.Ramp`.
        judge: The judge of the component `expert`.
        turn_rewards: Whether what each turn brought is paid at the turn's last token.
        shuffle_seed: Makes the reward a control without information.
    """

    preset: str = "composite"
    reward: str = ""
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    gates: dict[str, str] = msgspec.field(default_factory=dict)
    vetoes: tuple[str, ...] = ()
    ramps: dict[str, Any] = msgspec.field(default_factory=dict)
    judge: JudgeTermSettings = JudgeTermSettings()
    turn_rewards: bool = False
    shuffle_seed: int | None = None

    def __post_init__(self) -> None:
        """Validate the settings."""
        if not (self.preset or self.reward or self.weights):
            raise UsageError(
                "no reward is named: set scoring=PRESET, scoring=package.module:object or "
                "scoring.weights={COMPONENT: WEIGHT}"
            )


class PolicySettings(Record, frozen=True, kw_only=True):
    """The config group `policy`.

    Args:
        path: A Hugging Face folder or hub name.
        baseline: Name of a scripted policy of `medenv.evaluation.baselines`, instead of a path.
        url: Base URL of a served policy, instead of a path.
        model: Its model name there.
        key_variable: Environment variable that holds the API key.
        attempts: Tries of one request in all.
        timeout: Longest wait for a reply, seconds.
        tool_role: The role in which a served policy is shown observations.
        options: Further fields of every request.
        engine: What runs a policy from a path outside a trainer: ``"vllm"``, ``"transformers"``, or
            ``"auto"`` for vLLM where it is installed and there is a GPU.
        engine_options: Further arguments of the engine.
        input_price: Price of a million tokens that the policy reads, or None where none is known.
        output_price: Price of a million tokens that it writes, likewise.
        currency: Currency of both prices.

    Raises:
        UsageError: Two kinds of policy at once, or a price out of range or without the other.
    """

    path: str = ""
    baseline: str = ""
    url: str = ""
    model: str = ""
    key_variable: str = "OPENAI_API_KEY"
    attempts: int = 5
    timeout: float = 120.0
    tool_role: Literal["tool", "user"] = "user"
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    engine: str = AUTO
    engine_options: dict[str, Any] = msgspec.field(default_factory=dict)
    input_price: float | None = None
    output_price: float | None = None
    currency: str = "USD"

    def __post_init__(self) -> None:
        """Validate the settings."""
        prices = self.input_price, self.output_price
        if prices.count(None) == 1 or any(one is not None and not one >= 0 for one in prices):
            raise UsageError(
                "expected policy.input_price and policy.output_price of at least 0 per million "
                f"tokens, or neither; got {self.input_price} and {self.output_price}"
            )
        given = [one for one in (self.path, self.url, self.baseline) if one]
        if len(given) > 1:
            raise UsageError(
                "expected one of policy.path, policy.url and policy.baseline, got "
                f"{' and '.join(map(repr, given))}"
            )

    @property
    def name(self) -> str:
        """The name of the policy on pages."""
        return self.path or self.model or self.baseline


class ValidationSettings(Record, frozen=True, kw_only=True):
    """How the policy is validated on test questions, before, during and after training.

    Args:
        samples: Sampled episodes of each question.
        greedy: Whether each question is answered greedily too.
        questions: Number of test questions, or None for all.
    """

    samples: int = 4
    greedy: bool = True
    questions: int | None = None


class SamplingSettings(Record, frozen=True, kw_only=True):
    """How a policy writes outside a trainer.

    Args:
        temperature: Temperature; 0 is greedy.
        top_p: Share of the probability that is sampled from.
        turn_tokens: Most tokens of one turn, or None for what the environment says.
        context: Most tokens of an episode; 0 for what the model can hold.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    turn_tokens: int | None = None
    context: int = 0

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise UsageError(
                "sampling needs temperature >= 0 and top_p in (0, 1], got "
                f"{self.temperature} and {self.top_p}"
            )
        if (self.turn_tokens is not None and self.turn_tokens < 1) or self.context < 0:
            raise UsageError(
                "sampling needs turn_tokens >= 1 and context >= 0, got "
                f"{self.turn_tokens} and {self.context}"
            )


class HardwareSettings(Record, frozen=True, kw_only=True):
    """The config group `hardware`, besides the trainer's own keys.

    Args:
        memory_gb: Memory that the preset needs, GiB.
        disk_gb: Disk space that it needs, GiB.
        accelerator_gb: Memory of each accelerator, GiB; 0 where it needs none.
        patience_seconds: Longest time without progress, seconds.
        restarts: How often a trainer that failed after its first step is restarted from its newest
            checkpoint.
        launch: What stands before the trainer's command, e.g. ``[srun, --exclusive]``.
        environment: Environment variables of its processes.
    """

    memory_gb: float = 0.0
    disk_gb: float = 0.0
    accelerator_gb: float = 0.0
    patience_seconds: float = 1800.0
    restarts: int = 2
    launch: tuple[str, ...] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict)


class CurriculumSettings(Record, frozen=True, kw_only=True):
    """The config group `curriculum`: how often questions are drawn, how long episodes are.

    Args:
        by: ``"none"`` for each question once in an epoch, or ``"success"`` for the weights of
            `medenv.integrations.verl.curriculum.Curriculum`.
        start: Share of the questions, easiest first, of which new ones are drawn at full weight at
            the beginning, in (0, 1].
        pace: Draws for each question until all new ones are drawn at full weight; 0 for at once.
        decay: What an earlier rollout of a question counts for at its next outcome, in [0, 1].
        floor: Least weight of a question where the largest is 1, in (0, 1].
        turns: Most turns of a training episode in the first step; ``None`` for the budget of `env`
            in all steps.
        turn_steps: Steps over which they grow to that budget.

    Raises:
        UsageError: A number out of its range.
    """

    by: Literal["none", "success"] = "none"
    start: float = 0.25
    pace: float = 1.0
    decay: float = 0.5
    floor: float = 0.05
    turns: int | None = None
    turn_steps: int = 100

    def __post_init__(self) -> None:
        """Validate the settings."""
        if (self.turns is not None and self.turns < 1) or self.turn_steps < 1:
            raise UsageError(
                "curriculum.turns and curriculum.turn_steps are at least 1, "
                f"got {self.turns} and {self.turn_steps}"
            )
        if not (
            0 < self.start <= 1 and self.pace >= 0 and 0 <= self.decay <= 1 and 0 < self.floor <= 1
        ):
            raise UsageError(
                "curriculum needs start in (0, 1], pace >= 0, decay in [0, 1] and floor in (0, 1], "
                f"got {self.start}, {self.pace}, {self.decay} and {self.floor}"
            )

    def turns_at(self, step: int, budget: int) -> int:
        """Return the most turns of a training episode; they grow evenly, rounded down.

        Args:
            step: The training step, from 1.
            budget: Turns that the environment allows.
        """
        if self.turns is None:
            return budget
        grown = (budget - self.turns) * (step - 1) // self.turn_steps
        return min(budget, self.turns + grown)


class RunSettings(Record, frozen=True, kw_only=True):
    """What every recipe composes from.

    Args:
        root: Folder of everything that recipes write.
        run: Name of the run; its folder is ``<root>/<run>``.
        seed: Seed of all randomness.
        n: Size: number of training questions, or what the recipe says.
        environment: An `environment.json` of an earlier run, instead of all groups below.
        graph: The graph.
        corpus: The passages that tools show.
        retriever: How they are searched.
        questions: The questions.
        env: The environment.
        scoring: The reward.
    """

    root: str = "outputs"
    run: str = "default"
    seed: int = 0
    n: int | None = None
    environment: str | None = None
    graph: GraphSettings = GraphSettings()
    corpus: CorpusSettings = CorpusSettings()
    retriever: RetrieverSettings = RetrieverSettings()
    questions: QuestionsSettings = QuestionsSettings()
    env: EnvSettings = EnvSettings()
    scoring: ScoringSettings = ScoringSettings()


class AlarmSettings(Record, frozen=True, kw_only=True):
    """Bounds beyond which a training counts as collapsed; None for no bound.

    Args:
        steps: Training steps in a row that a measure has to be beyond its bound.
        entropy_below: Least entropy of the policy, nats a token.
        length_below: Least mean length of what the policy writes in an episode, tokens.
        length_above: Greatest mean length, tokens.
        well_formed_below: Least share of well-formed episodes, in [0, 1].
        dead_groups_above: Greatest share of groups whose rollouts all earned the same, in [0, 1].
        stop: Whether an alarm ends the run after the next checkpoint.

    Raises:
        UsageError: `steps` below 1, a share outside [0, 1], or a negative bound.
    """

    steps: int = 10
    entropy_below: float | None = 0.001
    length_below: float | None = 4.0
    length_above: float | None = None
    well_formed_below: float | None = 0.1
    dead_groups_above: float | None = 0.95
    stop: bool = False

    def __post_init__(self) -> None:
        """Validate the bounds."""
        if self.steps < 1:
            raise UsageError(f"expected alarms.steps >= 1, got {self.steps}")
        for name in ("entropy_below", "length_below", "length_above"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise UsageError(f"expected alarms.{name} >= 0 or null, got {value}")
        for name in ("well_formed_below", "dead_groups_above"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"expected alarms.{name} in [0, 1] or null, got {value}")


class TrainSettings(RunSettings, frozen=True, kw_only=True):
    """What a training with verl composes from, besides verl's own keys.

    Args:
        policy: The policy.
        evaluation: How it is validated.
        hardware: What the machine has to have.
        alarms: When a training counts as collapsed.
        curriculum: Which questions are drawn how often, and how long episodes are.

    Raises:
        UsageError: Episodes of training begin no shorter than they may be.
    """

    policy: PolicySettings = PolicySettings()
    evaluation: ValidationSettings = ValidationSettings()
    hardware: HardwareSettings = HardwareSettings()
    alarms: AlarmSettings = AlarmSettings()
    curriculum: CurriculumSettings = CurriculumSettings()

    def __post_init__(self) -> None:
        """Check that turns have something to grow to."""
        first, budget = self.curriculum.turns, self.env.budget.turns
        if first is not None and first >= budget:
            raise UsageError(
                f"curriculum.turns={first} is no less than env.budget.turns={budget}, to which it "
                "grows: set it lower, or to null"
            )


class SynthesizeSettings(RunSettings, frozen=True, kw_only=True):
    """What `recipes/synthesize.py` composes from.

    Args:
        exports: Further forms to write, of `EXPORTS`.
        benchmarks: Files to compare the questions with, for shared wording and answers.
        worlds: Counterfactual worlds to write beside the set.
        rewrite: The model that rewords the questions, or None.
        calibrate: The model that answers them from memory, or None.
    """

    exports: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    worlds: tuple[str, ...] = ()
    rewrite: Any = None
    calibrate: Any = None

    def __post_init__(self) -> None:
        """Validate the settings."""
        for name in self.exports:
            if name not in EXPORTS:
                raise UnknownNameError("export", name, EXPORTS)
        for name in self.worlds:
            WorldSettings(variant=name)


EXPORTS = ("verl", "datasets")
"""Forms besides JSON lines in which a question set can be written."""


class StageSettings(Record, frozen=True, kw_only=True):
    """One stage of supervised fine-tuning.

    Args:
        material: ``"trajectories"``: the set that `LessonsSettings.trajectories` names;
            ``"episodes"`` of scripted teachers, with loss on what they wrote; or ``"reading"``:
            passages along gold paths, each twice, with loss on everything.
        examples: Number of examples, unless trajectories.
        renamed: Share of the examples with invented names.
        guess: Share of the guesser in this stage, where it differs from that of all stages.
        epochs: Passes through the trajectories, instead of `steps` where not 0.
        steps: Optimiser steps.
        lr: Learning rate.
    """

    material: str = "episodes"
    examples: int = 24_000
    renamed: float = 0.0
    guess: float | None = None
    epochs: float = 0.0
    steps: int = 1_000
    lr: float = 1.0e-3


class LessonsSettings(Record, frozen=True, kw_only=True):
    """What is learned from; shares of teachers are relative.

    Args:
        oracle: Share of the teacher that follows the gold path.
        guess: Share of the teacher that guesses.
        wander: Share of the teacher that wanders first.
        seed: Seed of the episodes.
        stages: The stages, in order.
        trajectories: Folder of a set of trajectories.
    """

    oracle: float = 0.38
    guess: float = 0.50
    wander: float = 0.12
    seed: int = 0
    stages: tuple[StageSettings, ...] = (StageSettings(),)
    trajectories: str = ""


class TinyPolicySettings(Record, frozen=True, kw_only=True):
    """Shape of a new tiny policy.

    Args:
        vocabulary: Tokens, tags and control tokens included.
        hidden: Width.
        layers: Depth.
        head_dim: Width of an attention head; `hidden` is a multiple of it.
        context: Longest sequence, tokens.
        rope_theta: Base of the rotary embedding; small, since the context is short.
        initial_std: Standard deviation of the initial weights.
        copying: Begin with heads that copy; see `medenv.integrations.hf.copying`.
        seed: Seed of the initial weights.
    """

    vocabulary: int = 2048
    hidden: int = 192
    layers: int = 4
    head_dim: int = 64
    context: int = 1024
    rope_theta: float = 1_000.0
    initial_std: float = 0.05
    copying: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate the shape."""
        if self.hidden % self.head_dim:
            raise UsageError(
                f"hidden must be a multiple of head_dim, got {self.hidden} and {self.head_dim}"
            )
        if self.copying and (self.layers < 3 or 2 * self.hidden <= 5 * self.head_dim):
            raise UsageError(
                "copying needs 3 layers and a width of more than 2.5 heads, got "
                f"{self.layers} and {self.hidden / self.head_dim:g}"
            )


class SftSettings(TrainSettings, frozen=True, kw_only=True):
    """What `recipes/sft.py` composes from, besides verl's own keys.

    Args:
        lessons: What is learned from.
        tiny: Shape of a new tiny policy, where one is taught from nothing.
    """

    lessons: LessonsSettings = LessonsSettings()
    tiny: TinyPolicySettings = TinyPolicySettings()


class AblationSettings(Record, frozen=True, kw_only=True):
    """Which rewards are trained with, over which seeds.

    Args:
        name: Name of the sweep.
        presets: Presets as they are.
        vary: Presets to try without each part and with each part alone.
        ungated: Presets to try with all gates open.
        arms: Further rewards, as ``"name:accuracy=1,format=0.2@open"``.
        seeds: Seeds.
        arm: The reward of one run, which the sweep sets.
    """

    name: str = "ablation"
    presets: tuple[str, ...] = ("answer_only", "composite")
    vary: tuple[str, ...] = ("composite",)
    ungated: tuple[str, ...] = ("composite",)
    arms: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1)
    arm: str = ""


class AblateSettings(TrainSettings, frozen=True, kw_only=True):
    """What `recipes/ablate.py` composes from, besides verl's own keys.

    Args:
        ablation: Which rewards are trained with.
    """

    ablation: AblationSettings = AblationSettings()


class EnvironmentSpec(Record, frozen=True, kw_only=True):
    """Everything an episode needs, prepared: the content of `environment.json`.

    A trainer's workers, `medenv play` and an evaluation open the same file.

    Args:
        questions: Folder of the question set.
        graph: Folder of the saved graph, or None.
        corpus: What the retriever opens: a saved index, a file, or a URL; None for no corpus.
        retriever: How it is searched.
        env: The environment.
        scoring: The reward.
        verdicts: Folder of a judge's verdicts.
    """

    questions: str
    graph: str | None
    corpus: str | None
    retriever: RetrieverSettings
    env: EnvSettings
    scoring: ScoringSettings
    verdicts: str = ""
