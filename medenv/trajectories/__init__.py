"""Trajectories to learn from: teachers, filters, the leak detector, and what is written of them."""
