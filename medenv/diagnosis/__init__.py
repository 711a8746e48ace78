"""Diagnosis: a model that ranks diseases by findings, and simulated and real cases."""
