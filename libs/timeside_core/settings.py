"""Bounds and times that an operator may change, each with its unit and its reason.

Only `__main__` modules read the environment; everything else is handed these values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from timeside_core.errors import ParameterError

PREFIX = "TIMESIDE_"

Model = TypeVar("Model", bound=BaseModel)
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Bytes = Annotated[int, Field(gt=0, le=1 << 32)]


class BusSettings(BaseModel):
    """How the bus waits, and how much it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    session_s: Annotated[float, Field(ge=6, le=1800)] = 10.0
    """A group member that is not heard of for so long loses its partitions. A broker refuses less than 6 s."""
    heartbeat_s: Seconds = 3.0
    """A member is heard of so often: three times per session, so that one lost beat costs nothing."""
    rebalance_s: Seconds = 60.0
    """How long a rebalance waits for members that finish the block at hand."""
    poll_s: Seconds = 900.0
    """A member that fetches nothing for so long leaves its group: above the longest block of the slowest processor."""
    request_s: Seconds = 40.0
    """Limit of one request to a broker."""
    fetch_wait_s: Seconds = 0.5
    """How long a broker holds an unanswered fetch of a group member: the longer, the fewer requests."""
    reader_wait_s: Seconds = 0.1
    """The same for readers without a group: a change of their partitions waits for the fetch before it."""
    retry_s: Seconds = 0.25
    """Pause before a failed request is made again."""
    start_s: Seconds = 60.0
    """How long a start waits for a broker that is away."""
    stop_s: Seconds = 10.0
    """Limit of each step of a stop; what is not done by then is abandoned, so that a drain ends in time."""
    commit_s: Seconds = 20.0
    """Limit of a commit; a commit that failed is repeated by the next one."""
    max_in_flight_bytes: Bytes = 32 << 20
    """Bytes sent but not acknowledged; more senders wait. 64 blocks of PCM: seconds of a broker that is away."""
    max_message_bytes: Bytes = 1_000_000
    """Longest message: a block of PCM (512 KiB) and room; brokers refuse 1,048,588 bytes by default."""
    max_partition_fetch_bytes: Bytes = 2 << 20
    """Bytes of one partition in one fetch, and so the unread bytes held of each: four blocks of PCM."""
    max_fetch_bytes: Bytes = 32 << 20
    """Bytes of one fetch over all partitions."""
    check_crcs: bool = True
    """Whether what is fetched is checked against its checksum; without, reading costs 29 % less CPU."""
    max_partition_bytes: Bytes | None = 4 << 20
    """Memory bus: bytes kept of a partition (eight blocks of PCM); None keeps everything until it is trimmed."""


def from_environment(model: type[Model], environ: Mapping[str, str]) -> Model:
    """Settings from variables: `TIMESIDE_DRAIN_S=20` sets `drain_s`, `TIMESIDE_DRAIN_S_FILE` names a file with it.

    Raises `ParameterError`, which names the variable and its rule, and not its value: that may be a secret.
    """
    given: dict[str, str] = {}
    for name in model.model_fields:
        variable = PREFIX + name.upper()
        if (value := environ.get(variable)) is not None:
            given[name] = value
        elif file := environ.get(f"{variable}_FILE"):
            given[name] = _content(Path(file), variable)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        reasons = [f"{PREFIX}{str(each['loc'][0]).upper()}: {each['msg']}" for each in details]
        raise ParameterError("; ".join(reasons)) from None


def _content(file: Path, variable: str) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ParameterError(f"{variable}_FILE: {file} cannot be read: {error.strerror}") from None
