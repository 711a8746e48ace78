"""A small MCP server of one tool, over stdin and stdout: `python examples/mcp_server.py`."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("doses", log_level="ERROR")
MOST_MG_PER_KG = {"paracetamol": 60, "ibuprofen": 30}


@server.tool(structured_output=False)
def dose(drug: str, weight_kg: float = 70.0) -> str:
    """Look up the highest usual dose of a drug for one day.

    Args:
        drug: Name of the drug.
        weight_kg: Body weight in kg.
    """
    if drug not in MOST_MG_PER_KG:
        raise ValueError(f"no dose of {drug} on file, only of {', '.join(MOST_MG_PER_KG)}")
    return f"{drug}: {MOST_MG_PER_KG[drug] * weight_kg:g} mg a day at {weight_kg:g} kg"


if __name__ == "__main__":
    server.run("stdio")
