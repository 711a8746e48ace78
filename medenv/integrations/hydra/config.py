"""The schema of the `medenv` subtree of a Hydra config, and the way to verl's own tree.

Hydra guards keys on the command line, not those inside a YAML file. Our own subtree is built on
dataclasses, so that a misspelt key is an error wherever it stands; for keys of verl's tree,
`check_verl_keys` compares what our files set with what verl knows.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from omegaconf import DictConfig, OmegaConf

from medenv.errors import UsageError
from medenv.integrations.hydra.schemas import hydra_schema

ADDED_KEYS = frozenset(
    {
        "run",
        "seed",
        "actor_rollout_ref.actor.fsdp_config.mixed_precision",
        "actor_rollout_ref.rollout.enable_sleep_mode",
        "critic.fsdp.mixed_precision",
        "ray_kwargs.ray_init.num_gpus",
        "ray_kwargs.ray_init.include_dashboard",
        "ray_kwargs.ray_init.dashboard_port",
        "ray_kwargs.ray_init.object_store_memory",
        "ray_kwargs.ray_init.log_to_driver",
    }
)
"""Keys that are ours at the root, or that verl reads though its tree does not list them."""


@dataclass
class QuestionsSection:
    """Which questions; see `medenv.kg.QuestionConfig`."""

    patterns: list[str] = field(default_factory=lambda: ["disease>gene", "phenotype>disease>gene"])
    n_train: int = 4000
    n_test: int = 400
    test_share: float = 0.15
    max_name_chars: int = 80
    max_per_answer: int = 4


@dataclass
class WorldSection:
    """Which graph, corpus and questions; see `medenv.build.workspace.WorkspaceSettings`.

    `variant` alters the world: "renamed", "rewired", "unanswerable", or "true" for none. `analysis`
    says how the corpus is indexed: "plain", "english", or the fields of `medenv.text.Analysis`.
    """

    source: str = "hpo"
    folder: str | None = None
    namespaces: list[str] = field(default_factory=lambda: ["OMIM"])
    questions: QuestionsSection = field(default_factory=QuestionsSection)
    seed: int = 0
    variant: str = "true"
    analysis: Any = "plain"


@dataclass
class BudgetSection:
    """What one episode may use up; see `medenv.episodes.episode.Budget`."""

    turns: int = 8
    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    final_turn: bool = False


@dataclass
class EnvSection:
    """The environment; see `medenv.build.environment.EnvSettings`."""

    env_id: str = "medenv/Research-v0"
    dialect: str = "hermes"
    prompt_style: str = "full"
    retriever: Any = "bm25"
    tools: dict[str, Any] = field(default_factory=dict)
    budget: BudgetSection = field(default_factory=BudgetSection)
    turn_tokens: int = 512


@dataclass
class PatienceSection:
    """Tries and time limits of the agent loop in training; see `medenv.rollouts.driver.Patience`.

    A text may wait for a whole update of the weights where the trainer is asynchronous.
    """

    attempts: int = 3
    backoff: float = 0.5
    timeout: float = 60.0
    policy_timeout: float | None = 900.0


@dataclass
class JudgeSection:
    """The judge of the component `expert`; see `medenv.build.settings.JudgeTermSettings`."""

    url: str = ""
    model: str = ""
    rubric: dict[str, str] = field(default_factory=dict)
    cache: str = ""
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 16
    attempts: int = 3
    timeout: float = 60.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class ScoringSection:
    """The reward; see `medenv.build.settings.ScoringSettings`."""

    preset: str = "composite"
    reward: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    gates: dict[str, str] = field(default_factory=dict)
    vetoes: list[str] = field(default_factory=list)
    ramps: dict[str, Any] = field(default_factory=dict)
    judge: JudgeSection = field(default_factory=JudgeSection)
    turn_rewards: bool = False
    shuffle_seed: int | None = None


@dataclass
class AblationSection:
    """Which rewards are trained with, over which seeds; see `medenv.integrations.verl.sweep.Plan`.

    `presets` as they are; `vary` without each part and with each alone; `ungated` with all gates
    open; `arms` as "name:accuracy=1,format=0.2@open". `arm` is the one that a run is for.
    """

    name: str = "ablation"
    presets: list[str] = field(default_factory=lambda: ["answer_only", "composite"])
    vary: list[str] = field(default_factory=lambda: ["composite"])
    ungated: list[str] = field(default_factory=lambda: ["composite"])
    arms: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0, 1])
    arm: str = ""


@dataclass
class EvaluationSection:
    """How often each held-out question is answered, sampled and greedily.

    After supervised fine-tuning, `engine` writes the answers: "vllm", or "transformers" for tiny
    policies.
    """

    samples: int = 4
    greedy: bool = True
    questions: int | None = None
    engine: str = "vllm"
    engine_options: dict[str, Any] = field(default_factory=dict)


@dataclass
class StageSection:
    """One stage of teaching; `renamed` is the share of examples with invented names.

    `guess` is the guesser's share in this stage, where it differs from that of all lessons.

    The material is "episodes" of the teachers, loss on what they wrote; "reading": passages along
    gold paths, each twice, loss on everything; or "trajectories": the set that
    `lessons.trajectories` names, for `epochs` instead of `steps`, where that is not 0.
    """

    material: str = "episodes"
    examples: int = 24000
    renamed: float = 0.0
    guess: float | None = None
    epochs: float = 0.0
    steps: int = 1000
    lr: float = 1.0e-3


@dataclass
class LessonsSection:
    """Episodes of scripted teachers to learn from; shares are relative."""

    oracle: float = 0.38
    guess: float = 0.50
    wander: float = 0.12
    seed: int = 0
    stages: list[StageSection] = field(default_factory=lambda: [StageSection()])
    trajectories: str = ""


@dataclass
class TinySection:
    """Shape of a new tiny policy; see `medenv.integrations.hf.tiny_policy.TinyPolicyConfig`."""

    vocabulary: int = 2048
    hidden: int = 192
    layers: int = 4
    head_dim: int = 64
    context: int = 1024
    rope_theta: float = 1000.0
    initial_std: float = 0.05
    copying: bool = True
    seed: int = 0


@dataclass
class HardwareSection:
    """What the preset needs, and how its processes are started.

    `patience_seconds` is how long training may make no progress, `restarts` how often a trainer
    that failed after its first step is restarted from its newest checkpoint. `launch` stands before
    the trainer's command, e.g. [nice, -n, "5"] or [srun, --exclusive].
    """

    memory_gb: float = 0.0
    disk_gb: float = 0.0
    patience_seconds: float = 1800.0
    restarts: int = 2
    launch: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class MedEnvSection:
    """Everything under `medenv:`."""

    run: str = "default"
    root: str = "outputs"
    seed: int = 0
    world: WorldSection = field(default_factory=WorldSection)
    env: EnvSection = field(default_factory=EnvSection)
    patience: PatienceSection = field(default_factory=PatienceSection)
    scoring: ScoringSection = field(default_factory=ScoringSection)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)
    lessons: LessonsSection = field(default_factory=LessonsSection)
    tiny: TinySection = field(default_factory=TinySection)
    hardware: HardwareSection = field(default_factory=HardwareSection)
    policy: str = ""
    workspace: str | None = None


SECTIONS = {"medenv": MedEnvSection, "ablation": AblationSection}
"""The sections of a config that are ours, each at the root."""


def verl_config_dir() -> str:
    """Return the folder of verl's own configs, without importing verl.

    Raises:
        UsageError: verl is not installed.
    """
    spec = importlib.util.find_spec("verl")
    if spec is None or spec.origin is None:
        raise UsageError("verl is not installed: pip install 'medenv[verl]'")
    return str(Path(spec.origin).parent / "trainer" / "config")


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a config as plain data, interpolations resolved.

    Args:
        config: Any mapping of a config.
    """
    data = OmegaConf.to_container(config, resolve=True)
    if not isinstance(data, dict):
        raise UsageError(f"expected a mapping in the config, got {type(data).__name__}")
    return {str(key): value for key, value in data.items()}


def register_schema() -> None:
    """Make `${verl_config_dir:}` and our schemas known to Hydra; may be repeated."""
    OmegaConf.register_new_resolver("verl_config_dir", verl_config_dir, replace=True)
    store = ConfigStore.instance()
    for name, section in SECTIONS.items():
        store.store(f"{name}_schema", node=hydra_schema(section), package=name)


def check_config(config: DictConfig, tree: str = "ppo_trainer") -> None:
    """Refuse a composed config with a key that neither verl nor our schema knows.

    Args:
        config: The composed config.
        tree: Name of verl's own primary config.

    Raises:
        UsageError: Such a key, with the nearest one that exists.
    """
    check_verl_keys(config, verl_tree(tree), ADDED_KEYS)


def verl_tree(tree: str) -> DictConfig:
    """Compose verl's own tree, also from within a program that Hydra has started.

    Args:
        tree: Name of verl's own primary config.
    """
    outer = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(verl_config_dir(), version_base="1.3"):
            return compose(tree)
    finally:
        Singleton.set_state(outer)


def check_verl_keys(config: DictConfig, known: DictConfig, added: frozenset[str]) -> None:
    """Refuse keys that neither verl nor our schema knows.

    Args:
        config: The composed config.
        known: verl's own tree, composed alone.
        added: Dotted keys that verl reads though its tree does not list them.

    Raises:
        UsageError: A key that nobody knows, with the nearest one that exists.
    """
    names = set(keys_of(known))
    for key in keys_of(config, branches=False):
        if key.startswith(("medenv.", "ablation.", "hydra.")) or key in names:
            continue
        if any(key == other or key.startswith(f"{other}.") for other in added):
            continue
        if any(key.startswith(f"{name}.") and _is_open(known, name) for name in names):
            continue
        near = difflib.get_close_matches(key, names | added, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"verl has no config key {key!r}{hint}")


def _is_open(known: DictConfig, name: str) -> bool:
    """Whether verl leaves a mapping empty for anyone to fill."""
    node = OmegaConf.select(known, name)
    return isinstance(node, DictConfig) and len(node) == 0


def keys_of(node: DictConfig, *, branches: bool = True) -> Iterator[str]:
    """Yield the dotted keys of a config in their order, without resolving any value.

    Args:
        node: The config.
        branches: Whether to yield the keys of mappings besides those of values.
    """
    for name in node:
        inner = None if OmegaConf.is_missing(node, name) else node._get_node(name)
        if not isinstance(inner, DictConfig) or branches:
            yield str(name)
        if isinstance(inner, DictConfig):
            yield from (f"{name!s}.{key}" for key in keys_of(inner, branches=branches))
