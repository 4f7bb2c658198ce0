"""Media: bytes in, bytes out."""
