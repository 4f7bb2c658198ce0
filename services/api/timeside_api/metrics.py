"""What the roles count, for Prometheus."""

from prometheus_client import Counter, Gauge

QUEUED_SECONDS = Gauge("timeside_queued_audio_seconds", "Audio that waits to be handed out, s.", ["lane"])
RUNS = Gauge("timeside_runs_held", "Runs that are claimed, dispatched or running.", ["lane"])
DISPATCHED = Counter("timeside_dispatched", "Runs handed out.", ["lane"])
AGAIN = Counter("timeside_handed_out_again", "Runs to be handed out again, by who is to blame.", ["blame"])
OUTBOX = Gauge("timeside_outbox", "Messages that wait to be sent.")
IS_DISPATCHER = Gauge("timeside_is_dispatcher", "1 where this process has the dispatcher's lock.")
RECORDED = Counter("timeside_recorded", "Messages recorded.", ["kind"])
REFUSED = Counter("timeside_refused", "Messages of attempts that do not count, or of what is settled.", ["kind"])
POISON = Counter("timeside_recorder_poison", "Messages that the recorder sent to the dead-letter topic.")
RECORDED_UNTIL = Gauge("timeside_recorded_until", "Unix time when the message recorded last was sent.")
REQUESTS = Counter("timeside_http_requests", "Requests answered.", ["operation", "status"])
STREAMS = Gauge("timeside_streams", "Streams that are open.")
