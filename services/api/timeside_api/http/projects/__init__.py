"""Projects: what several people work on."""
