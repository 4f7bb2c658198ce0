"""Bounds and times of the HTTP role, each with its unit and its reason."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from timeside_api import audit
from timeside_api.quotas import Quotas
from timeside_core.errors import ParameterError
from timeside_core.fetch import FetchSettings, live_fetch
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
    path_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=200)] = ""
    """Path that a proxy serves the API below: `/audio`; whether it cuts it off makes no difference."""

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

    proxies: Annotated[int, Field(ge=0, le=10)] = 0
    """Proxies of ours in front: the address of a client is what the outermost has put into `X-Forwarded-For`."""
    requests_per_s: Annotated[float, Field(gt=0, le=100_000)] = 50.0
    """Of one account to this process, in the long run: a player asks for some tiles at each move."""
    requests_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """So many at once."""
    strangers_per_s: Annotated[float, Field(gt=0, le=100_000)] = 10.0
    """Of one address, without a credential that counts."""
    strangers_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 300
    """So many at once: people behind one address sign in in the morning."""

    max_items: Annotated[int, Field(ge=0)] = Quotas().items
    """Of one account, unless an administrator gives it another limit; as are the next three."""
    max_bytes: Annotated[int, Field(ge=0)] = Quotas().bytes
    """Sizes of the media of all its items: what several have counts several times."""
    max_open_tasks: Annotated[int, Field(ge=0)] = Quotas().open_tasks
    max_queued_s: Annotated[int, Field(ge=0)] = Quotas().queued_s
    """Audio seconds of its runs that wait in the queue."""

    max_annotations: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Of one track: as many are drawn within a quarter of a second."""
    max_labels_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20
    """Of a file of labels that becomes annotations: a hundred thousand with texts."""
    annotation_changes_days: Annotated[int, Field(ge=1)] = 366
    """How long the history of tracks is kept: who was away for longer begins anew."""
    events_days: Annotated[int, Field(ge=1)] = 30
    """How long events are kept."""
    audit_days: Annotated[int, Field(ge=audit.LEAST_DAYS)] = 2 * 366
    """How long the audit log is kept; the database refuses less than a year."""

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
    open_uploads: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Uploads of one account that can be gone on with: an album in parallel, several times."""
    open_upload_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 30
    """Of all of them together, once they are whole: they lie in the store until then, or until they expire."""
    upload_part_bytes: Annotated[int, Field(ge=1 << 16, le=64 << 20)] = 4 << 20
    """Put into the store at once, and held in memory until then; a killed process loses no more than that."""
    upload_lease_s: Seconds = 10.0
    """An upload whose request gives no sign of life for so long can be gone on with by another; they give three."""
    upload_keep_s: Seconds = 24 * 3600.0
    """An upload that nobody goes on with is removed after so long."""
    upload_finish_s: Seconds = 20.0
    """How long the request with the last bytes waits until they have become an item: 5 GB at a slow disk."""
    upload_sweep_s: Seconds = 30.0
    """How often uploads are looked after."""
    importers: Annotated[int, Field(ge=0, le=64)] = 2
    """Rows of imports that this process works on at a time; 0 leaves them to others."""
    import_roots: tuple[Path, ...] = ()
    """Folders of the server, parted by commas, whose files administrators may import: none where not given."""
    import_ports: str = ""
    """Ports that imports connect to, parted by commas; those of the web where not given."""
    import_networks: str = ""
    """Networks that imports may connect to although the internet does not reach them; the same holds of them."""
    max_manifest_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 8 << 20
    """Of a CSV: some hundred bytes for each of its lines."""
    max_import_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Of one import, those that a playlist or a folder stands for included."""
    open_imports: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Imports of one account that run at a time."""
    import_lease_s: Seconds = 30.0
    """A row whose importer gives no sign of life for so long is taken by another; they give three."""
    import_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """So often a row is tried where it may go better next time."""
    import_pause_s: Seconds = 5.0
    """Before it is tried again; four times as long each time."""
    import_poll_s: Seconds = 5.0
    """How often importers look for rows that they were not told of."""
    imports_days: Annotated[int, Field(ge=1)] = 30
    """How long imports that have ended are kept; their items stay."""
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

    demand_s: Seconds = 20.0
    """How long a request waits for a result, a picture or the first byte of a transcode; then it is to come again."""
    demand_poll_s: Seconds = 0.1
    """How often it is looked whether what requests wait for is settled: one look for all of them."""
    demand_again_s: Annotated[float, Field(ge=0)] = 60.0
    """What has failed is not begun again for so long, however often it is asked for."""
    max_picture_pixels: Annotated[int, Field(ge=1 << 10, le=1 << 23)] = 1 << 23
    """Of a picture: graphers draw no more."""
    relays: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Transcodes that are sent while they are made, at a time: each is read from the bus once, and held in a file."""
    relay_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 40)] = 4 << 30
    """Of such a file; the rest is sent once the transcode is kept."""
    exports: Annotated[int, Field(ge=1, le=64)] = 2
    """Exports and tables that are written at a time: each takes a thread, and the memory of its largest result."""
    max_export_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 256 << 20
    """Of the numbers of a result that is exported: most formats are made in memory. Data and store have no limit."""

    live_ports: str = ""
    """Ports of live sources, parted by commas, as live decoders have them; not given: those of the web and Icecast."""
    live_networks: str = ""
    """Networks of live sources that the internet does not reach; the same holds of them."""

    subscriptions: Annotated[int, Field(ge=1, le=1024)] = 16
    """Of one connection."""
    connections: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Streams of one account in this process."""
    stream_records: Annotated[int, Field(ge=1, le=1000)] = 16
    """Records read from the bus at once for a subscription, and so all that is held for a client that reads slowly."""
    stream_memory_bytes: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Of what came last on the bus, for all streams of this process: who reads more slowly is served from the bus."""
    stream_readers: Annotated[int, Field(ge=1, le=256)] = 4
    """Readers of the bus for those that are behind, at a time: each has a connection to the brokers."""
    stream_looks: Annotated[int, Field(ge=1, le=256)] = 4
    """Looks of streams at the database at a time, so that a thousand of them leave connections for others."""
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

    @field_validator("allowed_origins", "import_roots", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def live_fetch(self) -> FetchSettings:
        """Which live sources may be listened to; raises `ParameterError`."""
        return live_fetch(self.live_ports, self.live_networks)

    @property
    def import_fetch(self) -> FetchSettings:
        """Which URLs may be imported; raises `ParameterError`."""
        given = {"ports": self.import_ports, "allowed_networks": self.import_networks}
        try:
            return FetchSettings.model_validate({name: value for name, value in given.items() if value})
        except ValidationError as error:
            raise ParameterError("TIMESIDE_IMPORT_PORTS or TIMESIDE_IMPORT_NETWORKS is not a list of such") from error

    @property
    def quotas(self) -> Quotas:
        """What an account may have."""
        return Quotas(
            items=self.max_items,
            bytes=self.max_bytes,
            open_tasks=self.max_open_tasks,
            queued_s=self.max_queued_s,
        )
