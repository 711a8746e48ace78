"""Corpora: where passages live and how they are found."""

from medenv.retrieval.bm25 import BM25Retriever
from medenv.retrieval.disk import PassageFile
from medenv.retrieval.store import PassageStore

__all__ = ["BM25Retriever", "PassageFile", "PassageStore"]
