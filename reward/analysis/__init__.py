"""Analyse rewards: groups, rescoring, variants, shuffled controls."""
