"""Hydra configs: schemas generated from records, and how a recipe is launched."""
