"""Decoders, and the service that runs them."""
