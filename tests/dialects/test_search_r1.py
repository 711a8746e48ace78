"""Search-R1's tags for tools that nobody knew when the dialect was written."""

import pytest

from medenv.build.environment import make_parts
from medenv.dialects.search_r1 import SearchR1
from medenv.errors import UsageError
from medenv.records import ToolSpec
from medenv.tools import FunctionTool, ToolOutput


@FunctionTool
def dose(drug: str, weight_kg: float = 70.0) -> ToolOutput:
    """Return a daily dose.

    Args:
        drug: Name of the drug.
        weight_kg: Weight of the patient, kg.
    """
    return ToolOutput(text=f"{drug}: {30 * weight_kg:g} mg a day")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<dose>ibuprofen</dose>", "ibuprofen: 2100 mg a day"),
        ('<dose>{"drug": "ibuprofen", "weight_kg": 20}</dose>', "ibuprofen: 600 mg a day"),
        ("<search>tendon disease</search>", "[1] ("),
    ],
)
def test_a_tool_of_anybody_is_called_by_the_tag_of_its_name(written: str, shown: str) -> None:
    env = make_parts(dialect="search_r1", tools=("search", dose)).env()
    env.reset(seed=0)
    assert shown in env.step(written)[0]
    assert '"name":"dose"' in env.rules.system.replace('": "', '":"')


def spec(name: str, *arguments: str, required: tuple[str, ...] = ()) -> ToolSpec:
    properties = {argument: {"type": "string"} for argument in arguments}
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name=name, description="Does it.", parameters=parameters)


def test_the_first_required_argument_stands_between_the_tags() -> None:
    fitted = SearchR1().for_tools([spec("find", "where", "what", required=("what",))])
    assert fitted.parse("<find>x</find>").calls == (("find", {"what": "x"}),)


def test_known_tools_change_nothing() -> None:
    dialect = SearchR1()
    assert dialect.for_tools([spec("search", "query")]) is dialect


@pytest.mark.parametrize(
    "tool_spec", [spec("now"), spec("answer", "text"), spec("my tool", "x"), spec("über", "x")]
)
def test_a_tool_that_can_have_no_tag_is_told(tool_spec: ToolSpec) -> None:
    with pytest.raises(UsageError, match="search_r1 has no tag for the tool"):
        SearchR1().for_tools([tool_spec])
