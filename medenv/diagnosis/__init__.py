"""Diagnosis: diseases ranked by findings, simulated and real patients."""
