"""From the bytes of a page to its text, whatever the page says of its charset."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 4096  # a declaration has to stand near the beginning
_META = re.compile(rb"<meta\b[^>]*?\bcharset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"\A\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE)
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
}
"""Python's name of a charset to the larger one that browsers read under that name."""

_NO_CHARSETS = frozenset(("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"))
"""Codecs of Python that turn bytes into text and are no charsets; some are slow, some raise."""


def decode(body: bytes, declared: str | None = None) -> str:
    """Return the text of a page; no page raises.

    The charset is that of the header, of a byte-order mark, of ``<meta>`` or an XML declaration, or
    else UTF-8; unknown ones are passed over, and what cannot be decoded is replaced.

    Args:
        body: The bytes.
        declared: Charset that the header names, if any.
    """
    for name in _named(body, declared):
        codec = _codec(name)
        if codec is not None:
            return body.decode(codec, "replace").removeprefix("\ufeff")
    return body.decode("utf-8", "replace").removeprefix("\ufeff")


def _named(body: bytes, declared: str | None) -> Iterator[str]:
    """Yield the charsets that are named, the one that counts most first."""
    if declared:
        yield declared
    for mark, name in _BOMS:
        if body.startswith(mark):
            yield name
    for pattern in (_META, _XML):
        found = pattern.search(body, 0, _LOOKED_AT)
        if found is not None:
            name = found[1].decode("ascii", "replace")
            # A declaration that can be read byte by byte is not in UTF-16, whatever it says.
            yield "utf-8" if name.lower().startswith("utf-16") else name


def _codec(name: str) -> str | None:
    """Return the codec to decode a charset with, or None where there is none."""
    try:
        found = codecs.lookup(name.strip().strip("\"'")).name
        b" ".decode(found, "ignore")  # fails for codecs whose result is no text
    except (LookupError, ValueError):
        return None
    return None if found in _NO_CHARSETS else _MEANT.get(found, found)
