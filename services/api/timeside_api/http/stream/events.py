"""`/v1/tasks/{id}/stream` and `/v1/results/{id}/stream`: what `WS /v1/stream` says, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi.sse import format_sse_event
from pydantic_core import to_json

from timeside_api.http import sse
from timeside_api.http.access import Caller, CallerOf
from timeside_api.http.openapi import errors
from timeside_api.http.platform import Platform, PlatformOf
from timeside_api.http.problems import Problem, invalid
from timeside_api.http.stream.cursor import Cursor
from timeside_api.http.stream.repository import Subject, see
from timeside_api.http.stream.schemas import MAX_MESSAGE_BYTES
from timeside_api.http.stream.subscription import Subscription
from timeside_core.messages import PartialRows

router = APIRouter()

LOOK_S = 1.0
"""How often a stream that has nothing to say looks whether it must end."""
_STREAM: dict[int | str, dict[str, Any]] = {**sse.STREAM, **errors(404, 429)}
LastId = Annotated[
    str | None, Header(max_length=MAX_MESSAGE_BYTES, description="Id of the last event that had one: to go on there.")
]


@router.get(
    "/tasks/{task_id}/stream",
    operation_id="task_stream",
    tags=["tasks"],
    response_class=Response,
    responses=_STREAM,
)
async def task_stream(
    task_id: UUID, request: Request, caller: CallerOf, parts: PlatformOf, last_event_id: LastId = None
) -> Response:
    """Watch a task: its state, and rows of its results as they are completed.

    Events are named as messages of `WS /v1/stream` are, and have the same fields; `rows` has numbers as JSON, NaN as
    null. The id is a token: who comes back with it as `Last-Event-ID` misses nothing and hears nothing twice. After
    `end` there is nothing to come: close the stream then.
    """
    return await _answer(request, parts, caller, Subject(task_id, None), last_event_id)


@router.get(
    "/results/{result_id}/stream",
    operation_id="result_stream",
    tags=["results"],
    response_class=Response,
    responses=_STREAM,
)
async def result_stream(
    result_id: UUID, request: Request, caller: CallerOf, parts: PlatformOf, last_event_id: LastId = None
) -> Response:
    """Watch a result: its state, and its rows as they are completed, by the same events as a task."""
    return await _answer(request, parts, caller, Subject(None, result_id), last_event_id)


async def _answer(
    request: Request, parts: Platform, caller: Caller, subject: Subject, last_event_id: str | None
) -> Response:
    try:
        cursor = Cursor() if last_event_id is None else Cursor.of(last_event_id)
    except ValueError as error:
        raise invalid("Last-Event-ID", str(error)) from None
    async with parts.database.transaction() as session:
        await see(session, caller, subject)  # raises where it may not be seen
    return sse.answer(request, caller, _messages(parts, caller, subject, cursor))


async def _messages(parts: Platform, caller: Caller, subject: Subject, cursor: Cursor) -> AsyncGenerator[bytes]:
    """Events, one at a time: the subscription goes on when the client has taken the last."""
    said: asyncio.Queue[bytes] = asyncio.Queue(1)

    async def say(what: dict[str, Any] | bytes) -> None:
        assert isinstance(what, dict)  # rows too, by the form that was asked for
        async with asyncio.timeout(parts.settings.stream_send_s):
            await said.put(_event(what))

    async def work() -> None:
        try:
            await Subscription(parts, caller, subject, cursor, say, form=_rows).run()
        except Problem as problem:
            await say({"op": "error", "code": problem.code, "detail": problem.detail})

    working = parts.duties.start(work())
    try:
        while not (working.done() and said.empty()):
            try:
                async with asyncio.timeout(LOOK_S):
                    yield await said.get()
            except TimeoutError:
                yield b""
    finally:
        working.cancel()


def _event(what: dict[str, Any]) -> bytes:
    name, data = what["op"], {field: value for field, value in what.items() if field not in ("op", "token")}
    return format_sse_event(
        event=name, id=what.get("token"), data_str=to_json(data, inf_nan_mode="null", serialize_unknown=False).decode()
    )


def _rows(rows: PartialRows) -> dict[str, Any]:
    place = {name: getattr(rows, name) for name in ("attempt", "processor", "output", "first_row")}
    numbers = {name: getattr(rows.rows, name).tolist() for name in ("values", "times", "durations")}
    return {"op": "rows", "run": str(rows.run_id), **place, **{name: found for name, found in numbers.items() if found}}
