"""Bounds and times of the platform's side of the conveyor, each with its unit and its reason."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from timeside_core.bus import KafkaAccess
from timeside_core.settings import Seconds
from timeside_core.stage.traces import TraceSettings


class RunSettings(BaseModel):
    """When a run is handed out, again, or no more."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    lease_s: Seconds = 30.0
    """A run that no worker gives a sign of life for is handed out again after so long; they give three."""
    max_strikes: Annotated[int, Field(ge=1, le=100)] = 3
    """So many attempts may end badly; the last of them runs alone, so that there is no doubt who is to blame."""
    max_attempts: Annotated[int, Field(ge=1, le=10_000)] = 20
    """So often a run is handed out at most, also when nobody is to blame: it may be longer than what the log keeps."""
    pause_s: Seconds = 1.0
    """Pause before a run that ended badly is handed out again, doubled each time."""
    max_pause_s: Seconds = 300.0
    credits: Annotated[int, Field(ge=1, le=1000)] = 8
    """Runs handed out of one partition at a time: enough that no worker waits, few enough that cancelling, priorities
    and fairness count, and that the log stays shallow."""
    live_runs: Annotated[int, Field(ge=0, le=10_000)] = 16
    """Live sources heard at a time: each holds a child of a live decoder, and takes its share of all pools, for as long
    as it lasts. 0: this installation listens to none."""
    batch: Annotated[int, Field(ge=1, le=1000)] = 64
    """Runs handed out in one transaction."""
    poll_s: Seconds = 0.25
    """How often the queue is looked at; a new task is heard of at once."""
    tick_s: Seconds = 5.0
    """How often the bus is tried, and leases are looked at."""
    measure_s: Seconds = 15.0
    """How often the queue is measured, for metrics and autoscaling."""
    late_s: Seconds = 3.0
    """A bus that takes longer to keep a message was away: nobody could give a sign of life."""
    idle_s: Seconds = 60.0
    """A dispatcher that is not heard of for so long loses its connection, and with it its turn."""
    relayed: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Messages of the outbox sent at once."""
    recorded: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Messages recorded in one transaction."""
    retry_s: Seconds = 0.5
    """Pause before what failed because the bus or the database is away is tried again."""
    extended: Annotated[int, Field(ge=1, le=1000)] = 50
    """Media that a task about many is extended by in one transaction, which locks their results."""
    extended_at_once: Annotated[int, Field(ge=1, le=1000)] = 10
    """Of these, those that are asked of when the task is made: whoever makes it waits for them."""


class ApiSettings(KafkaAccess, TraceSettings):
    """What the environment says; `TIMESIDE_DATABASE_URL` sets `database_url`, secrets may be in files (`…_FILE`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    database_url: SecretStr
    """`postgresql://user:password@host/database`; not through a pooler that shares connections by transaction, as the
    dispatcher's lock belongs to its connection."""
    database_connections: Annotated[int, Field(ge=2, le=1000)] = 10
    """Of this process."""
    kafka_bootstrap: str = "127.0.0.1:9092"
    """Addresses of the brokers, `host:port`, parted by commas."""
    home: Path = Path("~/.local/share/timeside")
    """Where everything is that has no place of its own."""
    store_url: str = ""
    """The store; `$TIMESIDE_HOME/store` where not given."""
    command_groups: str = "ts.decoder,ts.worker,ts.decoder-live"
    """Groups whose members take commands to decode: what one of them has committed past is accepted."""
    lease_s: Seconds = RunSettings().lease_s
    """See `RunSettings`; workers must be told the same."""
    max_strikes: Annotated[int, Field(ge=1, le=100)] = RunSettings().max_strikes
    """See `RunSettings`; more where machines are taken away at any time, which is not the fault of what ran there."""
    credits: Annotated[int, Field(ge=1, le=1000)] = RunSettings().credits
    """See `RunSettings`."""
    live_runs: Annotated[int, Field(ge=0, le=10_000)] = RunSettings().live_runs
    """See `RunSettings`; no more than the live decoders have children, all together."""
    start_s: Seconds = 300.0
    """How long a start waits for the database and its tables."""
    drain_s: Seconds = 20.0
    """After SIGTERM, time to finish what is at hand; the orchestrator must wait 15 s longer."""
    host: str = "0.0.0.0"
    """Address the probes listen on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 9100
    """Of the probes and metrics; 0 picks a free one."""
    log_level: str = "INFO"

    @property
    def folder(self) -> Path:
        """Home, as a path."""
        return self.home.expanduser().absolute()

    @property
    def store(self) -> str:
        """URL of the store."""
        return self.store_url or (self.folder / "store").as_uri()

    @property
    def runs(self) -> RunSettings:
        """Those of runs."""
        names = ("lease_s", "max_strikes", "credits", "live_runs")
        return RunSettings(**{name: getattr(self, name) for name in names})
