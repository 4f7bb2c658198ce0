"""Transcodes: sent while they are made, then by range; made once, and kept."""
