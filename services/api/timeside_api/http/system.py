"""`/livez` and `/readyz`: whether this process lives, and whether it can answer."""

from fastapi import APIRouter, Response
from sqlalchemy import text

from timeside_api.http.platform import Session

router = APIRouter(tags=["system"])


@router.get("/livez", operation_id="live", status_code=204)
async def live() -> Response:
    """Whether the process lives."""
    return Response(status_code=204)


@router.get("/readyz", operation_id="ready", status_code=204)
async def ready(session: Session) -> Response:
    """Whether the database answers."""
    await session.execute(text("SELECT 1"))
    return Response(status_code=204)
