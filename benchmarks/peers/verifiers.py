# pip: verifiers==0.1.14
"""verifiers: its tool environment with a scripted client and a tool answered in process."""

import asyncio
import json
import logging
import statistics
import time
from itertools import count

import verifiers as vf
from datasets import Dataset
from verifiers.clients.client import Client
from verifiers.types import Response, ResponseMessage, ToolCall

logging.disable(logging.CRITICAL)
ROLLOUTS = 200
ASKED = Dataset.from_dict({"question": ["which gene?"] * ROLLOUTS, "answer": ["FBN1"] * ROLLOUTS})
NUMBERS = count()


class Scripted(Client):
    """Calls the tool twice, then answers."""

    def setup_client(self, config):
        return None

    async def to_native_tool(self, tool):
        return tool

    async def to_native_prompt(self, messages):
        return messages, {}

    async def get_native_response(self, prompt, model, sampling_args, tools=None, **_):
        asked = sum(message.role == "assistant" for message in prompt)
        if asked == 2:
            return ResponseMessage(content="FBN1", finish_reason="stop", is_truncated=False)
        call = ToolCall(id=f"call-{asked}", name="search", arguments='{"query": "marfan"}')
        return ResponseMessage(tool_calls=[call], finish_reason="tool_calls", is_truncated=False)

    async def raise_from_native_response(self, response):
        pass

    async def from_native_response(self, response):
        return Response(id=str(next(NUMBERS)), created=0, model="scripted", message=response)

    async def close(self):
        pass


async def search(query: str) -> str:
    """Find passages.

    Args:
        query: What is looked for.
    """
    return "sentence " * 330


def right(completion, answer, **_):
    return float(completion[-1].content == answer)


env = vf.ToolEnv(tools=[search], dataset=ASKED, rubric=vf.Rubric(funcs=[right]), max_turns=4)
inputs = [dict(row) for row in env.get_dataset()]


async def run(concurrency):
    begun = time.perf_counter()
    done = await env.generate(
        inputs, client=Scripted(None), model="scripted", max_concurrent=concurrency
    )
    if any(one["reward"] != 1.0 for one in done["outputs"]):
        raise SystemExit("a rollout was not scored 1")
    return 3 * ROLLOUTS / (time.perf_counter() - begun)


def median(concurrency):
    return statistics.median(asyncio.run(run(concurrency)) for _ in range(5))


print(json.dumps({"steps/s, one process": median(1), "steps/s, 32 at once": median(32)}))
