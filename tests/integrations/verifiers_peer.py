"""Runs in a process with verifiers: its own evaluation, with the arguments of the command line.

Writes to the file of the first argument what an environment made in Python is.
"""

import json
import sys
from pathlib import Path

from verifiers.v1.cli.eval.main import main

from medenv.errors import UsageError
from medenv.integrations.verifiers import load_environment

target, *arguments = sys.argv[1:]
env = load_environment(split="train", tools=["search"])
tasks = list(env.taskset)
try:
    load_environment(dialect="openai")
except UsageError as error:
    refused = str(error)
made = {
    "tools": sorted(env.taskset.parts.toolbox.tools),
    "tasks": [task.data.id for task in tasks],
    "data": tasks[0].data.model_dump(mode="json"),
    "refused": refused,
}
Path(target).write_text(json.dumps(made))
main(arguments)
