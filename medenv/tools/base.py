"""Tools: typed functions that a policy calls, and the box that checks and makes the calls.

A tool's schema comes from its signature and docstring, so that what the policy is told and what
the code accepts cannot differ. Write one as a decorated function,

    >>> @FunctionTool
    ... def dose(drug: str, weight_kg: float = 70.0) -> str:
    ...     '''Look up the usual dose of a drug.
    ...
    ...     Args:
    ...         drug: Name of the drug.
    ...         weight_kg: Body weight in kg.
    ...     '''
    ...     return f"no dose of {drug} on file"
    >>> dose.spec.parameters["required"]
    ['drug']

or, when it has options, as a subclass of `Tool` with a method ``call``. A text that a tool returns
is an output of status ``"ok"``. `medenv.plugins.tool` registers a function under its name as well.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pkgutil import resolve_name
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import convert
from msgspec.structs import astuple

from medenv.errors import (
    InfraError,
    TokensExhaustedError,
    ToolUnavailableError,
    UsageError,
    describe,
)
from medenv.records import Record, Status, ToolCall, ToolResult, ToolSpec
from medenv.tools.waiting import in_thread, wait_for

MAX_CHARS = 200_000
"""Longest text of one result, characters; the rest is cut."""

_log = logging.getLogger(__name__)
_STATUSES = frozenset(get_args(Status))
_ARGUMENT = re.compile(r"^\s+(\w+)(?: \([^)]*\))?: (.+)$")


class ToolOutput(Record, frozen=True, kw_only=True, gc=False):
    """What a tool gives back.

    Args:
        text: What the policy will see.
        status: How the call ended.
        passages: Ids of the passages shown, in order.
        numbered: Whether the text numbers its passages, if any, ``[1]``, ``[2]``, ... in order.
    """

    text: str
    status: Status = "ok"
    passages: tuple[str, ...] = ()
    numbered: bool = True


class Tool:
    """A tool; a subclass defines ``call``, plain or ``async``, with typed, documented parameters.

    A mistake of the policy is an output of status ``"bad_call"``; a backend that does not answer
    raises an `InfraError`, a `ConnectionError` or a `TimeoutError` (or gives status
    ``"unavailable"``). What the policy itself chose to reach, such as a web page, is no backend:
    its failure is an output too. Any other exception counts as a mistake of the policy, which wrote
    the arguments; the box logs it.

    Attributes:
        name: The name under which it is called.
        local: Whether a call takes less than a millisecond and waits for nothing, so that async
            drivers make it inline; the others they make in a thread.
        clean: Whether what it shows is sure to be Unicode that can be stored, so that the box need
            not look.
        spec: What the policy is told.
    """

    name: str = ""
    local: bool = True
    clean: bool = False
    call: Callable[..., str | ToolOutput | Awaitable[str | ToolOutput]]

    def __init__(self) -> None:
        self.is_async = inspect.iscoroutinefunction(self.call)
        self._type = _arguments_type(self.name, self.call)
        self.spec = ToolSpec(
            name=self.name,
            description=_summary(self.name, self.call),
            parameters=_schema(self._type),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the type of the arguments, which pickle could not find."""
        state = self.__dict__.copy()
        if "_type" in state:
            state["_type"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state and make the type of the arguments again."""
        self.__dict__.update(state)
        if "_type" in state:
            self._type = _arguments_type(self.name, self.call)

    def bind(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
        """Return the arguments checked and in order.

        Args:
            arguments: As the policy wrote them.

        Raises:
            msgspec.ValidationError: One is missing, unknown or of the wrong type.
        """
        return astuple(convert(arguments, self._type))


class FunctionTool(Tool):
    """A tool made of a function, under the function's name; a decorator.

    Args:
        function: A documented function that returns a text or a `ToolOutput`.
        local: Whether a call takes less than a millisecond and waits for nothing; by default where
            the function is not ``async``.
    """

    def __init__(
        self,
        function: Callable[..., str | ToolOutput | Awaitable[str | ToolOutput]],
        *,
        local: bool | None = None,
    ) -> None:
        self.name, self.call = function.__name__, function
        self.local = not inspect.iscoroutinefunction(function) if local is None else local
        super().__init__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle the tool by its name in a module where it has one, as functions are pickled.

        A decorated function has no other: its name leads to the tool.
        """
        name = f"{self.call.__module__}:{self.call.__qualname__}"
        try:
            named = resolve_name(name)
        except (AttributeError, ImportError, ValueError):
            named = None
        return (resolve_name, (name,)) if named is self else super().__reduce_ex__(protocol)


_T = TypeVar("_T")
_Bound = tuple[ToolCall, Tool, tuple[Any, ...], float]
"""A call, its tool, the checked arguments in order, and when it began, in seconds."""


class ToolBox:
    """The tools of an environment.

    No call that a policy can write raises: an exception of a tool that is no failure of its backend
    becomes a result of status ``"bad_call"``. The first one of each type and tool is logged with
    its traceback, so that a bug does not go unnoticed.

    Args:
        tools: Tools of different names.
        clock: Time in seconds, for the results' durations.

    Attributes:
        specs: What the policy is told, in the order given.

    Raises:
        UsageError: Two tools have the same name.
    """

    def __init__(
        self, tools: Iterable[Tool], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        listed = tuple(tools)
        self.tools = {tool.name: tool for tool in listed}
        if len(self.tools) < len(listed):
            raise UsageError(f"two tools of one name: {[tool.name for tool in listed]}")
        self.specs = tuple(tool.spec for tool in listed)
        self._clock = clock
        self._logged: set[tuple[str, type[Exception]]] = set()

    def run(self, call: ToolCall) -> ToolResult:
        """Make a call, and wait for it where the tool is asynchronous.

        Args:
            call: As the policy wrote it.

        Returns:
            The result; of status ``"bad_call"`` where tool or arguments are wrong, or the tool
            failed on them.

        Raises:
            InfraError: The tool's backend did not answer.
        """
        return self._bound(call, self._now)

    def start(self, call: ToolCall) -> ToolResult | Coroutine[Any, Any, ToolResult]:
        """Make a call without blocking: async tools are awaited, remote ones run in a thread.

        Args:
            call: As the policy wrote it.

        Returns:
            The result where nothing has to be waited for, else what to await for it; of status
            ``"bad_call"`` where tool or arguments are wrong.

        Raises:
            InfraError: The tool's backend did not answer.
        """
        return self._bound(call, self._later)

    async def arun(self, call: ToolCall) -> ToolResult:
        """Make a call as `start` does, and await its result.

        Args:
            call: As the policy wrote it.

        Returns:
            The result.

        Raises:
            InfraError: The tool's backend did not answer.
        """
        made = self.start(call)
        return made if isinstance(made, ToolResult) else await made

    def _bound(self, call: ToolCall, made: Callable[[_Bound], _T]) -> _T | ToolResult:
        """Return what comes of a call to a tool with checked arguments, or what refuses it."""
        begun = self._clock()
        tool = self.tools.get(call.name)
        if tool is None:
            return self._result(call, self._unknown(call.name), begun)
        try:
            arguments = tool.bind(call.arguments)
        except msgspec.ValidationError as error:
            takes = ", ".join(tool.spec.parameters["properties"]) or "no arguments"
            text = f"{tool.name}: {str(error)[:300]} (it takes: {takes})"
            return self._result(call, ToolOutput(text=text, status="bad_call"), begun)
        except Exception as error:
            return self._failed(call, error, begun)
        return made((call, tool, arguments, begun))

    def _now(self, bound: _Bound) -> ToolResult:
        call, tool, arguments, begun = bound
        try:
            output: Any = tool.call(*arguments)
            if tool.is_async:
                output = wait_for(output)
            return self._result(call, output, begun, clean=tool.clean)
        except Exception as error:
            return self._failed(call, error, begun)

    def _later(self, bound: _Bound) -> ToolResult | Coroutine[Any, Any, ToolResult]:
        _, tool, _, _ = bound
        return self._wait(bound) if tool.is_async or not tool.local else self._now(bound)

    async def _wait(self, bound: _Bound) -> ToolResult:
        call, tool, arguments, begun = bound
        try:
            made: Any = tool.call(*arguments) if tool.is_async else in_thread(tool.call, *arguments)
            return self._result(call, await made, begun)
        except Exception as error:
            return self._failed(call, error, begun)

    def _failed(self, call: ToolCall, error: Exception, begun: float) -> ToolResult:
        """Return what the policy is shown of an exception; raise a failure of the backend."""
        if isinstance(error, InfraError) and not isinstance(error, TokensExhaustedError):
            raise error  # a model behind a tool that has no room was asked too much by the policy
        if isinstance(error, ConnectionError | TimeoutError):
            raise ToolUnavailableError(f"tool {call.name!r}: {describe(error)}") from error
        if (call.name, type(error)) not in self._logged:
            self._logged.add((call.name, type(error)))
            _log.warning("tool %r raised on a call of the policy", call.name, exc_info=error)
        text = f"{call.name}: the call failed ({describe(error)})"
        return self._result(call, ToolOutput(text=text, status="bad_call"), begun)

    def _unknown(self, name: str) -> ToolOutput:
        close = difflib.get_close_matches(name[:80], self.tools, n=1, cutoff=0.4)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        names = ", ".join(sorted(self.tools))
        text = f"there is no tool {name[:80]!r}{hint} (tools: {names})"
        return ToolOutput(text=text, status="bad_call")

    def _result(
        self, call: ToolCall, output: str | ToolOutput, begun: float, *, clean: bool = False
    ) -> ToolResult:
        output = as_output(output)
        status, text = output.status, output.text
        if status != "ok":
            if status == "unavailable":
                raise ToolUnavailableError(f"tool {call.name!r}: {text}")
            if status not in _STATUSES:
                raise TypeError(f"expected a status of {sorted(_STATUSES)}, got {status!r:.80}")
        if not isinstance(text, str):
            raise TypeError(f"expected a text, got {type(text).__name__}")
        if len(text) > MAX_CHARS:
            text = f"{text[:MAX_CHARS]}\n… (cut after {MAX_CHARS} of {len(text)} characters)"
        if not clean and not text.isascii():  # a lone surrogate could neither be stored nor shown
            text = text.encode("utf-8", "replace").decode()
        return ToolResult(
            call_id=call.id,
            tool=call.name,
            status=status,
            text=text,
            passages=tuple(output.passages),
            seconds=self._clock() - begun,
            numbered=output.numbered,
        )


def as_output(made: str | ToolOutput) -> ToolOutput:
    """Return what a tool gave back as an output; a text is one of status ``"ok"``."""
    return ToolOutput(text=made) if isinstance(made, str) else made


def _arguments_type(name: str, function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return a struct type whose fields are the function's parameters."""
    hints = get_type_hints(function, include_extras=True)
    described = _described(function)
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints:
            raise UsageError(f"tool {name!r}: parameter {parameter.name!r} needs a type")
        hint = hints[parameter.name]
        if parameter.name in described:
            hint = Annotated[hint, msgspec.Meta(description=described[parameter.name])]
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, parameter.default))
    return msgspec.defstruct(f"{name}_arguments", fields, forbid_unknown_fields=True)


def _schema(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON schema of the arguments as one object schema."""
    (_,), components = msgspec.json.schema_components([type_], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = components.pop(type_.__name__)
    schema.pop("title", None)
    if components:
        schema["$defs"] = components
    return schema


def _summary(name: str, function: Callable[..., Any]) -> str:
    """Return the first paragraph of the docstring on one line."""
    text = inspect.getdoc(function)
    if not name or not text:
        raise UsageError(f"a tool needs a name and a docstring; {name!r} has {text!r}")
    return " ".join(text.split("\n\n")[0].split())


def _described(function: Callable[..., Any]) -> dict[str, str]:
    """Return what the docstring's Args section says of each parameter, one line each."""
    text = inspect.getdoc(function) or ""
    section = text.partition("\nArgs:\n")[2].partition("\n\n")[0]
    matches = (_ARGUMENT.match(line) for line in section.splitlines())
    return {match[1]: match[2] for match in matches if match is not None}


__all__ = ["FunctionTool", "Tool", "ToolBox", "ToolOutput"]
