"""Dialects: the formats in which model families write tool calls and answers."""

from medenv.dialects.base import Dialect, PromptStyle, neutralise
from medenv.dialects.hermes import Hermes
from medenv.dialects.llama3 import Llama3
from medenv.dialects.openai_tools import OpenAITools, chat_messages, chat_tools
from medenv.dialects.plain_json import PlainJson
from medenv.dialects.qwen_xml import QwenXml
from medenv.dialects.react import ReAct
from medenv.dialects.search_r1 import SearchR1

__all__ = [
    "Dialect",
    "Hermes",
    "Llama3",
    "OpenAITools",
    "PlainJson",
    "PromptStyle",
    "QwenXml",
    "ReAct",
    "SearchR1",
    "chat_messages",
    "chat_tools",
    "neutralise",
]
