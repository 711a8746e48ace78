"""Counterfactual worlds: renamed, rewired, unanswerable."""
