"""Errors as `application/problem+json` (RFC 9457): what is wrong, in which field, by which rule."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from timeside_api.database import is_away, sqlstate
from timeside_api.errors import DatabaseError, IdempotencyError, QuotaError, UnknownMediaError, UnknownTaskError
from timeside_core.errors import (
    BusError,
    ChangedMediaError,
    ParameterError,
    PipelineError,
    SegmentError,
    StoreError,
    TimesideError,
    UnknownProcessorError,
)

MEDIA_TYPE = "application/problem+json"
CHECKSUM_MISMATCH = 460
"""What tus answers where the bytes of a request are not those that were sent."""
RETRY_S = 2
"""After which what is away may be back."""
REVALIDATED = "private, no-cache"
"""What may be kept, by who asked for it, but is asked for again before it is used."""
_log = logging.getLogger(__name__)


class FieldError(BaseModel):
    """What is wrong with a field."""

    pointer: str = Field(description="JSON pointer into the body, or the name of a parameter or header.")
    detail: str = Field(description="The rule.")


class ProblemDocument(BaseModel):
    """What went wrong with a request."""

    type: str = Field(description="Identifies the kind of problem: `urn:timeside:problem:` and the code.")
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldError] = []
    trace_id: str = Field(description="Names the request in our logs.")


class Problem(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers = list(errors), dict(headers or {})

    def response(self, trace_id: str) -> Response:
        """As it is sent."""
        document = ProblemDocument(
            type=f"urn:timeside:problem:{self.code}",
            title=phrase(self.status),
            status=self.status,
            code=self.code,
            detail=self.detail,
            errors=self.errors,
            trace_id=trace_id,
        )
        return Response(document.model_dump_json(), self.status, self.headers, MEDIA_TYPE)


_PHRASES = {
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    CHECKSUM_MISMATCH: "Checksum Mismatch",
}
"""Those of RFC 9110, which Python before 3.13 does not have, and tus's own."""


def phrase(status: int) -> str:
    """Of a status, the same on every version of Python."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


class NotModified(Exception):
    """No error: the client has what it asks for, under this ETag."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


def not_found(what: str, id: object) -> Problem:
    """It is not there, or not for who asks: the two cannot be told apart from outside."""
    return Problem(404, "not-found", f"{what} {id} is not there, or not yours")


def invalid(pointer: str, detail: str, *, code: str = "invalid") -> Problem:
    """A field breaks a rule."""
    return Problem(422, code, f"{pointer}: {detail}", errors=[FieldError(pointer=pointer, detail=detail)])


def unauthorized(detail: str) -> Problem:
    """Nobody we know."""
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="timeside"'})


def busy(detail: str, *, status: int = 503, retry_s: int = RETRY_S) -> Problem:
    """Not now."""
    return Problem(status, "busy", detail, headers={"Retry-After": str(retry_s)})


def trace_id(request: Request) -> str:
    """Of a request."""
    return request.scope.get("timeside_trace_id", "")


def install(app: FastAPI) -> None:
    """Have an app answer errors so."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(NotModified, _not_modified)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for kind in (TimesideError, DBAPIError, OSError, TimeoutError):
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(Exception, _unknown)


async def _problem(request: Request, error: Any) -> Response:
    return error.response(trace_id(request))


async def _not_modified(request: Request, error: Any) -> Response:
    return Response(status_code=304, headers={"ETag": error.etag, "Cache-Control": REVALIDATED})


async def _validation(request: Request, error: Any) -> Response:
    found = [FieldError(pointer=_pointer(each["loc"]), detail=_rule(each["msg"])) for each in error.errors()[:16]]
    detail = "; ".join(f"{each.pointer}: {each.detail}" for each in found[:3])
    return Problem(422, "invalid", detail, errors=found).response(trace_id(request))


async def _http(request: Request, error: Any) -> Response:
    code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "refused")
    headers = dict(error.headers or {})
    return Problem(error.status_code, code, str(error.detail), headers=headers).response(trace_id(request))


async def _known(request: Request, error: Any) -> Response:
    problem = _as_problem(error)
    if problem is None:
        return await _unknown(request, error)
    if problem.status >= 500:
        _log.warning("%s: %s", problem.code, error, extra={"trace_id": trace_id(request)})
    return problem.response(trace_id(request))


async def _unknown(request: Request, error: Any) -> Response:
    _log.error("a request failed", exc_info=error, extra={"trace_id": trace_id(request)})
    return Problem(500, "internal", "this is our mistake; the logs tell more").response(trace_id(request))


def _as_problem(error: Exception) -> Problem | None:
    """What to say of an error that was not meant for clients; None where it is our mistake."""
    match error:
        case UnknownTaskError() | UnknownMediaError():
            return Problem(404, "not-found", str(error))
        case QuotaError():
            field = FieldError(pointer=error.name, detail=f"{error.used}, where {error.limit} is the limit")
            return Problem(403, "quota", str(error), errors=[field])
        case IdempotencyError():
            return Problem(409, "idempotency-key-reused", str(error))
        case ParameterError() | PipelineError() | SegmentError() | UnknownProcessorError():
            return Problem(422, "invalid", str(error))
        case ChangedMediaError():
            return Problem(409, "changed", "the file that this media was used from in place has changed, or gone")
        case StoreError():
            return busy("the store cannot be read or written now")
        case BusError() | DatabaseError():
            return busy("a part of the platform is away")
        case DBAPIError() if sqlstate(error).startswith("22"):
            return Problem(422, "invalid", "a value cannot be kept: it is out of range, or has a character like NUL")
        case _:
            return busy("a part of the platform is away") if is_away(error) else None


def _pointer(location: Sequence[Any]) -> str:
    where, *path = location or ("body",)
    return "/" + "/".join(str(part) for part in path) if where == "body" else ".".join(str(part) for part in path)


def _rule(message: str) -> str:
    return message.removeprefix("Value error, ")
