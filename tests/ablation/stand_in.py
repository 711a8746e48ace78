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

from medenv.build.prepare import ENVIRONMENT, load_environment
from medenv.io import write_records
from medenv.rollouts.policies import Texts


def evaluate(folder):
    """Every test question, answered rightly and wrongly in turns."""
    env = load_environment(str(folder / ENVIRONMENT))
    questions = [one for one in env.parts.questions if one.split == "test"]
    played = []
    for number, question in enumerate(questions):
        answer = question.answers[0].name if number % 2 else "nobody knows"
        policy = Texts([env.parts.rules.dialect.write_answer(answer)]).begin(question)
        played.append(env.driver().run(policy, question))
    return played


def main(path):
    config = OmegaConf.load(path)
    folder = Path(config.root) / config.run
    (folder / f"pid-{os.getpid()}").touch()
    with Path(os.environ["VERL_FILE_LOGGER_PATH"]).open("a") as metrics:
        for step in range(1, config.trainer.total_training_steps + 1):
            data = {"reward/accuracy/raw": 0.1 * step, "reward/total": 0.2 * step}
            if step == config.trainer.total_training_steps:
                file = folder / "rollouts" / "val-sampled" / f"{step:06d}.jsonl"
                write_records(file, evaluate(folder))
                data["val-core/medenv/sampled/acc/mean@1"] = 0.5
            metrics.write(json.dumps({"step": step, "data": data}) + "\n")
            if os.environ["STOP_RUN"] == config.run and Path(os.environ["STOP_FILE"]).exists():
                raise RuntimeError("out of memory")


if __name__ == "__main__":
    main(sys.argv[-1])
