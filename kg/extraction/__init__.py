"""Graphs extracted from a corpus by a language model."""
