"""Processors: what can be asked of media."""
