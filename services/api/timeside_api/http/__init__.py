"""The HTTP role: `/v1` over FastAPI, one folder per resource with the same file names.

- `endpoints`: routes; they decide what is allowed, and call the repository.
- `schemas`: what goes in and out.
- `repository`: all SQL, in functions that take the session of the request's transaction.
"""
