"""medenv: environments in which language models learn to do medical research."""

__version__ = "0.1.0"
