"""Any model behind a chat API as a research agent, through its own tool calling.

Run it with `BASE_URL=http://127.0.0.1:8000/v1 MODEL=... python examples/chat_agent.py`.
"""

import json
import os

import gymnasium
import httpx

from medenv.dialects import chat_messages, chat_tools

env = gymnasium.make("medenv:medenv/Research-v0", dialect="openai")
chat = httpx.Client(
    base_url=os.environ["BASE_URL"],
    headers={"authorization": f"Bearer {os.environ.get('API_KEY', 'none')}"},
    timeout=120,
)
env.reset(seed=0)
over = cut = False
while not (over or cut):
    body = {
        "model": os.environ["MODEL"],
        "messages": chat_messages(env.unwrapped.messages),
        "tools": chat_tools(env.unwrapped.rules.tools),
    }
    message = chat.post("/chat/completions", json=body).raise_for_status().json()
    seen, reward, over, cut, info = env.step(json.dumps(message["choices"][0]["message"]))
    print(seen or f"{info['ending']}: {env.unwrapped.episode.answer!r} earns {reward:.2f}")
