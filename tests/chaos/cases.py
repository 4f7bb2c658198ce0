"""What is asked of the platform: by whom, how urgently, of which recording; once, twice at once, or taken back."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from tests.chaos.media import Recording, damaged, hostile, recording

from timeside_core import Processor, get_processor
from timeside_core.ids import uuid7
from timeside_core.messages import Lane

Kind = Literal["plain", "twice", "cancelled", "damaged", "hostile"]
SHARES: dict[Kind, float] = {"plain": 0.72, "twice": 0.12, "cancelled": 0.06, "damaged": 0.05, "hostile": 0.05}
ANALYZERS = (
    *("level", "mean_dc_shift", "rms", "zero_crossing_rate", "spectral_centroid", "spectral_rolloff", "mfcc"),
    *("onset_strength", "waveform_analyzer", "spectrogram_analyzer", "loudness_itu", "melspectrogram", "chroma"),
    *("tempogram", "aubio_pitch", "spectral_contrast"),
)
ENCODERS = ("flac_encoder", "wav_encoder", "mp3_encoder", "opus_encoder")
OWNERS = 7
MAKERS: dict[str, Callable[[random.Random], Recording]] = {"damaged": damaged, "hostile": hostile}


@dataclass
class Case:
    """A run that is wanted, and what was heard of it."""

    number: int
    kind: Kind
    owners: tuple[UUID, ...]
    """Who asks; two of them ask at the same time."""
    lane: Lane
    chosen: tuple[tuple[str, dict[str, Any]], ...]
    """Ids and parameters of processors, first effects, if any."""
    recording: str
    sha256: str = ""
    task_ids: dict[UUID, UUID] = field(default_factory=dict[UUID, UUID])
    """By owner: acknowledged."""
    cancelled: bool = False
    """Whether the platform has said that it is."""

    def processors(self) -> list[Processor]:
        """Instances of what was chosen."""
        return [get_processor(id).from_parameters(parameters) for id, parameters in self.chosen]


class Cases:
    """So many, the same for the same seed."""

    def __init__(self, count: int, seed: int) -> None:
        self._rng = random.Random(f"cases {seed}")
        self._owners = [uuid7() for _ in range(OWNERS)]
        kinds: list[Kind] = [kind for kind, share in SHARES.items() for _ in range(max(1, round(share * count)))]
        self._rng.shuffle(kinds)
        plain: list[Kind] = ["plain"] * (count - len(kinds))
        self._kinds = (kinds + plain)[:count]

    def __iter__(self):
        """Each with its recording."""
        for number, kind in enumerate(self._kinds):
            made = MAKERS.get(kind, recording)(self._rng)
            owners = self._rng.sample(self._owners, 2 if kind == "twice" else 1)
            lane = self._rng.choice(("interactive", "bulk"))
            yield Case(number, kind, tuple(owners), lane, self._chosen(), made.kind), made.data

    def _chosen(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        names = self._rng.sample(ANALYZERS, self._rng.choice((3, 4, 5, 6)))
        names += self._rng.sample(ENCODERS, self._rng.choice((0, 1)))
        effects = [("fx_gain", {"gain": round(self._rng.uniform(0.1, 0.9), 3)})] if self._rng.random() < 0.15 else []
        return (*effects, *((name, {}) for name in names))
