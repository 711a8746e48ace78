"""Runs in a process with LangGraph: agents with a scripted model play episodes of medenv.

Prints one JSON object.
"""

import asyncio
import json
import sys

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic import Field

from medenv.build.environment import registered_parts
from medenv.errors import InfraError
from medenv.integrations.langgraph import Episode
from medenv.io import RetryPolicy
from medenv.tools.faults import Faulty

QUERY, ANSWER = "Night lake syndrome", "ZORI4"


def calls(*wanted):
    """A message of the model with calls of tools."""
    return AIMessage(
        "",
        tool_calls=[
            {"name": name, "args": args, "id": str(number)}
            for number, (name, args) in enumerate(wanted)
        ],
    )


class Scripted(GenericFakeChatModel):
    """A model that writes what is scripted, and notes the tools and the reward it could see."""

    episode: Episode
    bound: list = Field(default_factory=list)
    rewards: list = Field(default_factory=list)

    def bind_tools(self, tools, **_):
        self.bound[:] = tools
        return self

    def _generate(self, *given, **named):
        self.rewards.append(self.episode.reward)
        return super()._generate(*given, **named)


def agent(episode, *turns):
    """The model and an agent of LangChain that runs on LangGraph."""
    model = Scripted(messages=iter(turns), episode=episode)
    return model, create_agent(model, episode.tools())


def said(result):
    """The contents of the tools' messages."""
    return [message.content for message in result["messages"] if message.type == "tool"]


TURNS = calls(("search", {"query": QUERY})), calls(("answer", {"text": ANSWER})), AIMessage("Done.")


def known():
    """The known episode, played by an agent."""
    episode = Episode.begin(question="test:4")
    model, played = agent(episode, *TURNS)
    result = played.invoke({"messages": [HumanMessage(episode.question)]})
    return {
        "question": episode.question,
        "said": said(result),
        "rewards": [*model.rewards, episode.reward],
        "ending": episode.scored.trajectory.ending,
        "tools": [convert_to_openai_tool(tool)["function"] for tool in model.bound],
        "structured": all(isinstance(tool, StructuredTool) for tool in model.bound),
        "refused": [episode.tools()[-1].invoke({"text": "another"}), episode.reward],
    }


async def waited():
    """The known episode, played asynchronously, beside another one."""
    episodes = [Episode.begin(question="test:4") for _ in range(2)]
    played = [agent(one, *TURNS)[1] for one in episodes]
    asked = {"messages": [HumanMessage("go")]}
    results = await asyncio.gather(*(one.ainvoke(asked) for one in played))
    return {"said": [said(one) for one in results], "rewards": [one.reward for one in episodes]}


def node(episode, *wanted, **options):
    """A graph of one `ToolNode`, and a message with calls as its input."""
    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode(episode.tools(), **options))
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    return graph.compile(), {"messages": [calls(*wanted)]}


def parallel():
    """Calls of one message, which a `ToolNode` makes in threads, or awaits together."""
    queries = [QUERY, "Pale harbour anaemia", "nothing like it", QUERY, "marrow", "lake"]
    found = {}
    for way in ("threads", "tasks"):
        episode = Episode.begin(question="test:4")
        graph, given = node(episode, *(("search", {"query": query}) for query in queries))
        result = graph.invoke(given) if way == "threads" else asyncio.run(graph.ainvoke(given))
        episode.answer(ANSWER)
        texts = [turn.text for turn in episode.scored.trajectory.turns]
        found[way] = {"said": said(result), "turns": texts, "reward": episode.reward}
    return {"queries": queries} | found


def wrong():
    """Calls that are wrong, and what can be seen after them."""
    episode = Episode.begin(question="test:4", tools=["search"])
    wanted = [
        ("search", {"query": 7}),
        ("search", {}),
        ("search", {"query": "x", "self": 1, "config": 2, "run_manager": 3}),
        ("search", {"query": "nothing like it"}),
        ("nowhere", {"query": "x"}),
        ("answer", {}),
        ("answer", {"text": ["a"], "reward": 1}),
        ("answer", {"text": ""}),
    ]
    observations = []
    for one in wanted:
        graph, given = node(episode, one)
        observations += said(graph.invoke(given))
    tools = [repr(tool) + repr(tool.func) + tool.model_dump_json() for tool in episode.tools()]
    return {
        "said": observations,
        "ended": episode.ended,
        "reward": episode.reward,
        "scored": episode.scored,
        "tools": tools,
    }


def broken():
    """A tool of which the backend fails."""
    search = registered_parts("medenv/Research-v0").toolbox.tools["search"]
    faulty = Faulty(search, rate=1.0, kinds=["error"])
    parts = registered_parts("medenv/Research-v0", tools=[faulty])
    found = []
    for options in ({}, {"handle_tool_errors": True}):
        episode = Episode(parts, question="test:4", retries=RetryPolicy(attempts=2, backoff=0.0))
        graph, given = node(episode, ("search", {"query": QUERY}), **options)
        raised = []
        for step in (
            lambda graph=graph, given=given: graph.invoke(given),
            lambda episode=episode: episode.answer(ANSWER),
            lambda episode=episode: episode.reward,
        ):
            try:
                raised.append(["", str(step())])
            except InfraError as error:
                raised.append([type(error).__name__, str(error)])
        found.append(raised)
    return {"raised": found, "attempts": max(faulty._attempts.values())}


sys.stdout.write(
    json.dumps(
        {
            "known": known(),
            "waited": asyncio.run(waited()),
            "parallel": parallel(),
            "wrong": wrong(),
            "broken": broken(),
        }
    )
)
