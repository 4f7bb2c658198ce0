"""All that travels on the bus: one schema, versioned; `encode` and `decode` by topic.

Keys are the 16 raw bytes of a run's id, so that all messages of a run keep their order. What cannot be decoded raises
`PoisonError` with its cause, whatever the bytes are.
"""

from typing import Annotated, Any, Protocol, TypeAlias, Union, cast

from pydantic import Field, TypeAdapter

from timeside_core.errors import MissingTopicError
from timeside_core.messages.frames import (
    MAX_BLOCK_SAMPLES,
    MAX_PAYLOAD_BYTES,
    Block,
    BlockKind,
    Bytes,
    EncodedChunk,
    PartialRows,
    SampleFormat,
    block_samples,
    is_live,
    pcm,
)
from timeside_core.messages.json import MAX_JSON_BYTES, from_json, to_json
from timeside_core.messages.models import (
    BlockForm,
    Cancel,
    Clock,
    Closed,
    DeadLetter,
    Decode,
    DecodingError,
    Derived,
    Discontinuity,
    Done,
    Draw,
    End,
    Ended,
    Facts,
    Failed,
    Gap,
    JsonMessage,
    Lane,
    LiveSource,
    Lost,
    MediaFacts,
    Opened,
    OpenedOutput,
    Plan,
    PlannedProcessor,
    ProcessorValue,
    Progress,
    Renewal,
    Run,
    RunRef,
    SegmentOfMedia,
    Sink,
    Start,
    State,
    Stop,
    StoredMedia,
    StoredResultRef,
)

__all__ = [
    "MAX_BLOCK_SAMPLES",
    "MAX_JSON_BYTES",
    "MAX_PAYLOAD_BYTES",
    "Block",
    "BlockForm",
    "BlockKind",
    "Cancel",
    "Clock",
    "Closed",
    "DeadLetter",
    "Decode",
    "DecodingError",
    "Derived",
    "Discontinuity",
    "Done",
    "Draw",
    "EncodedChunk",
    "End",
    "Ended",
    "Facts",
    "Failed",
    "Gap",
    "JsonMessage",
    "Lane",
    "LiveSource",
    "Lost",
    "MediaFacts",
    "Message",
    "Opened",
    "OpenedOutput",
    "PartialRows",
    "Plan",
    "PlannedProcessor",
    "ProcessorValue",
    "Progress",
    "Renewal",
    "Run",
    "RunRef",
    "SampleFormat",
    "SegmentOfMedia",
    "Sink",
    "Start",
    "State",
    "Stop",
    "StoredMedia",
    "StoredResultRef",
    "block_samples",
    "decode",
    "encode",
    "is_live",
    "kinds",
    "pcm",
]

Message: TypeAlias = Block | PartialRows | EncodedChunk | JsonMessage


class _Frame(Protocol):
    @staticmethod
    def decode(value: memoryview) -> Any: ...


_FRAMES: dict[str, dict[bytes, type[_Frame]]] = {
    "ts.pcm": {b"TSB1": Block},
    "ts.partial": {b"TSP1": PartialRows},
    "ts.encoded": {b"TSC1": EncodedChunk},
}
_JSON: dict[str, tuple[type[JsonMessage], ...]] = {
    "ts.cmd.decode": (Decode,),
    "ts.cmd.live": (Decode,),
    "ts.cmd.graph": (Draw,),
    "ts.pcm": (),
    "ts.partial": (Opened, Closed),
    "ts.encoded": (Opened, Closed),
    "ts.result": (Done, Ended, Derived, Failed, Facts, Gap, Lost),
    "ts.progress": (Progress, State),
    "ts.lease": (Renewal,),
    "ts.control": (Cancel, Stop),
    "ts.dlq": (DeadLetter,),
}
"""What each family of topics carries; names may go on after a dot (pool, lane)."""


def encode(message: Message) -> bytes | bytearray:
    """Bytes of a message; raises `MessageSizeError`."""
    return to_json(message) if isinstance(message, JsonMessage) else message.encode()


def decode(topic: str, value: Bytes) -> Any:
    """The message that these bytes are on that topic; raises `PoisonError` that says why they are none.

    Audio, rows and chunks are views of the bytes, not copies.
    """
    family, view = _family(topic), memoryview(value)
    frame = _FRAMES.get(family, {}).get(bytes(view[:4]))
    if frame is not None:
        return frame.decode(view)
    if not _JSON[family]:
        return Block.decode(view)  # which says what is wrong with it
    return from_json(_ADAPTERS[family], view)


def kinds(topic: str) -> tuple[type[Any], ...]:
    """The messages that a topic carries; raises `MissingTopicError`."""
    family = _family(topic)
    return (*_FRAMES.get(family, {}).values(), *_JSON[family])


def _family(topic: str) -> str:
    name = topic
    while name not in _JSON:
        name, dot, _ = name.rpartition(".")
        if not dot:
            raise MissingTopicError(f"topic {topic!r} carries no messages that are known here")
    return name


def _adapter(models: tuple[type[JsonMessage], ...]) -> "TypeAdapter[Any]":
    if len(models) == 1:
        return TypeAdapter(models[0])
    by_kind: Any = cast("Any", Annotated)[cast("Any", Union)[models], Field(discriminator="kind")]
    return TypeAdapter(by_kind)


_ADAPTERS = {family: _adapter(models) for family, models in _JSON.items() if models}
