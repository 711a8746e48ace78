"""An agent of smolagents that researches: `python examples/smolagents_agent.py [MODEL]`.

Its final answer is the answer of the episode. It needs `pip install 'medenv-rl[smolagents]'`. Rules
stand in for a model unless one is named; that is asked at the address in BASE_URL, with API_KEY,
and needs `pip install openai`.
"""

import os
import re
import sys
from typing import Any

from smolagents import LogLevel, Model, OpenAIModel, ToolCallingAgent
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
)

from medenv.build.environment import registered_parts
from medenv.integrations.smolagents import Episode


class StandIn(Model):
    """Searches what the question names, and answers with what a passage states."""

    def generate(self, messages: list[ChatMessage], *_: Any, **__: Any) -> ChatMessage:
        """Return a call of a tool."""
        asked, seen = (messages[number].content[0]["text"] for number in (1, -1))
        name, args = "search", {"query": (re.findall(r'"([^"]+)"', asked) or [asked])[0]}
        if len(messages) > 2:
            of_disease = re.search("which disease|one disease", asked, re.IGNORECASE)
            stated = "Reported in|Associated diseases?" if of_disease else "Associated genes?"
            facts = re.search(rf"(?:{stated}): ([^.;]+)", seen)
            name, args = "final_answer", {"answer": facts[1] if facts else "unknown"}
        call = ChatMessageToolCallFunction(name=name, arguments=args)
        made = ChatMessageToolCall(id=str(len(messages)), type="function", function=call)
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[made])


model: Model = StandIn()
if len(sys.argv) > 1:
    url, key = os.environ["BASE_URL"], os.environ.get("API_KEY", "none")
    model = OpenAIModel(sys.argv[1], api_base=url, api_key=key)
parts, rewards = registered_parts("medenv/Research-v0", split="test"), []
for number in range(len(parts.questions)):
    episode = Episode(parts, question=number)
    agent = ToolCallingAgent(
        tools=episode.tools(),
        model=model,
        step_callbacks=[episode.stop_if_failed],
        verbosity_level=LogLevel.OFF,
    )
    answer = agent.run(episode.question)
    rewards.append(episode.reward or 0.0)
    print(f"{rewards[-1]:5.2f}  {answer:24}  {episode.question[:80]}")
print(f"mean reward {sum(rewards) / len(rewards):.2f} over {len(rewards)} episodes")
