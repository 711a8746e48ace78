"""Extraction of graphs from a corpus by a language model."""
