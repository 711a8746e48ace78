"""Corpora and retrievers: where passages live and how they are found."""
