"""Serve environments and corpora to other processes."""

from medenv.serving.environment import EnvironmentServer
from medenv.serving.sessions import Limits
from medenv.serving.web import Guard, Tokens

__all__ = ["EnvironmentServer", "Guard", "Limits", "Tokens"]
