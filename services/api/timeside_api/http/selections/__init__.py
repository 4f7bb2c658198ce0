"""Selections: items that belong together."""
