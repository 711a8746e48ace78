"""The medical search tool: ranks by relevance, authority and age of the source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from medenv.errors import UsageError
from medenv.records import Passage, Retriever
from medenv.text import fold, fold_name
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.search import problem_of, show_hits

TIERS: Mapping[str, float] = MappingProxyType(
    {
        "guideline": 1.0,
        "systematic review": 0.95,
        "meta-analysis": 0.95,
        "randomized": 0.85,
        "orphanet": 0.8,
        "orpha": 0.8,
        "omim": 0.8,
        "hpo": 0.8,
        "genereviews": 0.8,
        "pubmed": 0.6,
        "bioasq": 0.6,
        "medquad": 0.5,
        "textbook": 0.5,
        "web": 0.2,
    }
)
"""Word in a source's name to its authority in [0, 1]; the highest match counts."""

EVIDENCE_TIERS: Mapping[str, float] = MappingProxyType(
    {
        "guideline": 1.0,
        "review": 0.95,
        "curated": 0.85,
        "reference": 0.8,
        "literature": 0.6,
        "consumer": 0.5,
    }
)
"""Kind of source (`medenv.records.EVIDENCE`) to its authority in [0, 1]; before its name."""

UNKNOWN_TIER = 0.3
"""Authority of a source whose name contains no word of the tiers."""

_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_MAX_SOURCES = 16
_CANDIDATES_PER_RESULT = 10
_MAX_HITS = 2_000


class MedSearch(Tool):
    """Tool that ranks passages by ``weight * relevance + (1 - weight) * authority``.

    Relevance is the retriever's score divided by the best score of the query. Authority is the tier
    of the passage's kind of source, or of its source's name, halved for every `half_life` years of
    age if set. The candidates are the retriever's best ``10 * k`` passages.

    Args:
        retriever: The corpus.
        k: Number of passages to show.
        weight: Weight of relevance, in [0, 1].
        tiers: Word in a source's name to its authority, in [0, 1].
        half_life: Years after which authority is halved, or None; the year is the last one in the
            passage's date, or else in its source, and a passage without a year counts as one
            half-life old.
        as_of: The year from which ages are computed.

    Raises:
        UsageError: A value out of range.
    """

    name = "med_search"

    def __init__(
        self,
        retriever: Retriever,
        *,
        k: int = 5,
        weight: float = 0.7,
        tiers: Mapping[str, float] = TIERS,
        half_life: float | None = None,
        as_of: int = 2026,
    ) -> None:
        if k < 1 or not 0 <= weight <= 1 or (half_life is not None and half_life <= 0):
            raise UsageError(
                "med_search needs k >= 1, a weight in [0, 1] and a half_life above 0, got "
                f"{k}, {weight}, {half_life}"
            )
        if not all(0 <= tier <= 1 for tier in tiers.values()):
            raise UsageError(f"tiers are in [0, 1], got {dict(tiers)}")
        super().__init__()
        self.local = getattr(retriever, "local", True)
        self._retriever, self._k, self._weight = retriever, k, weight
        self._tiers = {fold(word): tier for word, tier in tiers.items()}
        self._half_life, self._as_of = half_life, as_of

    def call(self, query: str, sources: list[str] = []) -> ToolOutput:  # noqa: B006 - a schema's default, never changed
        """Search medical sources; reliable and fitting passages come first.

        Args:
            query: Words to look for, such as the name of a disease, gene or symptom.
            sources: Words of which one must be in the name of a passage's source, or kinds of
                sources such as guideline, curated or consumer; empty for all.
        """
        if problem := problem_of([query]):
            return ToolOutput(text=problem, status="bad_call")
        if len(sources) > _MAX_SOURCES:
            text = f"at most {_MAX_SOURCES} sources at once, got {len(sources)}"
            return ToolOutput(text=text, status="bad_call")
        hits = self._candidates(query, [fold(source) for source in sources])
        if not hits:
            return ToolOutput(text="No passage matches; try other words.", status="empty")
        best = hits[0][1]
        scored = [(self.score(passage, found / best), passage) for passage, found in hits]
        scored.sort(key=lambda pair: (-pair[0], pair[1].id))
        shown = [passage for _, passage in scored[: self._k]]
        return ToolOutput(
            text=show_hits(shown, graded=True), passages=tuple(passage.id for passage in shown)
        )

    def score(self, passage: Passage, relevance: float) -> float:
        """Return the score of a passage.

        Args:
            passage: The passage.
            relevance: Its relevance in [0, 1].
        """
        return self._weight * relevance + (1 - self._weight) * self.authority(passage)

    def authority(self, passage: Passage) -> float:
        """Return the authority of a passage's source, in [0, 1]."""
        source = fold_name(passage.source)
        named = max((t for word, t in self._tiers.items() if word in source), default=UNKNOWN_TIER)
        tier = EVIDENCE_TIERS.get(passage.evidence, named)
        if self._half_life is None:
            return tier
        years = _YEAR.findall(passage.date) or _YEAR.findall(source)
        age = max(0, self._as_of - int(years[-1])) if years else self._half_life
        return float(tier * 0.5 ** (age / self._half_life))

    def _candidates(self, query: str, sources: Sequence[str]) -> list[tuple[Passage, float]]:
        """Return the retriever's best passages of the given sources, best first."""
        pool = limit = _CANDIDATES_PER_RESULT * self._k
        while True:
            hits = self._retriever.search([query], limit)[0]
            candidates = [
                hit
                for hit in hits
                if not sources
                or {*sources} & {hit[0].evidence}
                or any(word in fold_name(hit[0].source) for word in sources)
            ]
            if len(candidates) >= pool or len(hits) < limit or limit >= _MAX_HITS:
                return candidates[:pool]
            limit *= 4
