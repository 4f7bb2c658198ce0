"""One trace from the request over the bus to the result: real processes, a real broker, a collector of our own."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support import services
from tests.support.collector import Collected, Collector, collecting
from tests.support.services import Service
from tests.support.stages import recording

from timeside.client import Client
from timeside_api.database import Database
from timeside_api.http.accounts import administration
from timeside_core import topics

pytestmark = pytest.mark.integration

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def traced(tmp_path: Path, kafka_bootstrap: str, database_url: str, collector: Collector) -> Iterator[str]:
    """Address of a platform of real processes that tell of their traces."""
    asyncio.run(topics.apply(kafka_bootstrap))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "DATABASE_URL": database_url,
        "HOME": str(tmp_path),
        "SECRET": "s" * 32,
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "TRACES_URL": collector.url,
    }
    environ = services.environ(tmp_path, kafka_bootstrap) | {
        f"TIMESIDE_{name}": each for name, each in variables.items()
    }
    roles = [
        Service("api", environ, tmp_path / f"{role}.log", ("--role", role))
        for role in ("http", "dispatcher", "recorder")
    ]
    with ExitStack() as stack:
        for role in roles:
            role.start()
            stack.callback(role.stop)
        for role in roles:
            role.wait_ready()
        stack.enter_context(
            services.running(tmp_path, kafka_bootstrap, "decoder", "analyzer", traces_url=collector.url)
        )
        yield f"http://127.0.0.1:{port}"


async def key(database_url: str) -> str:
    """Of the first administrator."""
    database = Database(database_url)
    try:
        await administration.first(database)
        (admin,) = await administration.every(database)
        return await administration.key(database, admin.name, "traces", 1)
    finally:
        await database.close()


async def analysed(url: str, key: str, path: Path) -> tuple[dict[str, Any], str]:
    """A task that was asked for with a trace, done; and how the request was named."""
    async with Client(url, key) as client, httpx.AsyncClient(base_url=url) as plain:
        item = await client.add(path, "A")
        headers = {"Authorization": f"Bearer {key}", "traceparent": f"00-{TRACE}-{CALLER}-01"}
        wanted = {"item_id": item["id"], "processors": [{"processor": "level"}, {"processor": "mfcc"}]}
        answer = await plain.post("/v1/tasks", json=wanted, headers=headers)
        assert answer.is_success, answer.text
        async for _ in client.follow(answer.json()["id"]):
            pass
        return await client.task(answer.json()["id"]), answer.headers["X-Request-Id"]


def test_a_trace_leads_from_the_request_to_the_result(
    tmp_path: Path, traced: str, database_url: str, collector: Collector
):
    token = asyncio.run(key(database_url))
    task, named = asyncio.run(analysed(traced, token, recording(tmp_path / "a.wav")))
    assert (task["state"], named) == ("done", TRACE)

    def of_trace(spans: list[Collected]) -> dict[str, list[Collected]]:
        found: dict[str, list[Collected]] = {}
        for each in spans:
            if each.trace_id == TRACE:
                found.setdefault(each.service.removeprefix("timeside-"), []).append(each)
        return found

    complete = {"api-http", "api-dispatcher", "api-recorder", "decoder", "analyzer"}
    spans = of_trace(collector.until(lambda all: of_trace(all).keys() >= complete))
    assert spans.keys() == complete
    (request,), (attempt,), (decoding,), (analysis,) = (
        spans[each] for each in ("api-http", "api-dispatcher", "decoder", "analyzer")
    )
    assert (request.name, request.parent_id) == ("POST /v1/tasks", CALLER)
    assert attempt.parent_id == request.id
    assert decoding.parent_id == attempt.id
    assert analysis.parent_id == decoding.id
    assert {each.parent_id for each in spans["api-recorder"]} <= {decoding.id, analysis.id}
    assert [each.parent_id for each in spans["api-recorder"]].count(analysis.id) == 2  # level and mfcc
    assert decoding.attributes["timeside.run"] == attempt.attributes["timeside.run"]
    assert decoding.began_ns <= analysis.began_ns <= analysis.ended_ns
    assert not any(each.is_error for some in spans.values() for each in some)
    addresses = [each.attributes.get(name) for each in collector.spans for name in ("url.path", "url.query")]
    assert set(addresses) <= {"REDACTED", None}
