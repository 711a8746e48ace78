"""Runs in a process with verifiers: episodes in Python, then its own evaluation.

Writes what it found in Python to the file of the first argument; the second is the address of the
model, and the others are the arguments of the evaluation.
"""

import asyncio
import json
import sys
from pathlib import Path

import verifiers.v1 as vf
from verifiers.v1.cli.eval.main import main

from medenv.errors import UsageError
from medenv.integrations.verifiers import load_environment
from medenv.tools.faults import Faulty

target, url, *arguments = sys.argv[1:]


def refused():
    """What is said of a dialect without text."""
    try:
        load_environment(dialect="openai")
    except UsageError as error:
        return str(error)
    return ""


async def episode(env):
    """One episode: whether it went well, its errors, and the rewards of its traces."""
    context = vf.ModelContext(model="scripted", client=vf.EvalClientConfig(base_url=url))
    async with env.serving():
        played = await env.run_episode(next(iter(env.taskset)), context)
    return {
        "ok": played.ok,
        "errors": [[error.type, error.message] for error in played.errors],
        "rewards": [{n: r.score for n, r in trace.rewards.items()} for trace in played.traces],
        "stopped": [trace.stop_condition for trace in played.traces],
    }


def limited(**changes):
    """The default environment with other settings of the policy."""
    env = load_environment()
    env.config.agent = env.config.agent.model_copy(update=changes)
    return env


made = load_environment(split="train", tools=["search"])
search = made.taskset.parts.toolbox.tools["search"]
tasks = list(made.taskset)
found = {
    "tools": sorted(made.taskset.parts.toolbox.tools),
    "tasks": [task.data.id for task in tasks],
    "data": tasks[0].data.model_dump(mode="json"),
    "refused": refused(),
    "broken": asyncio.run(episode(load_environment(tools=[Faulty(search, rate=1.0)]))),
    "limited": asyncio.run(episode(limited(max_turns=1))),
}
Path(target).write_text(json.dumps(found))
main(arguments)
