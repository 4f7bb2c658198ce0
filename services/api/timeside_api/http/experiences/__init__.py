"""Experiences: what is asked of media together."""
