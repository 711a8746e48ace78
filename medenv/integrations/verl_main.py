"""The process in which verl's trainer runs: `python -m medenv.integrations.verl_main CONFIG`.

The recipe composes and checks the config; this is verl's own entry point after that.
"""

from __future__ import annotations

import sys

from omegaconf import OmegaConf


def main(path: str) -> None:
    """Train as the config file says.

    Args:
        path: A composed config, as YAML.
    """
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config
    from verl.utils.device import auto_set_device

    config = OmegaConf.load(path)
    auto_set_device(config)
    validate_config(
        config=config,
        use_reference_policy=need_reference_policy(config),
        use_critic=need_critic(config),
    )
    run_ppo(config, task_runner_class=TaskRunnerV1)


if __name__ == "__main__":
    main(sys.argv[1])
