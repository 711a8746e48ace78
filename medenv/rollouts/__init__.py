"""Drivers that play whole episodes, and scripted policies."""
