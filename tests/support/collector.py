"""A collector of traces: takes what services send by OTLP over HTTP, and keeps it in memory.

    python collector.py PORT

serves everybody, and writes a line for each span: trace, service, name.
"""

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Collected:
    """A span as it came."""

    service: str
    name: str
    trace_id: str
    id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    is_error: bool
    attributes: dict[str, str | int]


@dataclass
class Collector:
    """What has come so far."""

    url: str
    spans: list[Collected] = field(default_factory=list)

    def until(self, enough: Callable[[list[Collected]], bool]) -> list[Collected]:
        """Wait until what came is enough."""
        deadline = time.monotonic() + PATIENCE_S
        while not enough(self.spans):
            assert time.monotonic() < deadline, [(each.service, each.name, each.trace_id) for each in self.spans]
            time.sleep(0.1)
        return list(self.spans)


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector on loopback."""
    collector = Collector("")
    with _server("127.0.0.1", 0, collector.spans.extend) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield collector
        finally:
            server.shutdown()
            serving.join()


def _server(host: str, port: int, take: Callable[[list[Collected]], None]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            take(_spans(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return ThreadingHTTPServer((host, port), Handler)


def _spans(body: bytes) -> list[Collected]:
    found: list[Collected] = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            found += [
                Collected(
                    service=about["service.name"],
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    began_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                    is_error=span.status.code == span.status.STATUS_CODE_ERROR,
                    attributes={
                        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
                    },
                )
                for span in scope.spans
            ]
    return found


def _write(spans: list[Collected]) -> None:
    for each in spans:
        print(each.trace_id, each.service, each.name, flush=True)


if __name__ == "__main__":
    _server("0.0.0.0", int(sys.argv[1]), _write).serve_forever()
