"""The process in which verl's trainer runs: `python -m medenv.integrations.verl.main CONFIG`.

The recipe composes and checks the config; this is verl's own entry point after that.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import ExitStack

from omegaconf import OmegaConf

from medenv.integrations.verl.fork_server import fork_server
from medenv.integrations.verl.imports import collect_rarely


def end_with_parent() -> None:
    """End this process when the one that started it is gone, even if that was killed.

    Ray's local cluster ends with its driver, so nothing trains on unattended.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        print("the recipe is gone: the trainer ends too", flush=True)  # noqa: T201 - into its log
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(path: str) -> None:
    """Train as the config file says.

    Args:
        path: A composed config, as YAML.
    """
    end_with_parent()
    collect_rarely()
    config = OmegaConf.load(path)
    with ExitStack() as stack:
        if config.trainer.device == "cpu" and not config.ray_kwargs.ray_init.get("address"):
            command = stack.enter_context(fork_server())
            config.ray_kwargs.ray_init.runtime_env.py_executable = command
        from verl.trainer.main_ppo import run_ppo
        from verl.trainer.ppo.utils import need_critic, need_reference_policy
        from verl.utils.config import validate_config
        from verl.utils.device import auto_set_device

        from medenv.integrations.verl.watch import WatchedTaskRunner

        auto_set_device(config)
        validate_config(
            config=config,
            use_reference_policy=need_reference_policy(config),
            use_critic=need_critic(config),
        )
        run_ppo(config, task_runner_class=WatchedTaskRunner)


if __name__ == "__main__":
    main(sys.argv[1])
