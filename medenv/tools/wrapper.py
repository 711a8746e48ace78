"""Base class of tools that wrap another tool."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

from medenv.tools.base import Tool, ToolOutput, as_output


class Wrapper(Tool):
    """A tool with the interface of another tool; a subclass overrides `before` and `after`.

    Args:
        inner: The wrapped tool.
    """

    def __init__(self, inner: Tool) -> None:
        self.inner, self.name, self.local = inner, inner.name, inner.local
        self.is_async, self.spec = inner.is_async, inner.spec

    def bind(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
        """Validate the arguments with the inner tool and return them in order."""
        return self.inner.bind(arguments)

    def call(self, *arguments: Any) -> ToolOutput | Awaitable[ToolOutput]:
        """Make the call."""
        if self.is_async:
            return self._acall(arguments)
        output = self.before(arguments)
        if output is None:
            made = cast(str | ToolOutput, self.inner.call(*arguments))
            output = self.after(arguments, as_output(made))
        return output

    async def _acall(self, arguments: tuple[Any, ...]) -> ToolOutput:
        output = self.before(arguments)
        if output is None:
            made = cast(Awaitable[str | ToolOutput], self.inner.call(*arguments))
            output = self.after(arguments, as_output(await made))
        return output

    def before(self, arguments: tuple[Any, ...]) -> ToolOutput | None:  # noqa: ARG002 - for subclasses
        """Return an output that replaces the call, or None."""
        return None

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:  # noqa: ARG002 - for subclasses
        """Return the output to show, given the inner tool's output."""
        return output
