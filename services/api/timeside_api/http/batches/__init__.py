"""Batches: many items made, changed, tagged or removed at once."""
