"""Reward ablation on stored rollouts, and the attack suite."""
