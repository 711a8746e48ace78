"""Stands in for verl's trainer at the border of its process: the same files, no learning.

    python stand_in.py <the trainer's command> <config.yaml>

Episodes are really played and really scored, by a policy that knows every second answer. It saves
no checkpoint. Where the config's environment names the run in STOP_RUN it fails after its first
step, as long as the file STOP_FILE exists.
"""

import json
import os
import sys
from pathlib import Path

from omegaconf import OmegaConf

from medenv.build.workspace import Workspace
from medenv.integrations.hydra.config import plain
from medenv.integrations.verl.training_env import load_training_env
from medenv.io import write_records
from medenv.kg import read_questions
from medenv.rollouts.policies import Texts


def evaluate(section):
    """Every held-out question, answered rightly and wrongly in turns."""
    world = load_training_env(section)
    rollouts = world.driver(0)
    questions = read_questions(Workspace.open(section["workspace"]).questions("test"))
    played = []
    for number, question in enumerate(questions):
        answer = question.answers[0].name if number % 2 else "nobody knows"
        policy = Texts([world.rules.dialect.write_answer(answer)]).begin(question)
        played.append(rollouts.run(policy, question))
    return played


def main(path):
    config = OmegaConf.load(path)
    section = plain(config.medenv)
    folder = Path(section["root"]) / section["run"]
    (folder / f"pid-{os.getpid()}").touch()
    with Path(os.environ["VERL_FILE_LOGGER_PATH"]).open("a") as metrics:
        for step in range(1, config.trainer.total_training_steps + 1):
            data = {"reward/accuracy/raw": 0.1 * step, "reward/total": 0.2 * step}
            if step == config.trainer.total_training_steps:
                file = folder / "rollouts" / "val-sampled" / f"{step:06d}.jsonl"
                write_records(file, evaluate(section))
                data["val-core/medenv/sampled/acc/mean@1"] = 0.5
            metrics.write(json.dumps({"step": step, "data": data}) + "\n")
            if os.environ["STOP_RUN"] == section["run"] and Path(os.environ["STOP_FILE"]).exists():
                raise RuntimeError("out of memory")


if __name__ == "__main__":
    main(sys.argv[-1])
