"""A LangGraph agent that researches: `python examples/langgraph_agent.py [MODEL]`.

The graph is LangGraph's usual one, a model and a `ToolNode` that take turns, until the episode has
ended. It needs `pip install 'medenv-rl[langgraph]'`. Rules stand in for a model unless one is
named, such as `openai:NAME`, which needs `langchain` and the package of its provider.
"""

import re
import sys

from langchain_core.messages import AIMessage, AnyMessage, SystemMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode

from medenv.build.environment import registered_parts
from medenv.integrations.langgraph import INSTRUCTIONS, Episode


def stand_in(messages: list[AnyMessage]) -> AIMessage:
    """Search what the question names, and answer with what a passage states."""
    asked = messages[1].text
    name, args = "search", {"query": (re.findall(r'"([^"]+)"', asked) or [asked])[0]}
    if messages[-1].type == "tool":
        of_disease = re.search("which disease|one disease", asked, re.IGNORECASE)
        stated = "Reported in|Associated diseases?" if of_disease else "Associated genes?"
        facts = re.search(rf"(?:{stated}): ([^.;]+)", messages[-1].text)
        name, args = "answer", {"text": facts[1] if facts else "unknown"}
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": str(len(messages))}])


def agent_of(episode: Episode) -> CompiledStateGraph:
    """Return the agent that plays an episode."""
    think = stand_in
    if len(sys.argv) > 1:
        from langchain.chat_models import init_chat_model

        think = init_chat_model(sys.argv[1]).bind_tools(episode.tools()).invoke
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [think(state["messages"])]})
    graph.add_node("tools", ToolNode(episode.tools()))
    graph.add_edge(START, "model")
    graph.add_conditional_edges(
        "model", lambda state: "tools" if state["messages"][-1].tool_calls else END
    )
    graph.add_conditional_edges("tools", lambda _: END if episode.ended else "model")
    return graph.compile()


parts, rewards = registered_parts("medenv/Research-v0", split="test"), []
for number in range(len(parts.questions)):
    episode = Episode(parts, question=number)
    agent = agent_of(episode)
    agent.invoke({"messages": [SystemMessage(INSTRUCTIONS), ("user", episode.question)]})
    rewards.append(episode.reward or 0.0)
    print(f"{rewards[-1]:5.2f}  {episode.question[:80]}")
print(f"mean reward {sum(rewards) / len(rewards):.2f} over {len(rewards)} episodes")
