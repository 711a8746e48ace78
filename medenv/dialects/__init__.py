"""Dialects: how model families write calls and answers."""

from medenv.dialects.base import Dialect, PromptStyle, neutralise
from medenv.dialects.hermes import Hermes

__all__ = ["Dialect", "Hermes", "PromptStyle", "neutralise"]
