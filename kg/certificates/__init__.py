"""Typed queries, their outcomes, and certificates of their answers."""
