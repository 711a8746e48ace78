"""Corpora: where passages live and how they are found."""

from medenv.corpus.bm25 import BM25Retriever
from medenv.corpus.disk import PassageFile
from medenv.corpus.store import PassageStore

__all__ = ["BM25Retriever", "PassageFile", "PassageStore"]
