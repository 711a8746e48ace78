"""Scripted policies that try to be paid without answering."""
