"""What verl's algorithms need of the groups of rollouts that they train on."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from medenv.errors import UsageError
from medenv.integrations.verl.estimators import (
    BY_TOKEN,
    GDPO,
    TURN_GRPO,
    UNFED,
    compares_within_groups,
)


def check_algorithm(config: DictConfig) -> None:
    """Refuse a training that would run and learn from something else than it says.

    Args:
        config: The composed config.

    Raises:
        UsageError: Settings that contradict each other.
    """
    rollout, algorithm = config.actor_rollout_ref.rollout, config.algorithm
    n, estimator = int(rollout.n), str(algorithm.adv_estimator)
    if estimator in UNFED:
        raise UsageError(
            f"algorithm.adv_estimator={estimator} needs values that verl's trainer does not hand "
            "to it, and would fail after the first rollouts: choose another algo"
            + " (algo=gdpo has our own)"
            * (estimator == "gdpo")
        )
    if compares_within_groups(estimator) and n < 2:
        raise UsageError(
            f"algorithm.adv_estimator={estimator} compares the rollouts of one question, of which "
            f"there is {n}: set actor_rollout_ref.rollout.n to 2 or more, or choose algo=ppo"
        )
    if OmegaConf.select(config, "algorithm.filter_groups.enable") and n < 2:
        raise UsageError(
            "algorithm.filter_groups compares the rollouts of one question, of which there is "
            f"{n}: set actor_rollout_ref.rollout.n to 2 or more"
        )
    if config.scoring.turn_rewards and estimator not in BY_TOKEN:
        raise UsageError(
            f"algorithm.adv_estimator={estimator} adds up the rewards of an episode, so that "
            "scoring.turn_rewards would change nothing: choose algo=ppo or "
            f"algorithm.adv_estimator={TURN_GRPO}"
        )
    if estimator == TURN_GRPO and OmegaConf.select(
        config, "algorithm.rollout_correction.rollout_rs"
    ):
        raise UsageError(
            f"algorithm.adv_estimator={TURN_GRPO} finds turns by the response mask, out of which "
            "algorithm.rollout_correction.rollout_rs takes tokens: set it to null"
        )
    if estimator == GDPO:
        _check_parts(config)
    if config.scoring.shuffle_seed is not None and n * int(config.data.train_batch_size) < 2:
        raise UsageError(
            "scoring.shuffle_seed deals the rewards of a step out at random, and a step has "
            "one episode: set data.train_batch_size to 2 or more"
        )
    for name in ("rollout_is", "rollout_rs", "bypass_mode"):
        asked = OmegaConf.select(config, f"algorithm.rollout_correction.{name}")
        if asked and not rollout.calculate_log_probs:
            raise UsageError(
                f"algorithm.rollout_correction.{name}={asked} needs the rollout server's "
                "log-probabilities: set actor_rollout_ref.rollout.calculate_log_probs=true"
            )


def _check_parts(config: DictConfig) -> None:
    """Refuse what changes the sum of a reward's parts, where the parts are compared."""
    changes = {
        "scoring.shuffle_seed": config.scoring.shuffle_seed is not None,
        "algorithm.use_kl_in_reward": bool(config.algorithm.use_kl_in_reward),
    }
    for name in (name for name, asked in changes.items() if asked):
        raise UsageError(
            f"algorithm.adv_estimator={GDPO} compares the parts of rewards, and {name} changes "
            "their sum alone: leave it out, or choose algo=grpo"
        )
