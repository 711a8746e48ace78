"""Runs in a process with OpenEnv: plays and validates the server at the address of the argument.

Prints one JSON object.
"""

import asyncio
import json
import sys
from types import SimpleNamespace

from openenv.cli._validation import validate_running_environment
from openenv.core.generic_client import GenericEnvClient
from openenv.validation.graders.runtime import basic
from openenv.validation.runtime.collector import collect_runtime_evidence
from openenv.validation.runtime.contracts import RuntimePlan

url, seed, *texts = sys.argv[1:]


def episode():
    """One episode through the synchronous client; reset, steps, states."""
    with GenericEnvClient(base_url=url) as env:
        results = [env.reset(seed=int(seed), episode_id="sync")]
        states = [env.state()]
        for text in texts:
            results.append(env.step({"text": text, "metadata": {"any": 1}}))
            states.append(env.state())
    return [[r.observation, r.reward, r.done, r.metadata] for r in results], states


async def many():
    """Thirty-two episodes at once through the asynchronous client."""

    async def one(number):
        async with GenericEnvClient(base_url=url) as env:
            await env.reset(seed=number)
            for text in texts:
                result = await env.step({"text": text})
            return result.reward

    return await asyncio.gather(*map(one, range(32)))


def errors():
    """What the client raises for a wrong action, and for a step after the end."""
    found = []
    with GenericEnvClient(base_url=url) as env:
        env.reset()
        for action in ({"txt": "?"}, {"text": texts[-1]}, {"text": "once more"}):
            try:
                env.step(action)
            except RuntimeError as error:
                found.append(str(error))
    return found


def graded():
    """The verdicts of OpenEnv's graders of a running environment."""
    plan = RuntimePlan.model_validate(
        {
            "plan_schema_version": "1",
            "reset": {"episode_id": "graded", "seed": int(seed), "options": {"split": "test"}},
            "actions": [{"text": text} for text in texts],
        }
    )
    evidence = collect_runtime_evidence(url, plan, episode_timeout_s=20.0)
    reward = SimpleNamespace(range=(0.0, 2.0))
    subject = SimpleNamespace(runtime_evidence=evidence, manifest=SimpleNamespace(reward=reward))
    graders = (
        basic.RewardWellFormedGrader(),
        basic.ObservationSchemaGrader(),
        basic.StateContractGrader(),
    )
    return {
        one.check_id: [result.status.value, result.evidence]
        for one in graders
        for result in [one.run(subject)]
    }


results, states = episode()
sys.stdout.write(
    json.dumps(
        {
            "results": results,
            "states": states,
            "rewards": asyncio.run(many()),
            "errors": errors(),
            "graded": graded(),
            "validated": validate_running_environment(url),
        }
    )
)
