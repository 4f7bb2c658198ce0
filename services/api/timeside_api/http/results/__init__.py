"""Results: facts, rows by slice and level, tiles, files."""
