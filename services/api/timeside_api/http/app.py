"""The application: all resources behind one guard, with limits around them."""

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from timeside_api.database import Database
from timeside_api.http import openapi, problems, system
from timeside_api.http.access import guard
from timeside_api.http.accounts.endpoints import router as accounts
from timeside_api.http.accounts.passwords import Passwords, Throttle
from timeside_api.http.accounts.tokens import Tokens
from timeside_api.http.accounts.users import router as users
from timeside_api.http.annotations.endpoints import router as annotations
from timeside_api.http.audit.endpoints import router as audit
from timeside_api.http.batches.endpoints import router as batches
from timeside_api.http.changes import Changes
from timeside_api.http.demand.asking import Demand
from timeside_api.http.demand.endpoints import router as demand
from timeside_api.http.demand.settling import Settling
from timeside_api.http.duties import Duties
from timeside_api.http.events.endpoints import router as events
from timeside_api.http.experiences.endpoints import router as experiences
from timeside_api.http.exports import endpoints as exports
from timeside_api.http.imports.endpoints import router as imports
from timeside_api.http.imports.work import keep_importing
from timeside_api.http.items.endpoints import router as items
from timeside_api.http.keeping import keep_forgetting
from timeside_api.http.limits import Limits
from timeside_api.http.links.endpoints import router as links
from timeside_api.http.live.endpoints import router as live
from timeside_api.http.media.body import Uploads
from timeside_api.http.media.describe import Describer
from timeside_api.http.media.endpoints import router as media
from timeside_api.http.page.endpoints import router as page
from timeside_api.http.pictures import endpoints as pictures
from timeside_api.http.platform import Platform
from timeside_api.http.presets.endpoints import router as presets
from timeside_api.http.processors.endpoints import router as processors
from timeside_api.http.projects.endpoints import router as projects
from timeside_api.http.rates import Buckets, Rates
from timeside_api.http.results.endpoints import router as results
from timeside_api.http.results.library import Library
from timeside_api.http.selections.endpoints import router as selections
from timeside_api.http.settings import HttpSettings
from timeside_api.http.shares.endpoints import router as shares
from timeside_api.http.stream import schemas
from timeside_api.http.stream.endpoints import router as stream
from timeside_api.http.stream.events import router as stream_events
from timeside_api.http.stream.tap import Tap
from timeside_api.http.tasks.endpoints import router as tasks
from timeside_api.http.tasks.extending import keep_extending
from timeside_api.http.transcodes.endpoints import router as transcodes
from timeside_api.http.transcodes.relay import Relays
from timeside_api.http.uploads import tus
from timeside_api.http.uploads.endpoints import router as uploads
from timeside_api.http.uploads.keeping import keep_uploads
from timeside_api.settings import RunSettings
from timeside_core.bus import Bus
from timeside_core.store import Store

COLLECTED = (batches, presets, experiences, selections)
ON_DEMAND = (demand, pictures.items, pictures.results, transcodes, exports.results, exports.tasks, exports.selections)
SHARED = (users, projects, shares, annotations, events, audit)
STREAMED = re.compile(
    rf"/v1/items/[^/]+/media|{tus.PATH.pattern}|/v1/imports:csv|/v1/annotation-tracks/[^/]+/annotations:import"
)
"""Paths whose bodies are read as they come."""
_ABOUT = (
    "Analyse, draw and transcode audio. Sign in with `POST /v1/auth/token`, or make an API key, and send it as "
    "`Authorization: Bearer …`.\n\nErrors are `application/problem+json`; they name the field and the rule.\n\n"
    f"{schemas.__doc__}"
)
_EXPOSED = (
    "Content-Range",
    "ETag",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    *(f"TimeSide-{each}" for each in ("Dtype", "Shape", "Row-Shape", "Rows", "First-Row", "Total-Rows")),
    "TimeSide-Result",
    *(f"TimeSide-{each}-S" for each in ("Start", "Step", "Stop")),
    "TimeSide-Item-Id",
    "Tus-Resumable",
    *(f"Upload-{each}" for each in ("Expires", "Length", "Metadata", "Offset")),
    "X-Request-Id",
)
_ALLOWED = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "If-Range", "Last-Event-ID", "Range"),
    *("Tus-Resumable", "X-HTTP-Method-Override"),
    *(f"Upload-{each}" for each in ("Checksum", "Length", "Metadata", "Offset")),
)


def create_app(
    settings: HttpSettings,
    bus: Bus,
    store: Store,
    sessions: Database,
    *,
    runs: RunSettings | None = None,
    scratch: Path | None = None,
) -> FastAPI:
    """The app over parts that are started by others; `scratch` is for copies of media that lie in a bucket."""
    app = FastAPI(
        title="TimeSide",
        version=version("timeside"),
        description=_ABOUT,
        openapi_url=None,  # these would pass the guard by
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(guard)],
        responses=openapi.errors(*openapi.ALWAYS),
        lifespan=_lifespan,
        telemetry={"metrics": False, "logs": False, "operation_spans": False, "auto_configure": False},
    )
    readers = ThreadPoolExecutor(settings.readers, thread_name_prefix="readers")
    settling = Settling(sessions, poll_s=settings.demand_poll_s)
    scratch = scratch or Path(tempfile.gettempdir()) / "timeside-media"
    app.state.platform = Platform(
        settings=settings,
        bus=bus,
        store=store,
        database=sessions,
        tokens=Tokens(settings.secret.get_secret_value()),
        passwords=Passwords(threads=settings.hashers, waiting=settings.hashers_waiting),
        throttle=Throttle(failures=settings.failures, window_s=settings.failures_s),
        rates=Rates(
            callers=Buckets(per_s=settings.requests_per_s, burst=settings.requests_burst),
            strangers=Buckets(per_s=settings.strangers_per_s, burst=settings.strangers_burst),
        ),
        changes=Changes(sessions),
        duties=Duties(),
        tap=Tap(
            bus, memory_bytes=settings.stream_memory_bytes, readers=settings.stream_readers, looks=settings.stream_looks
        ),
        describer=Describer(at_a_time=settings.describers, limit_s=settings.describe_s),
        library=Library(store, readers, open_results=settings.open_results),
        uploads=Uploads(store, settings),
        demand=Demand(sessions, settling, settings),
        relays=Relays(bus, sessions, settling, settings, readers, scratch),
        readers=readers,
        exporters=ThreadPoolExecutor(settings.exports, thread_name_prefix="exporters"),
        runs=runs or RunSettings(),
        scratch=scratch,
    )
    app.state.open_streams = Counter[UUID]()
    problems.install(app)
    v1 = APIRouter(prefix="/v1")
    for router in (
        accounts,
        items,
        media,
        processors,
        tasks,
        results,
        stream,
        stream_events,
        links,
        uploads,
        imports,
        *COLLECTED,
        *ON_DEMAND,
        *SHARED,
        live,
    ):
        v1.include_router(router)
    for router in (v1, system.router, openapi.router, page):
        app.include_router(router)
    _surround(app, settings)
    return app


def _surround(app: FastAPI, settings: HttpSettings) -> None:
    """Layers around the app; the one added last is the outermost."""
    app.add_middleware(tus.Tus)
    if settings.allowed_origins:
        allowed: dict[str, Any] = {
            "allow_origins": sorted(settings.allowed_origins),
            "allow_methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            "allow_headers": list(_ALLOWED),
            "expose_headers": list(_EXPOSED),
        }
        app.add_middleware(CORSMiddleware, **allowed)
    app.add_middleware(Limits, settings=settings, streamed=STREAMED)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    parts: Platform = app.state.platform
    parts.changes.start()
    parts.duties.start(keep_uploads(parts))
    parts.duties.start(keep_importing(parts))
    parts.duties.start(keep_extending(parts.database, parts.runs))
    forgetting = asyncio.create_task(keep_forgetting(parts.database, parts.settings))
    try:
        yield
    finally:
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)
        await parts.duties.close()
        await parts.tap.close()
        await parts.changes.close()
        await parts.relays.close()
        parts.demand.settling.close()
        parts.exporters.shutdown(wait=False, cancel_futures=True)
        parts.passwords.close()
        parts.uploads.close()
        parts.readers.shutdown(wait=False, cancel_futures=True)
