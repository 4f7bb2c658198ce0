"""`aubio_temporal`: onsets, beats and their rates."""

from importlib import import_module
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from timeside_analyzer.aubio_sizes import PowerOfTwo
from timeside_core import Analyzer, Array, Events, Magnitude, Rows, Segments, Stream, events, segments
from timeside_core.errors import ParameterError
from timeside_core.inputs import window

LOWEST_ROW_RATE_HZ = 6
"""Frames per second that aubio's beat tracker needs; with fewer its arrays are too short for the beats it foretells."""
ATTACK_HOPS = 5
"""Hops from an attack to its detection, rounded up."""
FLUX_DELAY, ENERGY_DELAY = 0.252, 0.414
"""What aubio's tracker takes off the beats, in frames of its own, for spectral flux and for the method `energy`."""
PAUSE_S = 1.0
"""Silence after which there is no beat any more."""
FAINT = 1e-12
"""Scale of what is given to aubio as energy, so that it adds nothing to the level."""


class AubioTemporal(Analyzer, id="aubio_temporal", version="1.0"):
    """Onsets, beats and the rates they come at, by aubio [1]_.

    - `onset`: where something begins: a peak of the high frequency content Σ (k + 1) log(1 + |X_k|), smoothed, that
      exceeds the median of the last seven frames by `onset_threshold` times their mean; at least 50 ms after the last.
      aubio sees an onset 4.3 hops late and takes them off again: times lie within 7 ms of an attack at 44.1 kHz, within
      16 ms at 8 kHz, whose hops are long.
    - `beat`: where the foot taps, by context-dependent tracking [2]_ of the spectral flux Σ max(0, |X_k| − |X'_k|).
      The tracker foretells beats from the last seconds: the first comes after two seconds or more, and those of a
      steady pulse lie within 10 ms of it at 44.1 kHz. `beat_confidence` is aubio's measure of how well the period
      explains the flux: 0 while there is no opinion, without upper bound.
    - `onset_rate` and `bpm`: 60 / Δ from each onset, or beat, to the next, Δ seconds later.

    X is the transform of a frame under a periodic Hann window that ends with the hop, X' the one before. The last hop,
    which is padded, is not looked at, so that no beat lies outside the signal.

    Equal to `aubio.onset` within a sample and to `aubio.tempo` (0.4.12) within a millisecond, but for one in a hundred
    or so where rounding decides, and two differences that are meant. aubio looks for silence where it detects an onset,
    not where the onset is, and so misses what is shorter than five hops; here it is found. aubio drops a beat that
    falls into any silent hop; here one is dropped after a second of silence.

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
    """Level of a frame below which nothing begins and no foot taps, dB re full scale."""
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

    def context_s(self, stream: Stream) -> tuple[float, float]:
        """All that came before, for the beats; the hops that an onset is seen late."""
        return float("inf"), (ATTACK_HOPS + 1) / stream.row_rate

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
        self.tempo.set_silence(self.silence_db)
        bins = self.n_fft // 2 + 1
        self.weights = np.arange(1, bins + 1, dtype=np.float32)
        self.window_energy = np.cumsum(window("hann", self.n_fft)[::-1] ** 2, dtype=float)  # of its last samples
        self.rows_held = np.zeros((1, bins), np.float32)
        self.levels_held = np.zeros(max(ATTACK_HOPS, round(PAUSE_S * stream.row_rate)))
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
        levels = np.concatenate([self.levels_held, self._levels(rows)])
        self.levels_held = levels[len(rows) :]
        content = np.einsum("fk,k->f", np.log(1 + rows), self.weights)
        flux = np.maximum(rows - past, 0).sum(axis=1)
        onsets = self._onsets(self._hops(content, _loudest(levels, ATTACK_HOPS)))
        beats, confidences = self._beats(self._hops(flux, _loudest(levels, len(self.levels_held))))
        onset_rate, self.last_onset = _rates(self.last_onset, onsets)
        bpm, self.last_beat = _rates(self.last_beat, beats)
        return {
            "onset": events(onsets, labelled=True),
            "onset_rate": onset_rate,
            "beat": events(beats, labelled=True),
            "beat_confidence": events(beats, confidences),
            "bpm": bpm,
        }

    def _levels(self, rows: Array) -> Array:
        """Mean squares of the samples of each frame, weighted with the window, over what has begun of the signal."""
        energy = 2 * np.einsum("fk,fk->f", rows, rows) - rows[:, 0] ** 2 - rows[:, -1] ** 2  # Parseval's theorem
        first = max(0, self.row - 1)
        samples = np.minimum(np.arange(first + 1, first + 1 + len(rows)) * self.hop_length, self.n_fft)
        return energy / self.n_fft / self.window_energy[samples - 1]

    def _hops(self, energies: Array, levels: Array) -> Array:
        """Hops that have those energies under a Hann window, up to a factor, and those levels.

        They let aubio pick peaks and track beats in functions that were computed for all frames at once, several times
        faster than by its own transform of each frame. Under the window the middle sample has the weight 1 and the
        first sample the weight 0; peaks and periods do not depend on the factor.
        """
        hops = np.zeros((len(energies), self.hop_length), np.float32)
        hops[:, self.hop_length // 2] = np.sqrt(FAINT * energies)
        hops[:, 0] = np.sqrt(self.hop_length * levels[-len(energies) :])
        return hops

    def _onsets(self, hops: Array) -> Array:
        """Times of the onsets in these hops, s."""
        detect, last = self.onset, self.onset.get_last
        return self._seconds([last() for hop in hops if detect(hop)[0]])

    def _beats(self, hops: Array) -> tuple[Array, Array]:
        """Times of the beats in these hops, s, and how sure they are."""
        tempo = self.tempo
        found: list[float] = []
        confidences: list[float] = []
        for hop in hops:
            # Where two predictions meet, aubio may foretell the same beat twice.
            if tempo(hop)[0] and tempo.get_last() - self.beat > tempo.get_period() / 2:
                self.beat = tempo.get_last()
                found.append(self.beat - self.beat_delay)
                confidences.append(max(0, tempo.get_confidence()))
        return self._seconds(found), np.array(confidences, np.float32)

    def _seconds(self, samples: list[float]) -> Array:
        return self.origin_s + np.array(samples, dtype=float) / self.stream.samplerate


def _loudest(levels: Array, rows: int) -> Array:
    """The largest of the last `rows` levels, at each level that has as many."""
    return np.lib.stride_tricks.sliding_window_view(levels, rows).max(axis=1)


def _rates(last: Array, times: Array) -> tuple[Rows, Array]:
    """Rates from each event to the next, beginning with the last that there was; and the new last one."""
    edges = np.concatenate([last, times])
    lasted = np.diff(edges)
    return segments(edges[:-1], lasted, (60 / lasted).astype(np.float32)), edges[-1:]
