"""Migrations of the tables, oldest first; each adds first and removes one release later, so that both can run."""
