"""Encoders, one file each, and the service that runs them."""
