"""A bucket behind S3's HTTP interface, on loopback; gone with the test."""

import contextlib
import socket
import urllib.request
from collections.abc import Generator

from moto.server import ThreadedMotoServer

NAME = "bucket"
_CREDENTIALS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "aws_region": "us-east-1"}


@contextlib.contextmanager
def serving() -> Generator[dict[str, str]]:
    """Endpoint and credentials by which `s3://bucket` can be had."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        _create(f"http://127.0.0.1:{port}")
        yield {"endpoint": f"http://127.0.0.1:{port}", **_CREDENTIALS}
    finally:
        server.stop()


def environ(config: dict[str, str]) -> dict[str, str]:
    """The same as variables, for services."""
    names = {name: value for name, value in config.items() if name != "endpoint"}
    return {name.upper(): value for name, value in names.items()} | {
        "AWS_ENDPOINT_URL": config["endpoint"],
        "AWS_ALLOW_HTTP": "true",
    }


def _create(endpoint: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{NAME}", method="PUT")):
        pass
