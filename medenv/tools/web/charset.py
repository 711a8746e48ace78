"""Decode the bytes of a web page."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARATION_BYTES = 4096  # a declaration must be near the beginning
_META = re.compile(rb"<meta\b[^>]*?\bcharset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"\A\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE)
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
}
"""Python's name of a charset to the superset that browsers use under that name."""

_NO_CHARSETS = frozenset(("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"))
"""Python's text codecs that are not charsets; some are slow, some raise."""


def decode(body: bytes, declared: str | None = None) -> str:
    """Return the text of a page; never raises.

    The charset comes from the header, a byte-order mark, ``<meta>`` or an XML declaration, and
    defaults to UTF-8. Unknown charsets are ignored and invalid bytes are replaced.

    Args:
        body: The bytes.
        declared: Charset of the header, or None.
    """
    for name in _named(body, declared):
        codec = _codec(name)
        if codec is not None:
            return body.decode(codec, "replace").removeprefix("\ufeff")
    return body.decode("utf-8", "replace").removeprefix("\ufeff")


def _named(body: bytes, declared: str | None) -> Iterator[str]:
    """Yield the declared charsets in order of precedence."""
    if declared:
        yield declared
    for mark, name in _BOMS:
        if body.startswith(mark):
            yield name
    for pattern in (_META, _XML):
        found = pattern.search(body, 0, _DECLARATION_BYTES)
        if found is not None:
            name = found[1].decode("ascii", "replace")
            # A declaration that matches byte by byte cannot be in UTF-16.
            yield "utf-8" if name.lower().startswith("utf-16") else name


def _codec(name: str) -> str | None:
    """Return the codec of a charset, or None if unknown."""
    try:
        found = codecs.lookup(name.strip().strip("\"'")).name
        b" ".decode(found, "ignore")  # fails for codecs that do not give text
    except (LookupError, ValueError):
        return None
    return None if found in _NO_CHARSETS else _SUPERSETS.get(found, found)
