# pip: gem-llm==0.1.0 datasets requests
"""GEM: its question environment with a search tool answered in process."""

import json
import statistics
import time

from datasets import Dataset
from gem.envs.qa_env import QaEnv
from gem.tools.search_tool import SearchTool
from gem.tools.tool_env_wrapper import ToolEnvWrapper

TURNS = ["<search>marfan</search>", "<search>gene</search>", "<answer>FBN1</answer>"]
ASKED = Dataset.from_dict({"question": ["which gene?"] * 100, "answer": ["FBN1"] * 100})


class Local(SearchTool):
    """Finds the same text always."""

    def _search(self, *_):
        return "sentence " * 330


env = ToolEnvWrapper(
    QaEnv(dataset=ASKED, seed=0), [Local(search_url="http://127.0.0.1:9")], max_tool_uses=10
)


def run():
    begun = time.perf_counter()
    for _ in range(2000):
        env.reset()
        for turn in TURNS:
            env.step(turn)
    return 6000 / (time.perf_counter() - begun)


print(json.dumps({"steps/s, one process": statistics.median(run() for _ in range(5))}))
