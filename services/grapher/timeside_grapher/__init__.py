"""Graphers, and the service that runs them."""
