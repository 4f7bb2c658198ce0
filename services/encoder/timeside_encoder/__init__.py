"""Encoders, and the service that runs them."""
