"""`/` and the files that its page is made of: they travel in the package, and need nothing from elsewhere."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Request, Response

from timeside_api.http.media.sending import is_fresh
from timeside_api.http.problems import not_found

router = APIRouter(include_in_schema=False)

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

FileName = Annotated[str, Path(pattern=r"^[a-z-]{1,40}\.(css|js|svg)$")]


class PageFile(NamedTuple):
    """A file with what is said of it."""

    content: bytes
    media_type: str
    etag: str


@router.get("/", operation_id="page")
async def page(request: Request) -> Response:
    """The page."""
    return _answer(request, "index.html")


@router.get("/page/{name}", operation_id="page_file")
async def page_file(name: FileName, request: Request) -> Response:
    """A style, module or picture of it."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    file = _files().get(name)
    if file is None:
        raise not_found("file", name)
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
    if is_fresh(request, file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)


@cache
def _files() -> dict[str, PageFile]:
    """All of them, by name: some 60 KiB."""
    found: dict[str, PageFile] = {}
    for file in files("timeside_api.http.page").joinpath("static").iterdir():
        content = file.read_bytes()
        media_type = _TYPES[file.name.rpartition(".")[2]]
        found[file.name] = PageFile(content, media_type, f'"{sha256(content).hexdigest()[:32]}"')
    return found
