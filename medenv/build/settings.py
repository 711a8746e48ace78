"""The settings of a run: one record for each config group, and what all recipes compose from.

graph × corpus × retriever × questions × env × scoring × policy × hardware. Hydra's schema is
generated from these records, so that a field added here is a config key. See docs/pipeline.md.
"""

from __future__ import annotations

from typing import Any

import msgspec

from medenv.dialects.base import PromptStyle
from medenv.episodes.episode import Budget
from medenv.errors import UsageError
from medenv.kg.questions.generator import QuestionSpec
from medenv.records import Record
from medenv.rollouts.driver import RetryPolicy

AUTO = "auto"
"""The value for what follows from the questions, or the default where questions are made."""


class GraphSettings(Record, frozen=True, kw_only=True):
    """The config group `graph`.

    Args:
        source: Name of a source (`medenv kg sources`), ``"auto"`` for the graph that the questions
            were made from, or ``"none"``.
        path: What the source reads, or None where it has files of its own.
        options: The source's own options, e.g. ``{"namespaces": ["ORPHA"]}``.
    """

    source: str = AUTO
    path: str | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class CorpusSettings(Record, frozen=True, kw_only=True):
    """The config group `corpus`.

    Args:
        source: ``"auto"`` for the corpus that the questions came with, ``"documents"`` for the
            documents of the graph, ``"files"`` for passages of one's own, or ``"none"``.
        path: For ``"files"``: a JSONL file of passages, a folder of text, Markdown and HTML files,
            or a saved index.
    """

    source: str = "auto"
    path: str | None = None


class RetrieverSettings(Record, frozen=True, kw_only=True):
    """The config group `retriever`.

    Args:
        name: Name of a retriever: ``"bm25"``, ``"dense"``, ``"hybrid"``, ``"milvus"``,
            ``"remote"``, or one that a package offers.
        options: Its own options, e.g. ``{"analysis": "english"}``.
    """

    name: str = "bm25"
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class QuestionsSettings(QuestionSpec, frozen=True, kw_only=True):
    """The config group `questions`: which questions are made, or where they lie.

    Args:
        path: Folder of a question set, or a JSONL or CSV file of one's own; None makes a set.
        folder: Where a set is made; reused and extended where it is there.
        n: Number of training questions.
        n_test: Number of test questions.
        seed: Seed of all randomness.
        workers: Number of processes; the questions do not depend on it.
        graded: Whether to search each question and store its difficulty.
        world: ``"true"``, or a counterfactual world of `medenv.kg.worlds`, which is fiction.
        columns: For a file of one's own: our name of a column to the file's.
    """

    path: str | None = None
    folder: str = ""
    n: int = 2_000
    n_test: int = 300
    seed: int = 0
    workers: int = 2
    graded: bool = True
    world: str = "true"
    columns: dict[str, str] = msgspec.field(default_factory=dict)


class EnvSettings(Record, frozen=True, kw_only=True):
    """The config group `env`.

    Args:
        env_id: Versioned id of the environment.
        dialect: How the policy writes calls and answers.
        prompt_style: How much the system message explains.
        tools: Tool name to its options.
        budget: What one episode may use up.
        turn_tokens: Most tokens of one turn.
        retry: Time limits and tries of tool calls and of the policy's texts. A text may wait for a
            whole update of the weights where a trainer is asynchronous.
    """

    env_id: str = "medenv/Research-v0"
    dialect: str = "hermes"
    prompt_style: PromptStyle = "full"
    tools: dict[str, dict[str, Any] | None] = msgspec.field(default_factory=dict)
    budget: Budget = Budget()
    turn_tokens: int = 1_024
    retry: RetryPolicy = RetryPolicy()


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


class PolicySettings(Record, frozen=True, kw_only=True):
    """The config group `policy`.

    Args:
        path: A Hugging Face folder or hub name.
        url: Base URL of a served policy, instead of a path.
        model: Its model name there.
        key_variable: Environment variable that holds the API key.
        tool_role: The role in which a served policy is shown observations.
        options: Further fields of every request.
    """

    path: str = ""
    url: str = ""
    model: str = ""
    key_variable: str = "OPENAI_API_KEY"
    tool_role: str = "user"
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.path and self.url:
            raise UsageError(
                f"expected policy.path or policy.url, got both: {self.path!r}, {self.url!r}"
            )


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
