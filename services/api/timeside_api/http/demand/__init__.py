"""On demand: what does not exist is begun by who asks for it, and everybody else who asks joins in."""
