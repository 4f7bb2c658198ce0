"""Live sources for tests: a writer of FIFOs, and a loopback server that sends, stalls and hangs up as it is told."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from timeside_core.fetch import FetchSettings
from timeside_decoder.fetched import Fetched

CHUNK_BYTES = 1000


@contextmanager
def fifo(path: Path, chunks: Iterable[bytes]) -> Iterator[str]:
    """A FIFO that a thread writes chunks to and then closes; gives the name of the source."""
    os.mkfifo(path)
    writer = threading.Thread(target=_write, args=(path, chunks))
    writer.start()
    try:
        yield f"pipe:{path}"
    finally:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # nobody may have come to read
        writer.join()


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    try:
        with open(path, "wb", buffering=0) as file:
            for chunk in chunks:
                file.write(chunk)
    except BrokenPipeError:  # the reader has heard enough
        return


def cut(content: bytes, size: int = CHUNK_BYTES) -> list[bytes]:
    """Content in chunks."""
    return [content[start : start + size] for start in range(0, len(content), size)]


Answer = Callable[[BaseHTTPRequestHandler], Any]
"""Answers one request: what is written to its `wfile` goes out at once; on return it hangs up."""


class Station(ThreadingHTTPServer):
    """Answers the requests it gets with the given answers in turn, the last one again and again."""

    daemon_threads = False  # and so closing waits for them
    block_on_close = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.requests: list[str] = []
        self.ended = threading.Event()
        """Set when nobody listens any more: answers that wait look at it."""

    @property
    def url(self) -> str:
        """Of the stream."""
        return f"http://127.0.0.1:{self.server_port}/stream"

    def open_bytes(self, url: str, *, may_end: bool = False) -> Fetched:
        """The guarded fetcher, let through to this server only."""
        settings = FetchSettings(
            ports=frozenset({self.server_port}),
            allowed_networks=(IPv4Network("127.0.0.1/32"),),
            max_bytes=None,
            total_s=None,
        )
        return Fetched(url, settings, may_end=may_end)


class _Handler(BaseHTTPRequestHandler):
    server: Station

    def do_GET(self) -> None:
        index = min(len(self.server.requests), len(self.server.answers) - 1)
        self.server.requests.append(self.path)
        try:
            self.server.answers[index](self)
        except (BrokenPipeError, ConnectionResetError):
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def station(*answers: Answer) -> Iterator[Station]:
    """A server on loopback."""
    with Station(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


def head(request: BaseHTTPRequestHandler, *headers: tuple[str, str], status: int = 200) -> None:
    """Begin an answer as Icecast does: no length, the end of the connection is the end."""
    request.send_response(status)
    for name, value in headers:
        request.send_header(name, value)
    request.end_headers()


def send(content: bytes, *headers: tuple[str, str]) -> Answer:
    """Send it all, then hang up."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        head(request, *headers)
        request.wfile.write(content)

    return answer


def send_and_stall(content: bytes) -> Answer:
    """Send it all, then nothing, without hanging up."""

    def answer(request: Any) -> None:
        head(request)
        request.wfile.write(content)
        request.server.ended.wait(30)

    return answer


def refuse(status: int) -> Answer:
    """Answer with a status and nothing else."""
    return lambda request: head(request, ("Content-Length", "0"), status=status)
