"""What a worker counts, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

RUNS = Counter("timeside_runs", "Runs that ended here, by outcome.", ["outcome"])
OPEN_RUNS = Gauge("timeside_open_runs", "Runs that are open here.")
SAMPLES = Counter("timeside_samples", "Samples (of all channels at once) taken by children.")
AUDIO_SECONDS = Counter("timeside_audio_seconds", "Seconds of audio taken by children.")
BLOCK_SECONDS = Histogram(
    "timeside_block_seconds",
    "Time from a block's arrival here to its being taken, s.",
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)
DROPPED = Counter("timeside_dropped_blocks", "Blocks of decodings that are not followed.")
GAPS = Counter("timeside_gaps", "Runs of which a block was missing.")
LOST = Counter("timeside_lost", "Times that records were gone before they were read.")
POISON = Counter("timeside_poison", "Messages sent to the dead-letter topic.")
CHILD_DEATHS = Counter("timeside_child_deaths", "Children that died by themselves or hung.")
REBALANCES = Counter("timeside_rebalances", "Times that partitions were dealt out anew.")
BUS_SECONDS = Gauge("timeside_bus_heard", "Unix time when the bus last acknowledged anything.")
