"""Spelling variants: British and American, plural and singular, names of Greek letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

_OUR = "arm behavi col fav flav harb hum lab neighb od parl rig sav tum vap vig"
_LL = "channel label level model signal travel tunnel"
_AMERICAN = {
    **{f"{stem}our": f"{stem}or" for stem in _OUR.split()},
    **{f"{stem}ll": f"{stem}l" for stem in _LL.split()},
    **{f"{stem}ogue": f"{stem}og" for stem in ("anal", "catal", "dial", "homol")},
    "ageing": "aging",
    "aluminium": "aluminum",
    "artefact": "artifact",
    "calibre": "caliber",
    "centre": "center",
    "defence": "defense",
    "draught": "draft",
    "fibre": "fiber",
    "goitre": "goiter",
    "grey": "gray",
    "judgement": "judgment",
    "licence": "license",
    "litre": "liter",
    "maneuvre": "maneuver",
    "metre": "meter",
    "mould": "mold",
    "plough": "plow",
    "practis": "practic",
    "programme": "program",
    "sabre": "saber",
    "sulph": "sulf",
    "theatre": "theater",
    "titre": "titer",
}
_BRITISH = re.compile(
    "|".join(_AMERICAN) + r"|(?<=[a-z]{3})(?P<sound>[iy])s(?=(?:e[drs]?|ing|ations?)$)"
)
_NOT_PLURAL = ("ss", "us", "is", "as", "os")

GREEK: Mapping[str, str] = MappingProxyType(
    {
        chr(code): unicodedata.name(chr(code)).rsplit(" ", 1)[-1].lower()
        for code in (*range(0x3B1, 0x3C2), *range(0x3C3, 0x3CA))
    }
)
"""Greek letter to its name, ``"α"`` to ``"alpha"``; folding turns a final sigma into ``"σ"``."""


def american(word: str) -> str:
    """Return the American spelling of a word: "haematoma" is "hematoma", "tumour" is "tumor".

    Args:
        word: A folded word; words of fewer than five letters keep ae and oe.
    """
    if len(word) >= 5:
        word = word.replace("ae", "e").replace("oe", "e")
    return _BRITISH.sub(lambda match: _AMERICAN.get(match[0]) or f"{match['sound']}z", word)


def singular(word: str) -> str:
    """Return the singular of an English word, judged by its ending.

    Args:
        word: A folded word; "genes" is "gene" and "biopsies" is "biopsy"; endings that are rarely
            plural, as in "virus" and "pancreas", are kept.
    """
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(_NOT_PLURAL) else word
