"""How a recipe begins and ends: a mistake is told in one line, and a stop says how to go on.

Hydra tells what it cannot compose in up to twenty lines, with a traceback where a value is wrong,
and advises to append a misspelt key (`+sead=3`). Here the line names the key and the nearest
one. Whoever sets HYDRA_FULL_ERROR=1 gets the traceback.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from rich.console import Console
from rich.markup import escape

from medenv.errors import MedEnvError, UnknownNameError, UsageError
from medenv.integrations.hydra.config import SECTIONS, keys_of, verl_config_dir

FROM_CHECKPOINT = "stopped; the same command goes on from the last checkpoint"
"""What those who train say after Ctrl-C."""

_CONF = Path(__file__).parents[3] / "conf"
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
    os.environ[_FULL] = "1"  # otherwise Hydra prints the error and exits by itself
    try:
        with told_in_one_line(arguments=sys.argv[1:]):
            check_overrides(sys.argv[1:])
            main()
    finally:
        del os.environ[_FULL]


def check_overrides(arguments: Sequence[str]) -> None:
    """Check that a command line sets config groups to names and sections to mappings.

    Hydra itself answers ``policy=4`` and ``world=null`` with a traceback.

    Args:
        arguments: The command line after the program's name.

    Raises:
        UsageError: A group or a section is set to something else, with what it can take.
        OverrideParseException: An argument that Hydra cannot read.
    """
    for override in _overrides(arguments):
        if override.is_delete():
            continue
        chosen = override.value()
        if override.key_or_group in SECTIONS and not isinstance(chosen, dict):
            raise UsageError(
                f"expected {override.key_or_group}.KEY=VALUE, since {override.key_or_group!r} is a "
                f"section of settings; got {override.input_line}"
            )
        names = chosen if isinstance(chosen, list) else getattr(chosen, "list", [chosen])
        known = _group_choices(override.key_or_group)
        if not known or all(isinstance(name, str) for name in names):
            continue
        raise UsageError(
            f"expected {override.key_or_group}=NAME, where NAME is one of {', '.join(known)}; "
            f"got {override.input_line}"
        )


def _group_choices(group: str) -> list[str]:
    """Return the names that a config group, ours or verl's, can be set to; none if it is none."""
    folders = (_CONF / group, Path(verl_config_dir()) / group)
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def _overrides(arguments: Sequence[str]) -> list[Override]:
    """Return the overrides among command-line arguments; options start with a dash."""
    written = [one for one in arguments if not one.startswith("-") and "=" in one]
    return OverridesParser.create().parse_overrides(written)


@contextmanager
def told_in_one_line(
    stopped: str = "stopped; the same command goes on", arguments: Sequence[str] = ()
) -> Iterator[None]:
    """Return a context that turns mistakes and Ctrl-C into one line and an exit status.

    Args:
        stopped: What to say after Ctrl-C.
        arguments: The command line, from which an unknown key is quoted whole.

    Raises:
        SystemExit: Something was wrong, status 2; or it was stopped, status 130.
    """
    try:
        yield
    except (MedEnvError, HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        refuse(error, arguments)
    except KeyboardInterrupt:
        Console().print(stopped)
        sys.exit(130)


def refuse(error: Exception, arguments: Sequence[str] = ()) -> NoReturn:
    """End the program with the one line that says what is wrong.

    Args:
        error: What was wrong.
        arguments: The command line, from which an unknown key is quoted whole.

    Raises:
        SystemExit: Always, status 2.
    """
    line = f"[red]error:[/red] {escape(explained(error, arguments))}"
    Console().print(line, highlight=False, soft_wrap=True)
    sys.exit(2)


def explained(error: Exception, arguments: Sequence[str] = ()) -> str:
    """Return one line that says what is wrong, with the nearest name where one is unknown.

    Args:
        error: One of ours, or what Hydra, OmegaConf or the reader of YAML raised.
        arguments: The command line, from which an unknown key is quoted whole.
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
        return where + _of_a_key(cause, arguments)
    if isinstance(error, OmegaConfBaseException):
        return _of_a_key(error, arguments)
    return " ".join(str(error).split())


def _of_a_key(error: OmegaConfBaseException, arguments: Sequence[str]) -> str:
    """Say what is wrong with a key or its value."""
    key, parent = error.full_key or "", error.parent_node
    unknown = isinstance(error, ConfigAttributeError | ConfigKeyError)
    if not unknown or not isinstance(parent, DictConfig):
        told = str(error).splitlines()[0]
        return f"{key}: {told}" if key else told
    above, dot, name = key.rpartition(".")
    if not above:  # OmegaConf stops at the first part that it does not know
        written = (one.key_or_group for one in _overrides(arguments))
        key = next((one for one in written if one.split(".")[0] == key), key)
        longer = [one for one in keys_of(parent) if one.endswith(f".{key}")]
        if longer:
            longer.sort(key=lambda one: (not one.startswith("medenv."), one.count("."), one))
            nearest = " or ".join(repr(one) for one in longer[:3])
            return f"there is no config key {key!r}; did you mean {nearest}?"
    known = [str(one) for one in parent]
    if not above and _CONF.is_dir():  # a group is chosen by a key, too
        known += [path.name for path in sorted(_CONF.iterdir()) if path.is_dir()]
    near = [one for one in difflib.get_close_matches(name, known, n=1) if one != key.split(".")[0]]
    known = list(dict.fromkeys(known))
    hint = f"; did you mean {above + dot + near[0]!r}?" if near else f" (known: {', '.join(known)})"
    return f"there is no config key {key!r}{hint}"
