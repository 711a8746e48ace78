"""Data sets of others: a catalogue, downloads, and where they lie on this machine."""

from medenv.data.catalogue import DATASETS, GROUPS, Commit, Dataset, Member, Wheel
from medenv.data.fetching import add, fetch
from medenv.data.pickles import load_plain
from medenv.data.store import check, find, home, is_here, require, require_file

__all__ = [
    "DATASETS",
    "GROUPS",
    "Commit",
    "Dataset",
    "Member",
    "Wheel",
    "add",
    "check",
    "fetch",
    "find",
    "home",
    "is_here",
    "load_plain",
    "require",
    "require_file",
]
