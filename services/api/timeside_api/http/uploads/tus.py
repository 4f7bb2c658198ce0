"""What tus 1.0 says in headers, and a layer that makes all answers about uploads speak it."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from timeside_api.http.problems import CHECKSUM_MISMATCH, Problem, invalid

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
ALGORITHMS = ("sha1", "sha256")
MEDIA_TYPE = "application/offset+octet-stream"
PATH = re.compile(r"/v1/uploads(/[^/]+)?")
_OVERRIDES = frozenset({"PATCH", "DELETE", "HEAD"})
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class Tus:
    """Names the version in all answers; lets clients that cannot send a PATCH say so in a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] != "http" or not PATH.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        method = Headers(scope=scope).get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and method in _OVERRIDES:
            scope["method"] = method

        async def send_(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Tus-Resumable", VERSION)
            await send(message)

        await self._app(scope, receive, send_)


def check_version(request: Request) -> None:
    """Refuse who speaks another version, or does not say which."""
    if request.headers.get("tus-resumable") != VERSION:
        rule = f"Tus-Resumable: {VERSION} is needed"
        raise Problem(412, "tus-version", rule, headers={"Tus-Version": VERSION})


def has_bytes(request: Request) -> bool:
    """Whether the body of a request is bytes of an upload."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


def number(request: Request, name: str) -> int:
    """A count of bytes in a header."""
    text = request.headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise invalid(name, "must be a count of bytes")
    return int(text)


def metadata(header: str) -> dict[str, str]:
    """`Upload-Metadata`: names, and texts in base64."""
    found: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise invalid("Upload-Metadata", f"{key!r} must have a text in base64") from None
        if not _KEY.fullmatch(key) or key in found or "\0" in text:
            raise invalid("Upload-Metadata", f"{key!r} must come once, without NUL")
        found[key] = text
    return found


def expires(at: datetime) -> str:
    """`Upload-Expires`."""
    return format_datetime(at.astimezone(UTC), usegmt=True)


@dataclass(frozen=True)
class Checksum:
    """Of the bytes of one request, as the client says."""

    algorithm: str
    digest: bytes

    @classmethod
    def of(cls, request: Request) -> "Checksum | None":
        """That of a request, if it has one."""
        header = request.headers.get("upload-checksum")
        if header is None:
            return None
        algorithm, _, digest = header.strip().partition(" ")
        try:
            decoded = base64.b64decode(digest, validate=True)
        except binascii.Error:
            decoded = b""
        if algorithm not in ALGORITHMS or len(decoded) != hashlib.new(algorithm).digest_size:
            rule = f"Upload-Checksum must be one of {', '.join(ALGORITHMS)}, and the digest in base64"
            raise Problem(400, "checksum", rule)
        return cls(algorithm, decoded)

    def new(self) -> Any:
        """A hash to be fed."""
        return hashlib.new(self.algorithm)

    def check(self, digest: bytes) -> None:
        """Refuse bytes that are not those that were sent."""
        if digest != self.digest:
            rule = f"the bytes that came have another {self.algorithm}; none of them is kept"
            raise Problem(CHECKSUM_MISMATCH, "checksum", rule)
