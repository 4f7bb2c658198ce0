"""A bucket behind S3's HTTP interface, on loopback; gone with the test."""

import contextlib
import socket
from collections.abc import Iterator

from moto.server import ThreadedMotoServer

NAME = "bucket"
_CREDENTIALS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "aws_region": "us-east-1"}


@contextlib.contextmanager
def serving() -> Iterator[dict[str, str]]:
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
    import boto3

    credentials = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **credentials)
    client.create_bucket(Bucket=NAME)
    client.close()
