"""Bounds and times of a worker, each with its unit and its reason; read from the environment in `__main__` only."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator

from timeside_core.bus import KafkaAccess
from timeside_core.errors import ParameterError
from timeside_core.messages import Lane
from timeside_core.settings import Seconds
from timeside_core.stage.traces import TraceSettings

PREFIX = "TIMESIDE_"


class StageSettings(KafkaAccess, TraceSettings):
    """What all workers have in common. `TIMESIDE_DRAIN_S=20` sets `drain_s`; lists are parted by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kafka_bootstrap: str = "127.0.0.1:9092"
    """Addresses of the brokers, `host:port`, parted by commas."""
    store_url: str = ""
    """The store; `$TIMESIDE_HOME/store` where not given."""
    home: Path = Path("~/.local/share/timeside")
    """Where everything is that has no place of its own."""
    scratch: Path | None = None
    """Folder for files of the work at hand, lost without harm; `$TIMESIDE_HOME/scratch` where not given."""
    pool: str = ""
    """Pool of processors that this deployment runs; a service has its default."""
    lanes: tuple[Lane, ...] = ("interactive",)
    """Lanes that are read, the most urgent first."""

    children: Annotated[int, Field(ge=1, le=256)] = max(1, os.cpu_count() or 1)
    """Processes that compute; one per core, as each computes in one thread."""
    child_memory_bytes: Annotated[int, Field(ge=1 << 27, le=1 << 40)] = 2 << 30
    """Memory of a child: beyond, allocations fail in it. An hour of mono float32 at 44.1 kHz is 635 MB."""
    child_runs: Annotated[int, Field(ge=1)] = 200
    """After so many runs a child is replaced, so that nothing can pile up in it."""
    step_s: Seconds = 300.0
    """A child that is silent for so long over one block hangs, and is killed."""
    run_s: Seconds = 6 * 3600.0
    """A run that takes longer has failed; live sources excepted."""
    alone_from_attempt: Annotated[int, Field(ge=1)] = 3
    """From this attempt on a run has a child of its own, so that there is no doubt what kills it."""

    runs_max: Annotated[int, Field(ge=1)] = 256
    """Open runs of a worker: their state is in memory. The dispatcher hands out far fewer."""
    child_blocks: Annotated[int, Field(ge=1, le=1024)] = 4
    """Blocks on their way to a child: enough that it never waits, few enough to be memory (512 KiB each)."""
    stall_s: Seconds = 60.0
    """A run of which no block comes for so long has lost its decoder, and is reported."""
    live_stall_s: Seconds = 180.0
    """The same for a live source, of which nothing comes while its decoder waits two minutes for it to come back."""
    commit_every_s: Seconds = 1.0
    """How much is replayed after a crash, at most, besides open runs."""
    lease_s: Seconds = 30.0
    """A run that nobody renews for so long is handed out again; renewed three times as often."""
    progress_every_s: Seconds = 0.5
    """Least time between two messages of progress of a run."""
    drain_s: Seconds = 20.0
    """After SIGTERM, time to finish what is open. The orchestrator must wait 15 s longer."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 9100
    """Of the probes and metrics; 0 picks a free one."""
    host: str = "0.0.0.0"
    """Address the probes listen on."""
    session_s: Annotated[float, Field(ge=6, le=1800)] = 10.0
    """A worker not heard of for so long loses its partitions."""

    @field_validator("lanes", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def store(self) -> str:
        """URL of the store."""
        return self.store_url or (self.home.expanduser() / "store").absolute().as_uri()

    @property
    def scratch_folder(self) -> Path:
        """Folder for files of the work at hand; made where it is not there, else raises `ParameterError`."""
        folder = (self.scratch or self.home.expanduser() / "scratch").absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ParameterError(f"TIMESIDE_SCRATCH: {folder} cannot be made: {error.strerror}") from None
        return folder

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Self:
        """From variables `TIMESIDE_…`, or from the files that `TIMESIDE_…_FILE` names; raises `ParameterError`."""
        given: dict[str, str] = {}
        for name in cls.model_fields:
            variable = PREFIX + name.upper()
            if variable in environ:
                given[name] = environ[variable]
            elif file := environ.get(f"{variable}_FILE"):
                given[name] = Path(file).read_text().strip()
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            reasons = [f"{PREFIX}{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors()]
            raise ParameterError("; ".join(reasons)) from None
