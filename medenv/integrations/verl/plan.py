"""Memory and disk that a training needs, computed before it starts.

Arithmetic, in bytes. With P parameters over N accelerators, FSDP2 keeps on each of them weights and
gradients of 4 bytes, two moments of Adam of 4 each, and, unless the optimizer is fused, a fifth
number while it steps: 16 or 20 P / N. A layer is gathered in bfloat16 as it is used. Of the T
tokens of a micro-batch, checkpointing keeps the input of each layer (2 T H L), and the output layer
its logits and their gradient (4 T V). The rollout engine takes the share of memory that it is
given, for its weights (2 P / tensor parallel size) and its cache (2 bytes a key and value). What
else takes memory, such as gaps between tensors, is not counted: a twentieth has to be free for it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from medenv.build.settings import TrainSettings
from medenv.integrations.hf.shapes import Shape, shape_of
from medenv.integrations.hydra.config import settings_of

GIB = 2**30
CHARACTERS = 4
"""Characters of a token of English, as a rule of thumb."""
_CONTEXT = 2.0
"""GiB that CUDA, NCCL and the engine's own buffers take."""
_AGENT_WORKER, _REWARD_WORKER, _STORAGE = 0.9, 0.5, 0.4
"""GiB of each process of verl beside the trainer's, measured on this project's environments."""
_FREE = 0.95
"""Share of an accelerator that may be planned."""


class Phase(NamedTuple):
    """The memory of each accelerator during one phase of a step.

    Attributes:
        name: What is done then.
        parts: What lies there, to its size, GiB.
    """

    name: str
    parts: dict[str, float]

    @property
    def total(self) -> float:
        """All of it, GiB."""
        return math.fsum(self.parts.values())


class TrainingPlan(NamedTuple):
    """Requirements of a training.

    Attributes:
        policy: The policy's name.
        parameters: Number of its parameters.
        accelerators: Number of accelerators, 0 where it runs on processors.
        each: Memory of each, GiB.
        phases: What lies on each of them, in the order of a step.
        memory: Memory of a node, to what it is for, GiB.
        disk: Space for checkpoints, GiB.
        step: Facts about one step, name to number.
        notes: What one should know.
        problems: Why it cannot run; none where it can.
    """

    policy: str
    parameters: int
    accelerators: int
    each: float
    phases: tuple[Phase, ...]
    memory: dict[str, float]
    disk: float
    step: dict[str, float]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def plan_of(config: DictConfig) -> TrainingPlan:
    """Work out what a composed training needs.

    Args:
        config: The composed config of `recipes/train.py`.

    Raises:
        UsageError: The policy's shape is not known, or a setting is out of range.
    """
    settings = settings_of(config, TrainSettings)
    shape = shape_of(settings.policy.path)
    machine = _Machine.of(config, settings)
    phases = _phases(config, shape, machine)
    step = _step(config, shape, machine)
    memory, disk = _memory(config, shape, machine), _disk(config, shape)
    problems = [
        *_too_large(phases, machine),
        *_indivisible(config, shape, machine),
        *_too_long(config, step, machine),
    ]
    return TrainingPlan(
        policy=settings.policy.path,
        parameters=shape.parameters,
        accelerators=machine.all if machine.each else 0,
        each=machine.each,
        phases=phases if machine.each else (),
        memory=memory,
        disk=disk,
        step=step,
        notes=tuple(_notes(config, settings, step)),
        problems=tuple(problems),
    )


class _Machine(NamedTuple):
    """The accelerators, and how the rollout engine shares them."""

    nodes: int
    by_node: int
    each: float
    parallel: int

    @property
    def all(self) -> int:
        return self.nodes * self.by_node

    @property
    def replicas(self) -> int:
        return max(1, self.all // self.parallel)

    @classmethod
    def of(cls, config: DictConfig, settings: TrainSettings) -> _Machine:
        rollout = config.actor_rollout_ref.rollout
        return cls(
            int(config.trainer.nnodes),
            int(config.trainer.n_gpus_per_node),
            settings.hardware.accelerator_gb,
            int(rollout.tensor_model_parallel_size),
        )


def _phases(config: DictConfig, shape: Shape, machine: _Machine) -> tuple[Phase, ...]:
    section, rollout = config.actor_rollout_ref, config.actor_rollout_ref.rollout
    fsdp = section.actor.fsdp_config
    held = shape.parameters / machine.all
    rank = int(section.model.lora_rank)
    trained = (shape.adapter(rank) if rank else shape.parameters) / machine.all
    gathered = 2 * 2 * shape.of_a_layer  # one is used while the next comes
    fused = bool(OmegaConf.select(section.actor, "optim.override_optimizer_config.fused"))
    tokens = int(section.actor.ppo_max_token_len_per_gpu)
    scored = int(rollout.log_prob_max_token_len_per_gpu or tokens)
    critic = _held("critic", held, held, config.critic.fsdp) if _has_critic(config) else {}
    waiting = _held("trainer", held, trained, fsdp)
    engine = float(rollout.gpu_memory_utilization) * machine.each * GIB
    weights = 2 * shape.parameters / machine.parallel
    if fsdp.offload_policy:
        waiting, states = {}, {}
    else:
        states = {
            "weights": 4 * held,
            "gradients": 4 * trained,
            "Adam's moments": 8 * trained,
            "Adam's step": 0.0 if fused else 4 * trained,
        }
    logits = 2.0 * shape.vocabulary
    optimizer = 0.0 if fsdp.optimizer_offload or fsdp.offload_policy else 8 * trained
    phases = {
        "generation": {
            "engine's weights": weights,
            "engine's cache": engine - weights - _CONTEXT * GIB,
            **waiting,
            **critic,
        },
        "log-probabilities": {
            "weights": 0.0 if fsdp.offload_policy else 4 * held,
            "Adam's moments": optimizer,
            "gathered layers": gathered,
            "logits": scored * logits,
            **critic,
        },
        "update": {
            **states,
            "gathered layers": gathered,
            "activations": tokens * _activations(config, shape),
            "logits and their gradient": tokens * 2 * logits,
            **critic,
        },
    }
    context = {"context": _CONTEXT}
    return tuple(
        Phase(name, {part: size / GIB for part, size in parts.items() if size} | context)
        for name, parts in phases.items()
    )


def _has_critic(config: DictConfig) -> bool:
    return str(config.algorithm.adv_estimator) == "gae"


def _held(whose: str, weights: float, trained: float, fsdp: DictConfig) -> dict[str, float]:
    """Return what stays on an accelerator while others work there, bytes."""
    return {
        f"{whose}'s weights": 0.0 if fsdp.param_offload else 4 * weights,
        f"{whose}'s moments": 0.0 if fsdp.optimizer_offload else 8 * trained,
    }


def _activations(config: DictConfig, shape: Shape) -> float:
    """Return the bytes of a token's activations while the policy is updated."""
    attention = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim
    of_a_layer = 2 * (4 * shape.hidden + attention + 3 * shape.inner)
    if config.actor_rollout_ref.model.enable_gradient_checkpointing:
        return 2 * shape.hidden * shape.layers + 2 * of_a_layer
    return of_a_layer * shape.layers


def _step(config: DictConfig, shape: Shape, machine: _Machine) -> dict[str, float]:
    rollout, data = config.actor_rollout_ref.rollout, config.data
    episodes = int(data.train_batch_size) * int(rollout.n)
    longest = int(data.max_prompt_length) + int(data.max_response_length)
    step = {
        "questions": float(data.train_batch_size),
        "episodes": float(episodes),
        "most tokens of an episode": float(longest),
        "updates": float(
            data.train_batch_size / config.actor_rollout_ref.actor.ppo_mini_batch_size
        ),
        "replicas of the rollout engine": float(machine.replicas),
    }
    if machine.each:
        free = float(rollout.gpu_memory_utilization) * machine.each - _CONTEXT
        cache = free * GIB * machine.parallel - 2 * shape.parameters
        fit = max(0.0, cache / (2 * shape.kv_values) / longest)
        step["whole episodes in its cache at once"] = math.floor(fit * machine.replicas)
    return step


def _memory(config: DictConfig, shape: Shape, machine: _Machine) -> dict[str, float]:
    rollout, fsdp = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor.fsdp_config
    share = shape.parameters * machine.by_node / machine.all
    away = 4 * share * bool(fsdp.param_offload) + 8 * share * bool(fsdp.optimizer_offload)
    if fsdp.offload_policy:
        away = 16 * share
    units = config.transfer_queue.backend.SimpleStorage.num_data_storage_units
    workers = (
        int(rollout.agent.num_workers) * _AGENT_WORKER
        + int(config.reward.num_workers) * _REWARD_WORKER
        + int(units) * _STORAGE
        + machine.by_node * _CONTEXT
    )
    return {
        "what the accelerators put away": away / GIB,
        "a checkpoint as it is exported": 6 * shape.parameters / GIB,
        "processes": workers,
    }


def _disk(config: DictConfig, shape: Shape) -> float:
    critic = 12 if _has_critic(config) else 0
    kept = config.trainer.max_actor_ckpt_to_keep
    return (16 + critic) * shape.parameters / GIB * float(2 if kept is None else kept)


def _too_large(phases: tuple[Phase, ...], machine: _Machine) -> list[str]:
    found, free = [], machine.each * _FREE
    for phase in phases if machine.each else ():
        if phase.parts.get("engine's cache", 0.0) < 0:
            found.append(
                "the rollout engine's weights are larger than its share of an accelerator: raise "
                "actor_rollout_ref.rollout.tensor_model_parallel_size or gpu_memory_utilization"
            )
        elif phase.total > free:
            found.append(
                f"{phase.name} takes {phase.total:.0f} of {free:.0f} GiB on each accelerator: "
                f"{_REMEDIES[phase.name]}"
            )
    return found


_REMEDIES = {
    "generation": "lower actor_rollout_ref.rollout.gpu_memory_utilization, or set "
    "actor_rollout_ref.actor.fsdp_config.param_offload=true and optimizer_offload=true",
    "log-probabilities": "lower actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu",
    "update": "take more accelerators, adapter=lora_r32, or "
    "actor_rollout_ref.actor.fsdp_config.offload_policy=true",
}


def _indivisible(config: DictConfig, shape: Shape, machine: _Machine) -> list[str]:
    found, parallel = [], machine.parallel
    if machine.all % parallel or (machine.by_node % parallel and parallel % machine.by_node):
        found.append(
            f"{machine.all} accelerators cannot be shared out by groups of {parallel}: set "
            "actor_rollout_ref.rollout.tensor_model_parallel_size to a divisor"
        )
    if shape.heads % parallel:
        found.append(
            f"the policy's {shape.heads} heads cannot be shared out among {parallel}: set "
            "actor_rollout_ref.rollout.tensor_model_parallel_size to a divisor"
        )
    batch, mini = (
        int(config.data.train_batch_size),
        config.actor_rollout_ref.actor.ppo_mini_batch_size,
    )
    if batch % int(mini):
        found.append(
            f"data.train_batch_size={batch} is no multiple of "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini}"
        )
    episodes = int(mini) * int(config.actor_rollout_ref.rollout.n)
    if episodes % machine.all:
        found.append(
            f"{episodes} episodes of an update cannot be shared out among {machine.all} "
            "accelerators: change actor_rollout_ref.actor.ppo_mini_batch_size"
        )
    return found


def _too_long(config: DictConfig, step: dict[str, float], machine: _Machine) -> list[str]:
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    longest, found = int(step["most tokens of an episode"]), []
    limit = int(actor.ppo_max_token_len_per_gpu) * int(actor.ulysses_sequence_parallel_size)
    if actor.use_dynamic_bsz and limit < longest:
        found.append(
            f"an episode of {longest:,} tokens is longer than a micro-batch of {limit:,}: raise "
            "actor_rollout_ref.actor.ppo_max_token_len_per_gpu, or lower data.max_response_length"
        )
    model = rollout.max_model_len
    if model is not None and int(model) < longest:
        found.append(
            f"an episode of {longest:,} tokens is longer than the rollout engine's {int(model):,}: "
            "raise actor_rollout_ref.rollout.max_model_len, or lower data.max_response_length"
        )
    if machine.each and not step["whole episodes in its cache at once"]:
        found.append("the rollout engine's cache does not hold one whole episode")
    return found


def _notes(config: DictConfig, settings: TrainSettings, step: dict[str, float]) -> list[str]:
    env, found = settings.env, []
    if env.budget.turns and env.turn_tokens:
        shown = max((_characters(options or {}) for options in env.tools.values()), default=0)
        wanted = env.budget.turns * env.turn_tokens + (env.budget.turns - 1) * shown // CHARACTERS
        room = int(config.data.max_response_length)
        if wanted > room:
            found.append(
                f"an episode of {env.budget.turns} turns, written and shown in full, takes some "
                f"{wanted:,} tokens; data.max_response_length={room:,} ends it before that"
            )
    waiting = step["episodes"] - step.get("whole episodes in its cache at once", math.inf)
    if waiting > 0:
        found.append(
            f"{waiting:,.0f} of {step['episodes']:,.0f} episodes would wait for room in the cache "
            "if all were as long as can be"
        )
    return found


def _characters(options: dict[str, object]) -> int:
    """Return how many characters a call of a tool shows at most."""

    def number(name: str, default: int) -> int:
        value = options.get(name, default)
        return value if isinstance(value, int) else default

    return max(number("window_chars", 0), number("k", 1) * number("snippet_chars", 0))
