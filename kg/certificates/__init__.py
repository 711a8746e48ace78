"""Typed queries, their outcomes, and certificates that prove them."""
