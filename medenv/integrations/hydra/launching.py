"""How a recipe begins and ends: shorthands are expanded, a mistake is one line, a stop is clean.

Hydra tells what it cannot compose in up to twenty lines, with a traceback where a value is wrong,
and advises to append a misspelt key (`+sead=3`). Here the line names the key and the nearest
one. Whoever sets HYDRA_FULL_ERROR=1 gets the traceback.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import product
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

import medenv
from medenv.build.plugins import RETRIEVERS, REWARDS
from medenv.errors import MedEnvError, UnknownNameError, UsageError
from medenv.integrations.hydra.config import keys_of, verl_config_dir
from medenv.kg.sources import KG_SOURCES

FROM_CHECKPOINT = "stopped; the same command goes on from the last checkpoint"
"""What those who train say after Ctrl-C."""

CONF = Path(medenv.__file__).parent / "conf"
"""The folder of all configs, in a clone and in an installed package alike."""

SECTIONS = ("ablation", "evaluation", "lessons", "limits", "plan", "sampling", "tiny")
"""Sections of settings that are no config groups."""

_FULL = "HYDRA_FULL_ERROR"


def launch(main: Callable[[], object]) -> None:
    """Run a program made by `hydra.main`; what cannot be composed is told in one line.

    Args:
        main: The program.

    Raises:
        SystemExit: Something was wrong, status 2; or it was stopped, status 130.
    """
    if _FULL in os.environ:
        sys.argv[1:] = expanded(sys.argv[1:])
        main()
        return
    os.environ[_FULL] = "1"  # otherwise Hydra prints the error and exits by itself
    try:
        with told_in_one_line(arguments=sys.argv[1:]):
            sys.argv[1:] = expanded(sys.argv[1:])  # first: a URL with # is no value to Hydra
            check_overrides(sys.argv[1:])
            main()
    finally:
        del os.environ[_FULL]


def expanded(arguments: Sequence[str]) -> list[str]:
    """Return a command line with shorthands written out.

    A group that is set to a path, a URL, ``package.module:object`` or a registered name becomes a
    choice of that group and the key that the value belongs to: ``questions=my.csv`` is
    ``questions=set questions.path=my.csv``. The flag of a multirun may stand anywhere.

    Args:
        arguments: The command line after the program's name.
    """
    written: list[str] = []
    for argument in arguments:
        group, equals, value = argument.partition("=")
        known = group in _SHORTHANDS and equals and value not in _group_choices(group)
        longer = _SHORTHANDS[group](value) if known else None
        written += [argument] if longer is None else longer
    return sorted(written, key=lambda one: one not in _MULTIRUN)  # Hydra takes it in front alone


def _path_of(choice: str, key: str, *suffixes: str) -> Callable[[str], list[str] | None]:
    """Return what expands a path to a choice and a key."""

    def expand(value: str) -> list[str] | None:
        is_path = "/" in value or value.endswith(suffixes or ("\0",)) or Path(value).exists()
        group = key.partition(".")[0]
        return [f"{group}={choice}", _set(key, value)] if is_path else None

    return expand


def _graph(value: str) -> list[str] | None:
    if value in KG_SOURCES.names():
        return ["graph=custom", _set("graph.source", value)]
    return _path_of("saved", "graph.path")(value)


def _retriever(value: str) -> list[str] | None:
    known = value in RETRIEVERS.names()
    return ["retriever=custom", _set("retriever.name", value)] if known else None


def _scoring(value: str) -> list[str] | None:
    if ":" in value:
        return ["scoring=custom", _set("scoring.reward", value)]
    known = value in REWARDS.names()
    return ["scoring=composite", _set("scoring.preset", value)] if known else None


def _policy(value: str) -> list[str] | None:
    if "://" not in value:
        return _path_of("folder", "policy.path")(value)
    url, _, model = value.partition("#")
    return ["policy=served", _set("policy.url", url), _set("policy.model", model)]


def _set(key: str, value: str) -> str:
    """Return an override whose value Hydra takes as it is."""
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{quoted}'"


_MULTIRUN = ("-m", "--multirun")

_SHORTHANDS: Mapping[str, Callable[[str], list[str] | None]] = {
    "questions": _path_of("set", "questions.path", ".jsonl", ".csv", ".tsv"),
    "corpus": _path_of("files", "corpus.path", ".jsonl"),
    "graph": _graph,
    "retriever": _retriever,
    "scoring": _scoring,
    "policy": _policy,
}


def check_overrides(arguments: Sequence[str]) -> None:
    """Check that a command line sets config groups to names and sections to mappings.

    Hydra itself answers ``policy=4`` and ``world=null`` with a traceback.

    Args:
        arguments: The command line after the program's name.

    Raises:
        UsageError: A group or a section is set to something else, with what it can take.
        OverrideParseException: An argument that Hydra cannot read.
    """
    for override in overrides_of(arguments):
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
    folders = [CONF / group]
    if find_spec("verl") is not None:
        folders.append(Path(verl_config_dir()) / group)
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def overrides_of(arguments: Sequence[str]) -> list[Override]:
    """Return the overrides among command-line arguments; options start with a dash.

    Args:
        arguments: The command line after the program's name.

    Raises:
        OverrideParseException: An argument that Hydra cannot read.
    """
    written = [one for one in arguments if not one.startswith("-") and "=" in one]
    return OverridesParser.create().parse_overrides(written)


def combinations(arguments: Sequence[str]) -> list[dict[str, str]]:
    """Return what each job of a multirun sets of the keys with several values, in Hydra's order.

    Args:
        arguments: The command line after the program's name.

    Raises:
        UsageError: The values of a key are not a list.
    """
    swept = [one for one in overrides_of(arguments) if one.is_sweep_override()]
    for one in swept:
        if not one.is_discrete_sweep():
            raise UsageError(
                f"expected KEY=VALUE,VALUE of what a sweep changes; got {one.input_line}"
            )
    values = [[(one.key_or_group, v) for v in one.sweep_string_iterator()] for one in swept]
    return [dict(chosen) for chosen in product(*values)]


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
    Console().print(line_of(explained(error, arguments)), highlight=False, soft_wrap=True)
    sys.exit(2)


def line_of(told: str) -> str:
    """Return the line that tells a mistake, as Rich's markup.

    Args:
        told: What was wrong.
    """
    return f"[red]error:[/red] {escape(told)}"


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
        written = (one.key_or_group for one in overrides_of(arguments))
        key = next((one for one in written if one.split(".")[0] == key), key)
        longer = [one for one in keys_of(parent) if one.endswith(f".{key}")]
        if longer:
            longer.sort(key=lambda one: (one.count("."), one))
            nearest = " or ".join(repr(one) for one in longer[:3])
            return f"there is no config key {key!r}; did you mean {nearest}?"
    known = [str(one) for one in parent]
    if not above and CONF.is_dir():  # a group is chosen by a key, too
        known += [path.name for path in sorted(CONF.iterdir()) if path.is_dir()]
    near = [one for one in difflib.get_close_matches(name, known, n=1) if one != key.split(".")[0]]
    known = list(dict.fromkeys(known))
    hint = f"; did you mean {above + dot + near[0]!r}?" if near else f" (known: {', '.join(known)})"
    return f"there is no config key {key!r}{hint}"
