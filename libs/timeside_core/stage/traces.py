"""Traces: from the request that asked for a run, over the bus, to its results; as OpenTelemetry has them.

Messages name their trace in the header `traceparent` (W3C Trace Context): commands, the first block of each stream,
results. There is a span for each run in each stage, and none for blocks, of which there are too many. Nothing is
recorded until `exporting` is told where to send it.
"""

import logging
import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import BaseModel, Field, HttpUrl

from timeside_core.bus import Headers

__all__ = [
    "INVALID_SPAN",
    "Span",
    "SpanKind",
    "TraceSettings",
    "begin",
    "current",
    "current_id",
    "exporting",
    "fail",
    "headers",
    "parent",
]

HEADER = "traceparent"
_EXPORT_S = 5.0
"""Limit of sending a batch; it is dropped where the collector does not take it."""
_CLOSE_S = 2.0
"""Limit of sending what is left when a process ends."""
_ADDRESSES = frozenset({"url.path", "url.query"})

_tracer = trace.get_tracer("timeside")
_propagator = TraceContextTextMapPropagator()


class TraceSettings(BaseModel):
    """Where traces go; settings of services have these too."""

    traces_url: HttpUrl | None = None
    """Collector of traces (OTLP over HTTP), `http://collector:4318`; none are recorded where not given."""
    traces_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the traces that is recorded; who sends a `traceparent` with a request has decided that."""


def begin(
    name: str,
    parent: str | None,
    attributes: Mapping[str, str | int | float],
    *,
    kind: SpanKind = SpanKind.CONSUMER,
    began_ms: int | None = None,
) -> Span:
    """A span below the one that `parent` names, else at the root of a new trace; to be ended."""
    context = _propagator.extract({HEADER: parent} if parent else {}, Context())
    start_ns = None if began_ms is None else began_ms * 1_000_000
    return _tracer.start_span(name, context, kind=kind, attributes=attributes, start_time=start_ns)


def fail(span: Span, reason: str) -> None:
    """Say what went wrong."""
    span.set_status(StatusCode.ERROR, reason)


def current() -> str | None:
    """The `traceparent` of what goes on in this task, if there is a trace of it."""
    return _named(trace.get_current_span())


def current_id() -> str | None:
    """Id of that trace, in 32 hexadecimal digits."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def parent(headers: Headers) -> str | None:
    """The `traceparent` of a message."""
    value = headers.get(HEADER)
    return None if value is None else value.decode("ascii", "replace")


def headers(span: Span) -> Headers | None:
    """Headers of messages that come of a span."""
    named = _named(span)
    return None if named is None else {HEADER: named.encode()}


@contextmanager
def exporting(service: str, settings: TraceSettings) -> Generator[None]:
    """Send the spans of this process to a collector, if there is one; to be called once in a process."""
    if settings.traces_url is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    class Discretion(SpanProcessor):
        """Addresses may hold tickets and links: the route of a request tells enough."""

        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            told: Mapping[str, object] = getattr(span, "attributes", {})
            for name in _ADDRESSES & told.keys():
                span.set_attribute(name, "REDACTED")

    about = {
        "service.name": f"timeside-{service}",
        "service.version": version("timeside"),
        "service.instance.id": socket.gethostname(),
    }
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.traces_ratio)),
        resource=Resource.create(about),
        shutdown_on_exit=False,  # without a limit
    )
    address = f"{str(settings.traces_url).rstrip('/')}/v1/traces"
    provider.add_span_processor(Discretion())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=_EXPORT_S)))
    trace.set_tracer_provider(provider)
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)  # warnings tell of each try
    try:
        yield
    finally:
        closing = threading.Thread(target=provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


def _named(span: Span) -> str | None:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier.get(HEADER)
