"""The HTTP role as a process of its own: it serves, it tells its state, it ends when told."""

import signal
import socket
from pathlib import Path

import httpx
import pytest
from tests.support.services import Service

from timeside_core import topics

pytestmark = pytest.mark.integration


async def test_the_role_serves_until_told_to_stop(tmp_path: Path, kafka_bootstrap: str, database_url: str):
    await topics.apply(kafka_bootstrap)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    variables = {
        "KAFKA_BOOTSTRAP": kafka_bootstrap,
        "DATABASE_URL": database_url,
        "HOME": str(tmp_path),
        "SECRET": "s" * 32,
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": port,
    }
    environ = {f"TIMESIDE_{name}": value for name, value in variables.items()}
    service = Service("api", environ, tmp_path / "log", arguments=("--role", "http"))
    service.start()
    try:
        service.wait_ready()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/readyz")).status_code == 204
            assert (await client.get("/v1/items")).status_code == 401
    finally:
        service.signal(signal.SIGTERM)
        assert service.stop() == 0
