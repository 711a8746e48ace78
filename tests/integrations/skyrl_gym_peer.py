"""Runs in a process with skyrl-gym: plays episodes; the turns are the JSON of the argument.

Prints one JSON object.
"""

import json
import sys

import skyrl_gym

from medenv.errors import UsageError
from medenv.integrations.skyrl_gym import MedEnvTextEnv, register, rows

turns = json.loads(sys.argv[1])
register("medenv-research", split="test")


def episode(row, texts):
    """One episode as SkyRL's generator plays it."""
    env = skyrl_gym.make(row["env_class"], env_config={}, extras=row)
    prompt, metadata = env.init(row["prompt"])
    before = env.get_metrics()
    steps = [env.step(text) for text in texts]
    env.close()
    return {
        "prompt": prompt,
        "question": metadata["question_id"],
        "steps": steps,
        "metrics": [before, env.get_metrics()],
        "turns": [env.turns, env.max_turns],
    }


def drawn(seed):
    """The question that a row without one draws."""
    env = skyrl_gym.make("medenv-research", env_config={}, extras={"seed": seed})
    return env.init([])[1]["question_id"]


def refused(extras):
    """What is said of a row that names no question of the environment."""
    try:
        skyrl_gym.make("medenv-research", extras=extras).init([])
    except UsageError as error:
        return str(error)
    return ""


made = rows("test", "medenv-research")
played = [episode(row, texts) for row, texts in zip(made, turns, strict=True)]
sys.stdout.write(
    json.dumps(
        {
            "rows": made,
            "played": played,
            "mean": MedEnvTextEnv.aggregate_metrics([one["metrics"][1] for one in played]),
            "drawn": [drawn(3), drawn(3), drawn(4)],
            "refused": refused({"question": "no such question"}),
        }
    )
)
