"""Glue to trainers: only here may the library import verl, ray, torch, vllm or hydra."""
