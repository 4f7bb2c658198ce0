"""`/v1/links`."""

import time

from fastapi import APIRouter

from timeside_api.http.access import CallerOf
from timeside_api.http.links.schemas import LinkOut, NewLink
from timeside_api.http.platform import PlatformOf

router = APIRouter(prefix="/links", tags=["media"])


@router.post("", operation_id="link_create", status_code=201)
async def link_create(body: NewLink, caller: CallerOf, parts: PlatformOf) -> LinkOut:
    """Make a link to a file.

    For players and downloads, which cannot send a header. Whoever has the link reads what the caller may read there,
    until it expires.
    """
    life_s = parts.settings.link_s
    credential = {"sign_in_id": caller.sign_in_id, "api_key_id": caller.api_key_id}
    token = parts.tokens.link(body.path, **credential, expires_at=int(time.time()) + life_s)
    return LinkOut(url=f"{body.path}?link={token}", expires_in=life_s)
