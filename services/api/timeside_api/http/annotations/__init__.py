"""Annotation tracks and annotations: made by people, edited by several at once, exchanged with other programs."""
