"""The encoder service: chunks while the audio comes, a file in the store when it has ended."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from timeside_core import topics
from timeside_core.audio import Media, Segment
from timeside_core.engine import Emission, Engine, Wanted
from timeside_core.errors import ProcessorError
from timeside_core.messages import Clock, Closed, Derived, EncodedChunk, Opened
from timeside_core.pipeline import Encoder
from timeside_core.stage.analysis import Analysis, Outlet, Wish, derived_name, writing
from timeside_core.stage.handler import OnStep, Opener, Outgoing
from timeside_core.stage.service import BlockStage
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store

POOL = "encoder"
CHUNK_BYTES = 256 << 10
"""Largest chunk that is sent in one message."""
_READ_BYTES = 1 << 20


class FileOutlet(Outlet):
    """Chunks to whoever listens, and the file, whose header knows all lengths, into the store."""

    def __init__(self, wish: Wish, store: Store, scratch: Path) -> None:
        if not isinstance(wish.processor, Encoder):
            raise ProcessorError(f"{wish.planned.id!r} is no encoder: this pool runs encoders")
        self._wish, self._store = wish, store
        self._folder = tempfile.TemporaryDirectory(prefix="timeside-encoder-", dir=scratch)
        self._path = Path(self._folder.name) / f"audio.{wish.processor.extension}"
        places = {"output": str(self._path), "streaming": True}
        self._encoder = type(wish.processor).from_parameters({**wish.processor.parameters(), **places})
        self.wanted = (Wanted(self._encoder, wish.effects),)
        self._seq = 0
        self._samples = 0

    def open(self, engine: Engine, positions: tuple[int, ...]) -> Iterator[Outgoing]:
        """Say what will come."""
        self._engine, (self._position,) = engine, positions
        opened = Opened(
            **self._wish.ids(),
            clock=Clock.of(engine.stream(self._position)),
            mime_type=self._encoder.mime_type,
        )
        yield Outgoing(topics.ENCODED, opened)

    def take(self, emission: Emission) -> Iterator[Outgoing]:
        """Send what was encoded."""
        step = self._engine.step(self._position)
        first, self._samples = self._samples, step.row + step.rows
        for start in range(0, len(emission.payload), CHUNK_BYTES):
            data = emission.payload[start : start + CHUNK_BYTES]
            yield self._chunk(data, first, self._samples - first if start == 0 else 0)

    def finish(self, media: Media, segment: Segment, samples: int) -> Iterator[Outgoing]:
        """Close the stream, and put the file into the store."""
        yield self._chunk(b"", self._samples, 0, ends=True)
        yield Outgoing(topics.ENCODED, Closed(**self._wish.ids(), messages=self._seq))
        name = derived_name(self._wish, self._encoder.extension)
        sha256 = hashlib.sha256()
        with self._path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                sha256.update(data)
        with writing(self._wish):
            self._store.objects.put_file(name, self._path)
            self._store.objects.sync(name.rpartition("/")[0])
        derived = Derived(
            **self._wish.ids(),
            object=name,
            sha256=sha256.hexdigest(),
            size=self._path.stat().st_size,
            mime_type=self._encoder.mime_type,
        )
        yield Outgoing(topics.RESULT, derived)

    def close(self) -> None:
        """Remove the file here."""
        self._folder.cleanup()

    def _chunk(self, data: bytes, first_sample: int, samples: int, *, ends: bool = False) -> Outgoing:
        chunk = EncodedChunk(
            run_id=self._wish.run.run_id,
            attempt=self._wish.run.attempt,
            seq=self._seq,
            processor=self._wish.index,
            first_sample=first_sample,
            samples=samples,
            data=data,
            begins=self._seq == 0,
            ends=ends,
        )
        self._seq += 1
        return Outgoing(topics.ENCODED, chunk)


def opener(settings: Mapping[str, Any], on_step: OnStep) -> Opener:
    """Handlers of blocks, in a child."""
    known = StageSettings.model_validate(settings)
    store = Store(known.store)
    return lambda _, __: Analysis(
        known.pool or POOL, lambda wish: FileOutlet(wish, store, known.scratch_folder), on_step
    )


STAGE = BlockStage(
    pool=POOL,
    factory="timeside_encoder.stage:opener",
    topics=frozenset({topics.RESULT, topics.ENCODED, topics.PROGRESS}),
)
