"""Runs in a process with smolagents: agents with a scripted model play episodes of medenv.

Prints one JSON object.
"""

import json
import sys

from smolagents import CodeAgent, LogLevel, Tool, ToolCallingAgent
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
    get_tool_json_schema,
)

from medenv.build.environment import registered_parts
from medenv.errors import InfraError
from medenv.integrations.episode_tools import ToolEpisode
from medenv.integrations.smolagents import Episode
from medenv.io import RetryPolicy
from medenv.records import Question
from medenv.tools import FunctionTool
from medenv.tools.faults import Faulty

QUERY, ANSWER = "Night lake syndrome", "ZORI4"


class Scripted(Model):
    """A model that writes what is scripted: code, or calls; notes the reward it could see."""

    def __init__(self, episode, *turns):
        super().__init__(model_id="scripted")
        self.episode, self.turns, self.rewards, self.tools = episode, list(turns), [], []

    def generate(self, messages, stop_sequences=None, tools_to_call_from=None, **_):
        try:
            self.rewards.append(self.episode.reward)
        except InfraError as error:
            self.rewards.append(str(error))
        self.tools = [get_tool_json_schema(one)["function"] for one in tools_to_call_from or ()]
        turn = self.turns.pop(0) if self.turns else [("final_answer", {"answer": "at last"})]
        if isinstance(turn, str):
            return ChatMessage(role=MessageRole.ASSISTANT, content=f"<code>\n{turn}\n</code>")
        calls = [
            ChatMessageToolCall(
                id=str(number),
                type="function",
                function=ChatMessageToolCallFunction(name=name, arguments=arguments),
            )
            for number, (name, arguments) in enumerate(turn)
        ]
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=calls)


def play(episode, *turns, kind=ToolCallingAgent, **options):
    """Play an episode: what came of it, and what each step showed."""
    model = Scripted(episode, *turns)
    agent = kind(tools=episode.tools(), model=model, verbosity_level=LogLevel.OFF, **options)
    raised = ""
    try:
        output = agent.run(episode.question)
    except InfraError as error:
        output, raised = None, str(error)
    steps = [step for step in agent.memory.steps if hasattr(step, "observations")]
    try:
        reward = episode.reward
    except InfraError as error:
        reward = type(error).__name__
    return {
        "output": output,
        "raised": raised,
        "said": [step.observations for step in steps],
        "errors": [step.error and f"{type(step.error).__name__}: {step.error}" for step in steps],
        "rewards": [*model.rewards, reward],
        "tools": model.tools,
    }


def known():
    """The known episode, by calls and by code, and an answer after its end."""
    search = [("search", {"query": QUERY})]
    found = {}
    for name, kind, turns in (
        ("calls", ToolCallingAgent, (search, [("final_answer", {"answer": ANSWER})])),
        ("code", CodeAgent, (f"print(search({QUERY!r}))", f"final_answer({ANSWER!r})")),
    ):
        episode = Episode.begin(question="test:4")
        found[name] = play(episode, *turns, kind=kind)
        *_, last = episode.tools()
        found[name]["refused"] = [last("another"), episode.reward]
        found[name]["ending"] = episode.scored.trajectory.ending
    return found


def parallel():
    """Calls of one message, which smolagents makes in threads."""
    queries = [QUERY, "Pale harbour anaemia", "nothing like it", "marrow"]
    episode = Episode.begin(question="test:4")
    played = play(
        episode,
        [("search", {"query": query}) for query in queries],
        [("final_answer", {"answer": ANSWER})],
    )
    texts = [turn.text for turn in episode.scored.trajectory.turns]
    return {"queries": queries, "turns": texts} | played


def wrong():
    """Calls that are wrong, then an answer."""
    calls = [
        ("search", {"query": 7}),
        ("search", {}),
        ("search", {"query": "x", "nonsense": 1}),
        ("nowhere", {"query": "x"}),
        ("final_answer", {"answer": ["a"]}),
        ("final_answer", {"answer": ""}),
        ("read", {"passage_id": "nowhere", "start": None, "find": None}),
    ]
    code = ["search(7)", "search('x', 'y')", "search(1, nonsense=2)", "final_answer({})"]
    return {
        "calls": play(Episode.begin(question="test:4"), *([one] for one in calls)),
        "code": play(Episode.begin(question="test:4"), *code, "final_answer(7)", kind=CodeAgent),
    }


def broken():
    """A tool of which the backend fails, with and without the callback that ends the run."""
    search = registered_parts("medenv/Research-v0").toolbox.tools["search"]
    parts = registered_parts(
        "medenv/Research-v0", tools=[Faulty(search, rate=1.0, kinds=["error"])]
    )
    found = {}
    for name, kind, turn in (
        ("calls", ToolCallingAgent, [("search", {"query": QUERY})]),
        ("code", CodeAgent, f"search({QUERY!r})"),
    ):
        for stops in (False, True):
            episode = Episode(parts, question="test:4", retries=RetryPolicy(attempts=1))
            callbacks = {"step_callbacks": [episode.stop_if_failed]} if stops else {}
            found[f"{name}, {stops}"] = play(episode, turn, kind=kind, max_steps=3, **callbacks)
    return found


def exhausted():
    """An episode whose budget ends before the answer."""
    episode = Episode.begin(question="test:4", budget={"turns": 1})
    calls = ("search", {"query": QUERY}), ("final_answer", {"answer": ANSWER})
    return play(episode, *([one] for one in calls))


class Careless(Tool):
    """A tool that leads to its episode, for a check of the search for one."""

    name, description, inputs, output_type = "careless", "Leads to it.", {}, "string"

    def __init__(self, episode):
        super().__init__()
        self.episode = episode

    def forward(self):
        return ""


def reachable(tools, depth=4):
    """Whether attributes without dunders lead from tools to the episode, for code of an agent."""
    seen, edge = set(), list(tools)
    for _ in range(depth):
        names = [(one, name) for one in edge for name in dir(one) if not name.startswith("__")]
        edge = []
        for one, name in names:
            value = getattr(one, name, None)
            if isinstance(value, ToolEpisode | Question):
                return True
            if value is not None and id(value) not in seen:
                seen.add(id(value))
                edge.append(value)
    return False


def spied():
    """What code of an agent finds out about the answer from its tools."""
    episode = Episode.begin(question="test:4")
    spies = [
        "print(search.forward.__closure__)",
        "print(search.__call__.__globals__)",
        "print(search.forward.__closure__[0].cell_contents._env.episode.question.answers)",
        "print(getattr(search.forward, '__closure__'))",
        "print(final_answer.__closure__)",
        "print([name for name in dir(search)])",
    ]
    played = play(episode, *spies, f"final_answer({ANSWER!r})", kind=CodeAgent)
    fresh = Episode.begin(question="test:4")
    return played | {
        "reachable": reachable(fresh.tools()),
        "careless": reachable([Careless(fresh)]),
        "shown": [str(vars(one)) + one.to_code_prompt() for one in fresh.tools()],
    }


@FunctionTool
def chart(kind: str | None, sizes: list[int], wide: bool | int = True, scale: float = 1.0) -> str:
    """Draw a chart.

    Args:
        kind: Its kind.
        sizes: The sizes.
    """
    return f"{kind} {sizes} {wide} {scale}"


def typed():
    """A tool with parameters of several types, and how a call of it comes through."""
    episode = Episode.begin(tools=[chart])
    tool, _ = episode.tools()
    calls = [{"kind": None, "sizes": [1, 2], "wide": None}, {"kind": "x", "sizes": [], "scale": 2}]
    played = play(episode, *([("chart", one)] for one in calls))
    return {"inputs": tool.inputs, "said": played["said"], "errors": played["errors"]}


sys.stdout.write(
    json.dumps(
        {
            "known": known(),
            "parallel": parallel(),
            "wrong": wrong(),
            "broken": broken(),
            "exhausted": exhausted(),
            "spied": spied(),
            "typed": typed(),
        }
    )
)
