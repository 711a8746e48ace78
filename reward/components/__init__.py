"""The components of a reward, one module each."""
