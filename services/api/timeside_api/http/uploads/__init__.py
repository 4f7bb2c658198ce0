"""Uploads that can be gone on with: tus 1.0."""
