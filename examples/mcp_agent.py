"""An agent over MCP: it begins an episode, searches what the question names, and answers.

    python examples/mcp_agent.py                              # starts `medenv serve mcp` itself
    python examples/mcp_agent.py http://127.0.0.1:8001/mcp    # or talks to one that runs

Any MCP client does the same, a language model's host included: `medenv serve mcp` over stdio is the
command to give it.
"""

import asyncio
import re
import sys

from mcp import Client, StdioServerParameters

OWN = StdioServerParameters(command=sys.executable, args=["-m", "medenv.cli", "serve", "mcp"])


async def play(client: Client, index: int) -> None:
    """Play the episode of one question."""
    begun = await client.call_tool("begin_episode", {"split": "test", "index": index})
    episode = begun.structured_content["episode"]
    question = begun.content[0].text.split("\n\nepisode:")[0].splitlines()[-1]
    topic = re.search(r'"([^"]+)"|(?:gene|with) ([A-Z][^?,.]+)', question)
    found = await client.call_tool(
        "search", {"episode": episode, "query": (topic[1] or topic[2]) if topic else question}
    )
    facts = re.search(r"(?:Associated genes?|Reported in): ([^.;]+)", found.content[0].text)
    answer = facts[1] if facts else "unknown"
    ended = await client.call_tool("answer", {"episode": episode, "text": answer})
    print(f"{ended.structured_content['reward']:5.2f}  {answer:24}  {question[:80]}")


async def main() -> None:
    """Play three episodes."""
    async with Client(sys.argv[1] if len(sys.argv) > 1 else OWN) as client:
        tools = await client.list_tools()
        print(", ".join(tool.name for tool in tools.tools))
        for index in range(3):
            await play(client, index)


asyncio.run(main())
