"""Gymnasium environments over the episode engine."""
