"""Trajectories for training: teachers, filters, leak detection and export."""
