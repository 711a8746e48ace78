"""Exceptions of medenv. Their class decides what happens to the episode.

    MedEnvError
    ├── UsageError              a mistake of the caller; one line that says what to do
    │   ├── MissingExtraError   a package that an extra of medenv brings is not installed
    │   ├── UnknownNameError    an unregistered name; carries the most similar known name
    │   ├── NoCertificateError  a question without a certificate where one is needed
    │   ├── DataError           a missing, truncated or malformed file; carries path and line
    │   └── NoPassageError      an edge that no passage of the documents states
    └── InfraError              an external failure; never scored, always masked and counted
        ├── ToolUnavailableError
        ├── CorpusUnavailableError
        ├── JudgeUnavailableError
        ├── ModelUnavailableError
        │   └── TokensExhaustedError    no tokens left; ends the episode like any budget
        └── PolicyUnavailableError

A mistake of the agent raises no exception; the agent sees it as an observation.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path


class MedEnvError(Exception):
    """Base class of all exceptions that medenv raises."""


class UsageError(MedEnvError):
    """An invalid argument, setting or sequence of calls."""


class MissingExtraError(UsageError):
    """A package that is not installed, since an extra of medenv brings it.

    Args:
        what: What needs it, as the subject of a sentence in the plural.
        extra: The extra.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f"{what} need the extra `{extra}`: pip install 'medenv-rl[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Pickle the constructor's arguments, so that the error can be sent between processes."""
        return type(self), (self.what, self.extra)


def require(package: str, extra: str, what: str) -> None:
    """Refuse to go on without a package that an extra of medenv brings.

    Args:
        package: The package.
        extra: The extra.
        what: What needs it, as the subject of a sentence in the plural.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec(package) is None:
        raise MissingExtraError(what, extra)


class UnknownNameError(UsageError):
    """An unregistered name.

    Args:
        kind: The kind of object, e.g. ``"tool"``.
        name: The requested name.
        known: The registered names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        close = difflib.get_close_matches(name, self.known, n=1, cutoff=0.4)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        super().__init__(
            f"unknown {kind} {name!r}{hint} (known: {', '.join(self.known) or 'none'})"
        )

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, tuple[str, ...]]]:
        """Pickle the constructor's arguments, so that the error can be sent between processes."""
        return type(self), (self.kind, self.name, self.known)


class NoCertificateError(UsageError):
    """A question without a certificate, where one is needed.

    Args:
        question: Id of the question.
        need: What needs the certificate, e.g. ``"reward component 'process'"``.
    """

    def __init__(self, question: str, need: str = "this") -> None:
        self.question, self.need = question, need
        super().__init__(
            f"question {question!r} has no certificate, and {need} needs one;"
            " take questions that were made from a graph, or leave it out"
        )

    def __reduce__(self) -> tuple[type[NoCertificateError], tuple[str, str]]:
        """Pickle by the constructor's own arguments, so the error crosses process borders."""
        return type(self), (self.question, self.need)


class DataError(UsageError):
    """A missing, truncated or malformed file.

    Args:
        path: The file.
        problem: Description of the expected and the actual content.
        line: 1-based line number, if known.
    """

    def __init__(self, path: Path | str, problem: str, line: int | None = None) -> None:
        self.path, self.problem, self.line = Path(path), problem, line
        where = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{where}: {problem}")

    def __reduce__(self) -> tuple[type[DataError], tuple[Path, str, int | None]]:
        """Pickle the constructor's arguments, so that the error can be sent between processes."""
        return type(self), (self.path, self.problem, self.line)


class NoPassageError(UsageError):
    """An edge of a gold path that no passage of the documents states.

    Args:
        edge: Id of the head, name of the relation, id of the tail.
    """

    def __init__(self, edge: tuple[str, str, str]) -> None:
        self.edge = edge
        super().__init__(f"no passage states that {' '.join(edge)}")

    def __reduce__(self) -> tuple[type[NoPassageError], tuple[tuple[str, str, str]]]:
        """Pickle by the constructor's own arguments, so the error crosses process borders."""
        return type(self), (self.edge,)


class InfraError(MedEnvError):
    """A failure outside the episode. The episode has no score, which differs from a score of 0.

    Attributes:
        transient: Whether a retry may succeed.
    """

    transient: bool = True


class ToolUnavailableError(InfraError):
    """A tool's backend did not answer."""


class CorpusUnavailableError(InfraError):
    """A retriever or corpus server did not answer."""


class JudgeUnavailableError(InfraError):
    """A judge did not answer, or its verdict could not be parsed."""


class ModelUnavailableError(InfraError):
    """A language model behind an endpoint did not answer.

    Args:
        problem: Description of the failure.
        transient: Whether a retry may succeed: true of a server error, false of a rejected key.
    """

    def __init__(self, problem: str, transient: bool = True) -> None:
        super().__init__(problem)
        self.transient = transient

    def __reduce__(self) -> tuple[type[ModelUnavailableError], tuple[str, bool]]:
        """Pickle the constructor's arguments, so that the error can be sent between processes."""
        return type(self), (str(self), self.transient)


class TokensExhaustedError(ModelUnavailableError):
    """The conversation exceeds the model's context, or a reply was truncated before its text.

    In an episode this counts as an exhausted budget: the episode ends and is scored. For a caller
    without an episode, such as a judge, the model is unavailable and a retry does not help.

    Args:
        problem: The message of the model's server.
        transient: Always False.
    """

    def __init__(self, problem: str, transient: bool = False) -> None:
        super().__init__(problem, transient)


class PolicyUnavailableError(InfraError):
    """The model behind a policy did not answer."""


def describe(error: BaseException, max_chars: int = 300) -> str:
    """Return the type and the message of an exception on one line.

    Args:
        error: The exception; of a group, its first exception that is not a group.
        max_chars: Maximum length of the message, characters.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    message = " ".join(str(error)[: 10 * max_chars].split())[:max_chars]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
