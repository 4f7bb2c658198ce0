"""`librosa_beat`: beats and tempo by dynamic programming."""

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from timeside_analyzer.librosa_pool import HopLength, WholeSignal
from timeside_core import Array, Events, Value, events

_N_FFT = 2048
"""Length of the transform of librosa's onset strength, samples."""


class LibrosaBeat(WholeSignal, id="librosa_beat", version="1.0"):
    """Beats, s, and global tempo, bpm, by `librosa.beat.beat_track`.

    Beats are where onset strength is high and their distances agree with the tempo. Where there is no onset, nor a
    frame's worth of signal, there are no beats and the tempo is 0. Ellis, *Beat tracking by dynamic programming*,
    Journal of New Music Research 36(1), 2007.
    """

    start_bpm: Annotated[float, Field(ge=20, le=400)] = 120.0
    """Tempo that is thought likeliest beforehand, bpm."""
    tightness: Annotated[float, Field(ge=1, le=10_000)] = 100.0
    """How much beats keep to the tempo."""
    hop_length: HopLength = 512
    """Samples from frame to frame of the onset strength."""

    outputs = {"beats": Events(), "tempo": Value(unit="bpm", description="0 where there are no onsets")}

    def measure(self, samples: Array, samplerate: int) -> dict[str, Any]:
        """All beats."""
        if len(samples) < _N_FFT:
            return {"beats": events(np.empty(0)), "tempo": 0.0}
        import librosa

        tempo, beats = librosa.beat.beat_track(
            y=samples,
            sr=samplerate,
            hop_length=self.hop_length,
            start_bpm=self.start_bpm,
            tightness=self.tightness,
            units="time",
        )
        return {"beats": events(self.stream.start_s + np.asarray(beats)), "tempo": float(np.ravel(tempo)[0])}
