"""Play episodes of a served environment with OpenEnv's own client.

Start `medenv serve env`, then run it with `python examples/openenv_client.py http://127.0.0.1:8000`;
it needs `pip install openenv`, and a token in MEDENV_TOKEN where the server has one.
"""

import os
import re
import sys

from openenv.core.generic_client import GenericEnvClient

token = os.environ.get("MEDENV_TOKEN")
headers = {"Authorization": f"Bearer {token}"} if token else None
rewards = []
with GenericEnvClient(base_url=sys.argv[1], headers=headers) as env:
    for seed in range(8):
        asked = env.reset(seed=seed).observation["messages"][-1]["content"]
        topic = re.search(r'"([^"]+)"|(?:gene|with|of|in) ([A-Z][^?,.]+?)(?:[?,.]|$)', asked)
        found = (topic[1] or topic[2]) if topic else asked
        for pattern in (
            r"(?:Reported in|Associated diseases?): ([^.;]+)",
            r"Associated genes?: (\w+)",
        ):
            call = f'{{"name": "search", "arguments": {{"query": "{found}"}}}}'
            seen = env.step({"text": f"<tool_call>{call}</tool_call>"}).observation["text"]
            facts = re.search(pattern, seen)
            found = facts[1].strip() if facts else found
            if "gene is" not in asked and "the gene that" not in asked:
                break
        result = env.step({"text": f"<answer>{found}</answer>"})
        rewards.append(result.reward)
        print(f"{result.reward:5.2f}  {result.metadata['ending']}  {asked[:80]}")
print(f"mean reward {sum(rewards) / len(rewards):.2f} over {len(rewards)} episodes")
