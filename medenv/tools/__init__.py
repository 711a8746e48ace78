"""Tools: what a policy can call."""
