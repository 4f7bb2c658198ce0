"""Bounds and times of the HTTP role, each with its unit and its reason."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from timeside_core.settings import Seconds


class HttpSettings(BaseModel):
    """What the environment says; `TIMESIDE_SECRET` sets `secret`, or `TIMESIDE_SECRET_FILE` names a file with it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    secret: SecretStr
    """Signs tokens; the same in all replicas, 32 characters or more. Who knows it is anybody."""
    allowed_origins: frozenset[str] = frozenset()
    """Origins of pages, besides our own, that may call us: `https://player.example.org`."""

    http_host: str = "0.0.0.0"
    """Address of the HTTP role."""
    http_port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """0 picks a free one."""

    access_s: Annotated[int, Field(ge=30, le=3600)] = 900
    """Life of an access token."""
    refresh_s: Annotated[int, Field(ge=60, le=366 * 86_400)] = 14 * 86_400
    """Life of a sign-in: each refresh token lives to its end."""
    ticket_s: Annotated[int, Field(ge=1, le=300)] = 30
    """Life of a ticket for a stream."""
    link_s: Annotated[int, Field(ge=60, le=86_400)] = 4 * 3600
    """Life of a link to a file: a player asks for parts of it while somebody listens."""
    failures: Annotated[int, Field(ge=1)] = 10
    """Wrong passwords of an account from one address within `failures_s`; more are not even looked at."""
    failures_s: Seconds = 300.0
    hashers: Annotated[int, Field(ge=1, le=64)] = 2
    """Passwords that are checked at a time: each takes a core for a third of a second, and 64 MiB."""
    hashers_waiting: Annotated[int, Field(ge=1)] = 32
    """Passwords that wait to be checked; more are refused."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=16 << 20)] = 256 << 10
    """Of a request, uploads excepted: 256 processors with all their parameters take a fifth."""
    max_json_depth: Annotated[int, Field(ge=4, le=100)] = 32
    """Levels of nesting of a request."""
    body_s: Seconds = 30.0
    """Limit of the arrival of such a request."""
    max_upload_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 4 << 30
    """Of one media: two hours of stereo, 24 bits, 96 kHz, are 4.1 GB."""
    uploads: Annotated[int, Field(ge=1, le=1024)] = 16
    """Uploads at a time: each holds a thread and a file."""
    upload_silence_s: Seconds = 30.0
    """An upload of which no byte comes for so long is given up."""
    upload_s: Seconds = 6 * 3600.0
    """Limit of an upload."""
    describe_s: Seconds = 30.0
    """Limit of the look at a media's header."""
    describers: Annotated[int, Field(ge=1, le=64)] = 2
    """Media that are looked at, at a time: each by a process of its own."""

    readers: Annotated[int, Field(ge=1, le=256)] = 8
    """Threads that read the store."""
    max_data_bytes: Annotated[int, Field(ge=1 << 10, le=1 << 30)] = 8 << 20
    """Of rows, before encoding, in one answer: 2 million numbers."""
    open_results: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Manifests of results that are kept in memory, some KiB each."""

    subscriptions: Annotated[int, Field(ge=1, le=1024)] = 16
    """Of one connection; each reads the bus by itself."""
    connections: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Streams of one account in this process."""
    stream_records: Annotated[int, Field(ge=1, le=1000)] = 16
    """Records read from the bus at once for a subscription, and so all that is held for a client that reads slowly."""
    stream_send_s: Seconds = 20.0
    """A client that takes nothing for so long is hung up on."""
    stream_first_s: Seconds = 5.0
    """A client that has subscribed to nothing after so long is hung up on."""
    stream_check_s: Seconds = 5.0
    """How often a subscription looks whether its task has settled, where it did not hear of that."""
    stream_recheck_s: Seconds = 30.0
    """How often it is looked whether the credential of a stream's client still counts."""

    @field_validator("secret")
    @classmethod
    def _is_long(cls, secret: SecretStr) -> SecretStr:
        if len(secret.get_secret_value()) < 32:
            raise ValueError("must have 32 characters or more")
        return secret

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
