"""The data sets on this machine.

A data set's files lie in ``<home>/data/<name>``, where the home is the environment variable
``MEDENV_HOME`` or else ``~/.cache/medenv``. The file ``dataset.json`` beside them is written last
and records what they are.
"""

from __future__ import annotations

import os
from pathlib import Path

from medenv.data.catalogue import DATASETS, GROUPS, Dataset
from medenv.errors import DataError, UnknownNameError
from medenv.io import file_digest, read_json
from medenv.records import Record

RECORD = "dataset.json"


class Stored(Record, frozen=True, kw_only=True):
    """What lies in a data set's folder.

    Args:
        version: The version of the data set.
        verified: Whether the content has the hashes that the catalogue lists.
        files: Name of each file to its size in bytes and its SHA-256.
    """

    version: str
    verified: bool
    files: dict[str, tuple[int, str]]


def home() -> Path:
    """Return the folder of downloaded data and of graphs that were built from them."""
    return Path(os.environ.get("MEDENV_HOME") or "~/.cache/medenv").expanduser()


def dataset(name: str) -> Dataset:
    """Return a data set of the catalogue.

    Raises:
        UnknownNameError: The catalogue has no data set of that name.
    """
    if name not in DATASETS:
        raise UnknownNameError("data set", name, tuple(DATASETS))
    return DATASETS[name]


def folder_of(name: str) -> Path:
    """Return the folder where a data set lies, or would lie."""
    return home() / "data" / dataset(name).name


def find(name: str) -> Path | None:
    """Return the folder of a data set, or None if it is not on this machine.

    Args:
        name: Name of the data set.

    Raises:
        UnknownNameError: The catalogue has no data set of that name.
    """
    folder = folder_of(name)
    return folder if (folder / RECORD).is_file() else None


def is_here(name: str) -> bool:
    """Return whether a data set, or every data set of a group, is on this machine.

    Args:
        name: Name of the data set or group.

    Raises:
        UnknownNameError: The catalogue has neither of that name.
    """
    return all(find(member) is not None for member in GROUPS.get(name, (name,)))


def require(name: str) -> Path:
    """Return the folder of a data set.

    Sizes of the files are checked; `check` reads them whole.

    Args:
        name: Name of the data set.

    Raises:
        UnknownNameError: The catalogue has no data set of that name.
        DataError: It is not on this machine, is of another version, or a file was changed.
    """
    folder, again = find(name), f"get it with `{_command(name)}`"
    if folder is None:
        raise DataError(folder_of(name), f"the data set {name!r} is not on this machine; {again}")
    stored = read_json(folder / RECORD, Stored, "the record of a data set")
    if stored.version != dataset(name).version:
        expected = f"expected version {dataset(name).version}, got {stored.version}"
        raise DataError(folder, f"{expected}; {again}")
    for file, (size, _) in stored.files.items():
        if not (folder / file).is_file() or (folder / file).stat().st_size != size:
            raise DataError(folder / file, f"expected {size:,} bytes as fetched; {again}")
    return folder


def require_file(name: str) -> Path:
    """Return the file of a data set that consists of one file.

    Args:
        name: Name of the data set.

    Raises:
        DataError: It is not on this machine, is of another version, was changed, or is a folder.
    """
    folder = require(name)
    files = [path for path in sorted(folder.iterdir()) if path.name != RECORD]
    if len(files) != 1:
        raise DataError(folder, f"expected one file, got {len(files)}")
    return files[0]


def check(name: str) -> Path:
    """Return the folder of a data set whose files have the recorded hashes.

    Args:
        name: Name of the data set.

    Raises:
        DataError: It is not on this machine, or a file was changed.
    """
    folder = require(name)
    for file, (_, sha256) in read_json(folder / RECORD, Stored, "a record").files.items():
        if file_digest(folder / file) != sha256:
            problem = f"changed since it was fetched; get it with `{_command(name)}`"
            raise DataError(folder / file, problem)
    return folder


def _command(name: str) -> str:
    made = dataset(name)
    return f"medenv data fetch {name}" if made.carrier else f"medenv data add {name} FILE"
