"""Dialects: how a policy writes calls and answers."""
