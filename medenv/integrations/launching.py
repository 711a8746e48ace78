"""How a recipe begins and ends: a mistake is told in one line, and a stop says how to go on.

Hydra tells what it cannot compose in up to twenty lines, with a traceback where a value is wrong,
and advises to append a misspelt key (`+sead=3`). Here the line names the key and the nearest
one. Whoever sets HYDRA_FULL_ERROR=1 gets the traceback.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from rich.console import Console
from rich.markup import escape

from medenv.errors import MedEnvError, UnknownNameError

FROM_CHECKPOINT = "stopped; the same command goes on from the last checkpoint"
"""What those who train say after Ctrl-C."""

_CONF = Path(__file__).parents[2] / "conf"
_FULL = "HYDRA_FULL_ERROR"


def launch(main: Callable[[], object]) -> None:
    """Run a program made by `hydra.main`; what cannot be composed is told in one line.

    Args:
        main: The program.

    Raises:
        SystemExit: Something was wrong, status 2; or it was stopped, status 130.
    """
    if _FULL in os.environ:
        main()
        return
    os.environ[_FULL] = "1"  # else Hydra prints, and ends the program, before we hear of it
    try:
        with told_in_one_line():
            main()
    finally:
        del os.environ[_FULL]


@contextmanager
def told_in_one_line(stopped: str = "stopped; the same command goes on") -> Iterator[None]:
    """Return a context that turns mistakes and Ctrl-C into one line and an exit status.

    Args:
        stopped: What to say after Ctrl-C.

    Raises:
        SystemExit: Something was wrong, status 2; or it was stopped, status 130.
    """
    try:
        yield
    except (MedEnvError, HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        refuse(error)
    except KeyboardInterrupt:
        Console().print(stopped)
        sys.exit(130)


def refuse(error: Exception) -> NoReturn:
    """End the program with the one line that says what is wrong.

    Args:
        error: What was wrong.

    Raises:
        SystemExit: Always, status 2.
    """
    line = f"[red]error:[/red] {escape(explained(error))}"
    Console().print(line, highlight=False, soft_wrap=True)
    sys.exit(2)


def explained(error: Exception) -> str:
    """Say in one line what is wrong, with the nearest name where one is unknown.

    Args:
        error: One of ours, or what Hydra, OmegaConf or the reader of YAML raised.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return str(UnknownNameError(group, name, error.options))
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r} as KEY=VALUE: {str(error).splitlines()[0]}"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}:{mark.line + 1}: {error.problem}"
    cause = error.__cause__ or error.__context__
    if isinstance(error, HydraException) and isinstance(cause, OmegaConfBaseException):
        told = str(error)
        where = f"{told.partition(':')[0]}: " if told.startswith("In '") else ""  # a file
        return where + _of_a_key(cause)
    if isinstance(error, OmegaConfBaseException):
        return _of_a_key(error)
    return " ".join(str(error).split())


def _of_a_key(error: OmegaConfBaseException) -> str:
    """Say what is wrong with a key or its value."""
    key, parent = error.full_key or "", error.parent_node
    unknown = isinstance(error, ConfigAttributeError | ConfigKeyError)
    if not unknown or not isinstance(parent, DictConfig):
        told = str(error).splitlines()[0]
        return f"{key}: {told}" if key else told
    above, dot, name = key.rpartition(".")
    known = [str(one) for one in parent]
    if not above and _CONF.is_dir():  # a group is chosen by a key, too
        known += [path.name for path in sorted(_CONF.iterdir()) if path.is_dir()]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {above + dot + near[0]!r}?" if near else f" (known: {', '.join(known)})"
    return f"there is no config key {key!r}{hint}"
