"""The gateway: HTTP, dispatcher and recorder; the only package that talks to PostgreSQL."""
