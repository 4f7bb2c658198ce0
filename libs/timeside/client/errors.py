"""What can go wrong with a server.

ClientError
├── UnreachableError  nobody answered
├── ApiError          an answer that is an error
└── ResultError       a result that was not made
"""

from typing import Any, cast

from timeside_core.errors import TimesideError


class ClientError(TimesideError):
    """Root of the errors of the client."""


class UnreachableError(ClientError):
    """The server did not answer."""


class ResultError(ClientError):
    """A result was not made; the message says why."""


class ApiError(ClientError):
    """The server answered with an error; the message is its own."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code

    @classmethod
    def of(cls, status: int, problem: Any) -> "ApiError":
        """From a problem document, or from whatever else was answered."""
        known = cast("dict[str, Any]", problem) if isinstance(problem, dict) else {}
        detail = known.get("detail") or f"the server answered with status {status}"
        return cls(status, str(known.get("code", "unknown")), str(detail))
