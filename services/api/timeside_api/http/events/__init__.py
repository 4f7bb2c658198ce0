"""Events: what happens to one's things."""
