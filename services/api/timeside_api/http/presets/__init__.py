"""Presets: processors with parameters, under a name."""
