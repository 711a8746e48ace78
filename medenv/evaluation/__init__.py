"""Playing a policy on held-out questions, and the figures that come out."""
