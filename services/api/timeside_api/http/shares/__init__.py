"""Shares: one thing that one account may have besides its owner."""
