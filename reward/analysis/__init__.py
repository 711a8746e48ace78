"""Rewards analysed: groups, rescoring, variants, shuffled controls."""
