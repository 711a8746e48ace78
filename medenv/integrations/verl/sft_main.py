"""The processes in which verl's SFT trainer runs, started by torchrun with a composed config."""

from __future__ import annotations

import sys

from omegaconf import OmegaConf


def main(path: str) -> None:
    """Train as the config file says.

    Args:
        path: A composed config, as YAML.
    """
    from verl.trainer.sft_trainer import run_sft
    from verl.utils.device import auto_set_device

    config = OmegaConf.load(path)
    auto_set_device(config)
    run_sft(config)


if __name__ == "__main__":
    main(sys.argv[1])
