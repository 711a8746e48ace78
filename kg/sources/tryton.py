"""Records of GNU Health's data files, which are Tryton XML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from medenv.errors import DataError


def read_records_of(file: Path, model: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield id and fields of each record, without reading the file as a whole.

    A field that refers to another record has that record's id as value.

    Args:
        file: The file.
        model: Model of the records, e.g. ``"gnuhealth.gene"``.

    Raises:
        DataError: The file is missing, cut short or malformed, or has no such record.
    """
    found = 0
    try:
        for _, element in ElementTree.iterparse(file):
            if element.tag != "record":
                continue
            if element.get("model") == model:
                found += 1
                yield (
                    element.get("id", ""),
                    {field.get("name", ""): _value(field) for field in element},
                )
            element.clear()
    except ElementTree.ParseError as error:
        raise DataError(file, f"expected XML records, got a file cut short: {error}") from error
    except OSError as error:
        raise DataError(file, f"cannot be read: {error.strerror}") from error
    if not found:
        raise DataError(file, f"expected records of {model}, got none")


def _value(field: ElementTree.Element) -> str:
    if "ref" in field.attrib:
        return field.attrib["ref"]
    if "search" in field.attrib:  # [('name', '=', 'HSD3B1')]
        return field.attrib["search"].rpartition(", '")[2].partition("'")[0]
    return (field.text or "").strip()
