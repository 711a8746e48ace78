"""Tools around tools: what stands between a call and the tool that answers it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

from medenv.io import digest
from medenv.tools.base import Tool, ToolOutput, as_output


class Wrapper(Tool):
    """A tool that looks like another one; a subclass changes what happens before and after a call.

    Args:
        inner: The tool that answers.
    """

    def __init__(self, inner: Tool) -> None:
        self.inner, self.name, self.local = inner, inner.name, inner.local
        self.is_async, self.spec = inner.is_async, inner.spec

    def bind(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
        """Return the arguments checked and in order, as the inner tool does."""
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
        """Return an output instead of making the call, or None."""
        return None

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:  # noqa: ARG002 - for subclasses
        """Return what is made of the inner tool's output."""
        return output


def content_key(*parts: Any) -> str:
    """Return a hash of values that JSON can hold, the same in every process.

    Args:
        parts: What the key stands for.
    """
    return digest(parts)


__all__ = ["Wrapper", "content_key"]
