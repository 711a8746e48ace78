"""The exception tree: whose failure it was decides what happens to the episode.

    MedEnvError
    ├── UsageError              the caller's mistake; one line that says what to do
    │   ├── UnknownNameError    a name nobody registered; carries the nearest known one
    │   ├── NoCertificateError  a question without a certificate where one is needed
    │   ├── DataError           a file missing, cut short or malformed; carries file and line
    │   └── NoPassageError      an edge that no passage of the documents states
    └── InfraError              the outside world failed; never scored, always masked and counted
        ├── ToolUnavailableError
        ├── CorpusUnavailableError
        ├── JudgeUnavailableError
        ├── ModelUnavailableError
        │   └── TokensExhaustedError    no room left to write in: the end of an episode's tokens
        └── PolicyUnavailableError

An agent's mistake is no exception at all: it is an observation.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class MedEnvError(Exception):
    """Root of every error that medenv raises on purpose."""


class UsageError(MedEnvError):
    """The caller asked for something that cannot be done as asked."""


class UnknownNameError(UsageError):
    """A name that nobody registered.

    Args:
        kind: What was looked up, e.g. ``"tool"``.
        name: The name that was asked for.
        known: The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        close = difflib.get_close_matches(name, self.known, n=1, cutoff=0.4)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        super().__init__(
            f"unknown {kind} {name!r}{hint} (known: {', '.join(self.known) or 'none'})"
        )

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, tuple[str, ...]]]:
        """Pickle by the constructor's own arguments, so the error crosses process borders."""
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
    """A file that is missing, cut short or malformed.

    Args:
        path: The file.
        problem: What was expected and what came, in words.
        line: The 1-based line, where there is one.
    """

    def __init__(self, path: Path | str, problem: str, line: int | None = None) -> None:
        self.path, self.problem, self.line = Path(path), problem, line
        where = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{where}: {problem}")

    def __reduce__(self) -> tuple[type[DataError], tuple[Path, str, int | None]]:
        """Pickle by the constructor's own arguments, so the error crosses process borders."""
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
    """Something outside the episode failed; the episode has no score, which is not a score of 0.

    Attributes:
        passing: Whether the failure may pass, so that another try makes sense.
    """

    passing: bool = True


class ToolUnavailableError(InfraError):
    """A tool's backend did not answer."""


class CorpusUnavailableError(InfraError):
    """A retriever or corpus server did not answer."""


class JudgeUnavailableError(InfraError):
    """A judge did not answer, or its verdict could not be read."""


class ModelUnavailableError(InfraError):
    """A language model behind an endpoint did not answer.

    Args:
        problem: What went wrong.
        passing: Whether it may go by itself, as a server's fault does and a refused key does not.
    """

    def __init__(self, problem: str, passing: bool = True) -> None:
        super().__init__(problem)
        self.passing = passing

    def __reduce__(self) -> tuple[type[ModelUnavailableError], tuple[str, bool]]:
        """Pickle by the constructor's own arguments, so the error crosses process borders."""
        return type(self), (str(self), self.passing)


class TokensExhaustedError(ModelUnavailableError):
    """The conversation does not fit into the model's context, or a reply was cut before its text.

    An episode ends by it as by any budget, and is scored. For a caller without an episode, such as
    a judge, the model is unavailable, and trying again does not help.

    Args:
        problem: What the model's server said.
        passing: Always False.
    """

    def __init__(self, problem: str, passing: bool = False) -> None:
        super().__init__(problem, passing)


class PolicyUnavailableError(InfraError):
    """The model behind a policy did not answer."""


def describe(error: BaseException, most: int = 300) -> str:
    """Return an exception on one line: its type and its message.

    Args:
        error: The exception; of a group the first one that is no group.
        most: Longest message, characters; the rest is cut.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    message = " ".join(str(error)[: 10 * most].split())[:most]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
