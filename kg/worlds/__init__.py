"""Counterfactual worlds: renamed, rewired and unanswerable."""
