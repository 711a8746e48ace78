"""Tools: typed functions that a policy can call, and the `ToolBox` that validates and makes calls.

A tool's JSON schema is derived from its signature and docstring, so the policy sees exactly the
accepted arguments. Write a tool as a decorated function,

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

or, if it has options, as a subclass of `Tool` with a method ``call``. A text that a tool returns
becomes an output of status ``"ok"``. `medenv.plugins.tool` also registers a function by name.
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
"""Maximum length of one result, characters; longer text is truncated."""

_log = logging.getLogger(__name__)
_STATUSES = frozenset(get_args(Status))
_ARGUMENT = re.compile(r"^\s+(\w+)(?: \([^)]*\))?: (.+)$")


class ToolOutput(Record, frozen=True, kw_only=True, gc=False):
    """Output of a tool call.

    Args:
        text: Text for the policy.
        status: Outcome of the call.
        passages: Ids of the passages shown, in order.
        numbered: Whether the text numbers its passages ``[1]``, ``[2]``, ... in order.
    """

    text: str
    status: Status = "ok"
    passages: tuple[str, ...] = ()
    numbered: bool = True


class Tool:
    """Base class of tools; a subclass defines ``call``, sync or ``async``, with typed parameters.

    A mistake of the policy gives an output of status ``"bad_call"``. If a backend does not answer,
    raise an `InfraError`, a `ConnectionError` or a `TimeoutError` (or return status
    ``"unavailable"``). A resource chosen by the policy, such as a web page, is not a backend: its
    failure is an output. Any other exception counts as a mistake of the policy, which wrote the
    arguments, and is logged by the `ToolBox`.

    Attributes:
        name: The name of the tool.
        local: Whether a call takes less than a millisecond and does not block. Async drivers make
            such calls inline and others in a thread.
        clean: Whether all outputs are valid Unicode, so that the `ToolBox` skips the check.
        spec: Name, description and schema for the policy.
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
        """Return the state without the type of the arguments, which cannot be pickled."""
        state = self.__dict__.copy()
        if "_type" in state:
            state["_type"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state and recreate the type of the arguments."""
        self.__dict__.update(state)
        if "_type" in state:
            self._type = _arguments_type(self.name, self.call)

    def bind(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
        """Validate the arguments and return them in order.

        Args:
            arguments: The arguments of the call.

        Raises:
            msgspec.ValidationError: An argument is missing, unknown or of the wrong type.
        """
        return astuple(convert(arguments, self._type))


class FunctionTool(Tool):
    """A decorator that makes a tool of a function, under the function's name.

    Args:
        function: A documented function that returns a text or a `ToolOutput`.
        local: Whether a call takes less than a millisecond and does not block; by default if the
            function is not ``async``.
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
        """Pickle the tool by its qualified name if possible, like a function.

        The qualified name of a decorated function refers to the tool.
        """
        name = f"{self.call.__module__}:{self.call.__qualname__}"
        try:
            named = resolve_name(name)
        except (AttributeError, ImportError, ValueError):
            named = None
        return (resolve_name, (name,)) if named is self else super().__reduce_ex__(protocol)


_T = TypeVar("_T")
_Bound = tuple[ToolCall, Tool, tuple[Any, ...], float]
"""A call, its tool, the validated arguments in order, and the start time in seconds."""


class ToolBox:
    """The tools of an environment.

    Calls never raise because of the policy's arguments: an exception of a tool, except a failure of
    its backend, becomes a result of status ``"bad_call"``. The first exception of each type and
    tool is logged with its traceback.

    Args:
        tools: Tools with unique names.
        clock: Function that returns the time in seconds, for the results' durations.

    Attributes:
        specs: Specifications for the policy, in the given order.

    Raises:
        UsageError: Two tools have the same name.
    """

    def __init__(
        self, tools: Iterable[Tool], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        listed = tuple(tools)
        self.tools = {tool.name: tool for tool in listed}
        if len(self.tools) < len(listed):
            raise UsageError(f"expected unique tool names, got {[tool.name for tool in listed]}")
        self.specs = tuple(tool.spec for tool in listed)
        self._clock = clock
        self._logged: set[tuple[str, type[Exception]]] = set()

    def run(self, call: ToolCall) -> ToolResult:
        """Make a call; blocks until an asynchronous tool has finished.

        Args:
            call: The policy's call.

        Returns:
            The result, of status ``"bad_call"`` if the tool or the arguments are invalid, or the
            tool raised an exception.

        Raises:
            InfraError: The tool's backend did not answer.
        """
        return self._bound(call, self._now)

    def start(self, call: ToolCall) -> ToolResult | Coroutine[Any, Any, ToolResult]:
        """Make a call without blocking: async tools are awaited, non-local tools run in a thread.

        Args:
            call: The policy's call.

        Returns:
            The result of a local tool, else an awaitable of the result; of status ``"bad_call"`` if
            the tool or the arguments are invalid.

        Raises:
            InfraError: The tool's backend did not answer.
        """
        return self._bound(call, self._later)

    async def arun(self, call: ToolCall) -> ToolResult:
        """Make a call like `start`, and await its result.

        Args:
            call: The policy's call.

        Returns:
            The result.

        Raises:
            InfraError: The tool's backend did not answer.
        """
        made = self.start(call)
        return made if isinstance(made, ToolResult) else await made

    def _bound(self, call: ToolCall, made: Callable[[_Bound], _T]) -> _T | ToolResult:
        """Validate a call and make it with `made`, or return a result that rejects it."""
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
        """Convert an exception to a result; raise it if the backend failed."""
        if isinstance(error, InfraError) and not isinstance(error, TokensExhaustedError):
            raise error  # TokensExhaustedError: the policy's arguments were too long for a model
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
        if not clean and not text.isascii():  # lone surrogates cannot be stored or shown
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
    """Return the description of each parameter in the docstring's Args section, one line each."""
    text = inspect.getdoc(function) or ""
    section = text.partition("\nArgs:\n")[2].partition("\n\n")[0]
    matches = (_ARGUMENT.match(line) for line in section.splitlines())
    return {match[1]: match[2] for match in matches if match is not None}


__all__ = ["FunctionTool", "Tool", "ToolBox", "ToolOutput"]
