"""Tasks: processors applied to an item."""
