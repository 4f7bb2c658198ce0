"""Imports: URLs, manifests and folders that become items."""
