"""`aubio_temporal`: onsets, beats and their rates."""

from importlib import import_module
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from timeside_analyzer.aubio_sizes import PowerOfTwo
from timeside_core import Analyzer, Array, Events, Magnitude, Rows, Segments, Stream, events, segments
from timeside_core.errors import ParameterError

LOWEST_ROW_RATE_HZ = 6
"""Frames per second below which aubio's beat tracker writes beyond its arrays."""
ATTACK_HOPS = 5
"""Hops from an attack to its detection, rounded up."""
FLUX_DELAY, ENERGY_DELAY = 0.252, 0.414
"""What aubio's tracker takes off the beats, in frames of its own, for spectral flux and for the method `energy`."""
FAINT = 1e-16
"""Scale of the onset function in the samples given to aubio, so that it adds nothing to their level."""


class AubioTemporal(Analyzer, id="aubio_temporal", version="1.0"):
    """Onsets, beats and the rates they come at, by aubio [1]_.

    - `onset`: where something begins: peaks of the high frequency content Σ (k + 1) log(1 + |X_k|) above the median
      and `onset_threshold` times the mean of its seven last frames, smoothed, at least 50 ms apart, where the sound is
      louder than `silence_db`. aubio sees an onset 4.3 hops late and takes them off again; times are then within 5 ms
      of an attack at 44.1 kHz and within 15 ms at 8 kHz, whose hops are long.
    - `beat`: where the foot taps, by the context-dependent tracker [2]_ over the spectral flux
      Σ max(0, |X_k| − |X'_k|). It looks at the last six seconds and foretells the next one or two, so that the first
      beats come after two to six seconds; on a steady pulse it is then within 10 ms of it at 44.1 kHz.
      `beat_confidence` is aubio's measure of how much of the pulse its period explains: 0 while it has no opinion,
      without upper bound.
    - `onset_rate` and `bpm`: 60 / Δ from each onset, or beat, to the next, Δ seconds later, per minute.

    X is the transform of a frame under a periodic Hann window that ends with the hop, X' the one before. The last hop,
    which is padded, is not looked at, so that no beat lies outside the signal.

    Equal to `aubio.onset` and `aubio.tempo` on what lasts longer than five hops. aubio drops a shorter onset that ends
    in silence, as it looks for silence where it detects an onset rather than where the onset is; here it is kept.

    References
    ----------
    .. [1] P. Brossier, "Automatic annotation of musical audio for interactive applications", PhD thesis, Queen Mary
       University of London, 2006.
    .. [2] M. Davies, M. Plumbley, "Context-dependent beat tracking of musical audio", IEEE Transactions on Audio,
       Speech, and Language Processing 15 (3), 2007.
    """

    n_fft: PowerOfTwo = 1024
    """Samples in a frame, and length of its transform."""
    hop_length: Literal[64, 128, 256, 512, 1024] = 256
    """Samples from frame to frame."""
    onset_threshold: Annotated[float, Field(ge=0, le=10)] = 0.058
    """How far an onset stands out; aubio's default for this onset function."""
    silence_db: Annotated[float, Field(ge=-200, le=0)] = -70.0
    """Level of a frame below which nothing begins, dB re full scale."""
    outputs = {
        "onset": Events(labels=("Onset",)),
        "onset_rate": Segments(unit="bpm", description="onsets per minute, from one onset to the next"),
        "beat": Events(labels=("Beat",)),
        "beat_confidence": Events(description="confidence of each beat"),
        "bpm": Segments(unit="bpm", description="beats per minute, from one beat to the next"),
    }

    @property
    def input(self) -> Magnitude:
        """The magnitudes that onsets and beats show in."""
        return Magnitude(n_fft=self.n_fft, hop_length=self.hop_length, align="end")

    def start(self, stream: Stream) -> None:
        """Make aubio's detectors, to be given hops by `_hops`: hence their frames of one hop, and `energy`."""
        if stream.row_rate < LOWEST_ROW_RATE_HZ:
            raise ParameterError(
                f"aubio_temporal: hop_length={self.hop_length} makes {stream.row_rate:.3g} frames a second of "
                f"{stream.samplerate} Hz: {LOWEST_ROW_RATE_HZ} is the least"
            )
        aubio = import_module("aubio")
        self.onset: Any = aubio.onset("energy", self.hop_length, self.hop_length, stream.samplerate)
        self.onset.set_threshold(self.onset_threshold)
        self.onset.set_silence(self.silence_db)
        self.tempo: Any = aubio.tempo("energy", self.hop_length, self.hop_length, stream.samplerate)
        bins = self.n_fft // 2 + 1
        self.weights = np.arange(1, bins + 1, dtype=np.float32)
        self.rows_held = np.zeros((1, bins), np.float32)
        self.levels_held = np.zeros(ATTACK_HOPS - 1, np.float32)
        self.beat = -np.inf
        self.last_onset, self.last_beat = np.empty(0), np.empty(0)
        first_centre = self.hop_length - self.n_fft / 2
        self.origin_s = stream.start_s - first_centre / stream.samplerate
        self.beat_delay = round(FLUX_DELAY * self.n_fft - ENERGY_DELAY * self.hop_length)

    def process(self, magnitude: Array) -> dict[str, Rows] | None:
        """Detect frame by frame, one frame behind."""
        rows = np.concatenate([self.rows_held, magnitude])
        self.rows_held = rows[-2:]
        past, rows = rows[:-2], rows[1:-1]
        if not len(rows):
            return None
        onsets = self._onsets(rows)
        beats, confidences = self._beats(np.maximum(rows - past, 0).sum(axis=1))
        onset_rate, self.last_onset = _rates(self.last_onset, onsets)
        bpm, self.last_beat = _rates(self.last_beat, beats)
        return {
            "onset": events(onsets, labelled=True),
            "onset_rate": onset_rate,
            "beat": events(beats, labelled=True),
            "beat_confidence": events(beats, confidences),
            "bpm": bpm,
        }

    def _onsets(self, rows: Array) -> Array:
        levels = np.concatenate([self.levels_held, _levels(rows)])
        self.levels_held = levels[1 - ATTACK_HOPS :]
        loudest = np.lib.stride_tricks.sliding_window_view(levels, ATTACK_HOPS).max(axis=1)
        detect, last = self.onset, self.onset.get_last
        content = np.einsum("fk,k->f", np.log(1 + rows), self.weights)
        found = [last() for hop in self._hops(FAINT * content, loudest) if detect(hop)[0]]
        return self._seconds(found)

    def _beats(self, flux: Array) -> tuple[Array, Array]:
        tempo = self.tempo
        found: list[float] = []
        confidences: list[float] = []
        for hop in self._hops(flux, 1):
            # Where two predictions meet, aubio may foretell the same beat twice.
            if tempo(hop)[0] and tempo.get_last() - self.beat > tempo.get_period() / 2:
                self.beat = tempo.get_last()
                found.append(self.beat - self.beat_delay)
                confidences.append(max(0, tempo.get_confidence()))
        return self._seconds(found), np.array(confidences, np.float32)

    def _hops(self, energies: Array, levels: Array | float) -> Array:
        """Hops whose spectra under a Hann window have those energies, and whose mean squares are those levels.

        They let aubio pick peaks and track beats in functions that were computed for all frames at once, which is
        several times faster than its own transform of each frame. The middle sample has the weight 1 in the window and
        the first sample the weight 0.
        """
        hops = np.zeros((len(energies), self.hop_length), np.float32)
        hops[:, self.hop_length // 2] = np.sqrt(energies / (self.hop_length // 2 + 1))
        hops[:, 0] = np.sqrt(self.hop_length * levels)
        return hops

    def _seconds(self, samples: list[float]) -> Array:
        return self.origin_s + np.array(samples, dtype=float) / self.stream.samplerate


def _levels(magnitude: Array) -> Array:
    """Mean squares of the samples of each frame: Parseval's theorem, without the loss of the Hann window."""
    length = 2 * (magnitude.shape[1] - 1)
    both_sides = 2 * np.einsum("fk,fk->f", magnitude, magnitude) - magnitude[:, 0] ** 2 - magnitude[:, -1] ** 2
    return both_sides / (length**2 * 3 / 8)


def _rates(last: Array, times: Array) -> tuple[Rows, Array]:
    """Rates from each event to the next, beginning with the last that there was; and the new last one."""
    edges = np.concatenate([last, times])
    lasted = np.diff(edges)
    return segments(edges[:-1], lasted, (60 / lasted).astype(np.float32)), edges[-1:]
