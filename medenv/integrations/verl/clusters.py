"""A training over a Ray cluster that runs already: `ray_kwargs.ray_init.address=auto`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

_OF_OWN_CLUSTER = (
    *("num_cpus", "num_gpus", "resources", "object_store_memory"),
    *("include_dashboard", "dashboard_host", "dashboard_port"),
)
"""Settings of Ray's for a cluster that it starts itself, which it refuses beside an address."""


def fit_to_cluster(config: DictConfig) -> None:
    """Fit a config to the cluster that it names; one that names none is left as it is.

    What a preset says of a cluster of its own is dropped. Paths become absolute, since processes
    on other nodes run in other folders; the root is to be a folder that all nodes share.

    Args:
        config: The composed config, which is changed.
    """
    if OmegaConf.select(config, "ray_kwargs.ray_init.address") is None:
        return
    with open_dict(config):
        for name in _OF_OWN_CLUSTER:
            config.ray_kwargs.ray_init.pop(name, None)
        config.root = str(Path(config.root).absolute())
        if Path(config.policy.path).exists():
            config.policy.path = str(Path(config.policy.path).absolute())


def with_environment(config: DictConfig, variables: Mapping[str, str]) -> DictConfig:
    """Return a config whose workers have environment variables, on whatever node they are.

    Processes of a cluster's nodes inherit nothing of the trainer's. Variables that the config has
    for Ray's workers already stay as they are.

    Args:
        config: The composed config.
        variables: What the workers are to have.
    """
    told = config.copy()
    if OmegaConf.select(config, "ray_kwargs.ray_init.address") is not None:
        with open_dict(told):
            key = "ray_kwargs.ray_init.runtime_env.env_vars"
            given = OmegaConf.select(config, key) or {}
            OmegaConf.update(told, key, {**variables, **given}, force_add=True)
    return told
