"""`loudness_itu`: programme loudness and true peak, ITU-R BS.1770-5 and EBU R 128."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from timeside_analyzer.recursive import BlockFilter
from timeside_analyzer.true_peak import TruePeak
from timeside_core import Analyzer, Array, Channels, Framewise, Stream, Value
from timeside_core.decibels import dbfs, dbfs_of_power

WEIGHTS: Mapping[int, tuple[float, ...]] = MappingProxyType(
    {
        4: (1, 1, 1.41, 1.41),  # L R Ls Rs
        5: (1, 1, 1, 1.41, 1.41),  # L R C Ls Rs
        6: (1, 1, 1, 0, 1.41, 1.41),  # L R C LFE Ls Rs
        7: (1, 1, 1, 0, 1, 1.41, 1.41),  # L R C LFE Cs Ls Rs
        8: (1, 1, 1, 0, 1, 1, 1.41, 1.41),  # L R C LFE Lb Rb Ls Rs
    }
)
"""Weight of each channel by their count; other counts (mono, L R, L R C, unknown layouts) weigh all alike."""

ABSOLUTE_GATE_LUFS = -70.0
INTEGRATED_GATE_LU = -10.0
RANGE_GATE_LU = -20.0
PARTS = 10
"""Parts of a 100 ms hop that maxima are read at: signal 13 of Tech 3341 asks for 10 ms."""
MOMENTARY_HOPS = 4
SHORT_TERM_HOPS = 30
SETTLING_S = 0.5
"""After so long the high-pass at 38 Hz has forgotten what was before, to one part in 10⁵⁰."""


class LoudnessITU(Analyzer, id="loudness_itu", version="2.0"):
    """Programme loudness, loudness range and true peak.

    Channels are K-weighted (a shelf of +4 dB above 1.7 kHz, a high-pass at 38 Hz), squared, weighted and summed; the
    loudness of an interval is `-0.691 + 10 log10 Σ G_c mean(y_c²)`, LUFS. A hop is 100 ms, to the nearest sample.

    - `block_loudness`: momentary loudness, over 400 ms each hop, from the first full 400 ms on.
    - `short_term`: over 3 s, each row centred as the row of `block_loudness`; near the ends over what lies within.
    - `gated_loudness`: integrated loudness, over the 400 ms blocks above -70 LUFS and above `relative_threshold`.
    - `relative_threshold`: 10 LU below the loudness of the blocks above -70 LUFS.
    - `range`: 10th to 95th percentile of the short-term loudness (full 3 s only) above -70 LUFS and above 20 LU below
      its mean, EBU Tech 3342.
    - `max_momentary`, `max_short_term`: over all full 400 ms and 3 s, read every 10 ms.
    - `true_peak`: see `TruePeak`, BS.1770 annex 2.

    Layouts assumed: mono; L R; L R C; L R Ls Rs; L R C Ls Rs; L R C LFE Ls Rs (5.1); L R C LFE Cs Ls Rs (6.1);
    L R C LFE Lb Rb Ls Rs (7.1). LFE counts nothing, Ls and Rs (60° to 120°) 1.41 times.

    Where no block exceeds -70 LUFS, or the signal is shorter than the interval, the value in question does not exist.
    Nothing reads less than -139.165 LUFS or -138.474 dBTP. Checked with the signals of EBU Tech 3341 and 3342.
    """

    input: Channels = Channels()
    outputs = {
        "block_loudness": Framewise(unit="LUFS", description="Momentary loudness, 400 ms"),
        "short_term": Framewise(unit="LUFS", description="Short-term loudness, 3 s"),
        "gated_loudness": Value(unit="LUFS", description="Integrated loudness"),
        "relative_threshold": Value(unit="LUFS", description="Relative threshold of the integrated loudness"),
        "range": Value(unit="LU", description="Loudness range"),
        "max_momentary": Value(unit="LUFS", description="Maximum momentary loudness"),
        "max_short_term": Value(unit="LUFS", description="Maximum short-term loudness"),
        "true_peak": Value(unit="dBTP", description="Maximum true peak of all channels"),
    }

    def clock(self, stream: Stream) -> Stream:
        """Centres of the 400 ms blocks."""
        hop_length = round(stream.samplerate / 10)
        return replace(
            stream,
            hop_length=hop_length,
            frame_length=MOMENTARY_HOPS * hop_length,
            start_s=stream.start_s + MOMENTARY_HOPS * hop_length / 2 / stream.samplerate,
        )

    def context_s(self, stream: Stream) -> tuple[float, float]:
        """The rest of the 3 s of `short_term`; before it, what the filters take to settle."""
        around_s = (SHORT_TERM_HOPS - MOMENTARY_HOPS) / 2 / 10
        return around_s + SETTLING_S, around_s

    def start(self, stream: Stream) -> None:
        """Design the filters."""
        self.weights = np.array(WEIGHTS.get(stream.channels, (1,) * stream.channels), np.float32)
        self.filter = BlockFilter(k_weighting(stream.samplerate), stream.channels)
        self.true_peak = TruePeak(stream.samplerate, stream.channels)
        self.energies = HopEnergies(round(stream.samplerate / 10))
        self.momentary = HopWindows(MOMENTARY_HOPS)
        self.short_term = HopWindows(SHORT_TERM_HOPS, outside=(SHORT_TERM_HOPS - MOMENTARY_HOPS) // 2)

    def process(self, block: Array) -> dict[str, Array]:
        """Momentary and short-term loudness of the hops that are complete."""
        samples = np.ascontiguousarray(block.T)
        self.true_peak.process(samples)
        return self._loudness(self.filter.process(samples))

    def finish(self) -> dict[str, Array] | None:
        """The last rows, and the values of the whole."""
        if not self.row:
            return None
        last = self._loudness(self.filter.finish())
        last["short_term"] = np.concatenate([last["short_term"], loudness(self.short_term.finish())])
        return last | {"true_peak": dbfs(self.true_peak.finish())} | self.energies.values()

    def _loudness(self, filtered: Array) -> dict[str, Array]:
        hops = self.energies.process(np.einsum("c,cs,cs->s", self.weights, filtered, filtered))
        return {
            "block_loudness": loudness(self.momentary.process(hops)),
            "short_term": loudness(self.short_term.process(hops)),
        }


class HopEnergies:
    """Energy of a weighted signal in each tenth of a hop, kept to the end: 2.9 MB an hour."""

    def __init__(self, hop_length: int) -> None:
        self.hop_length = hop_length
        self._parts: list[Array] = []
        self._held = np.empty(0, np.float32)
        self._offsets = np.arange(PARTS) * hop_length // PARTS

    def process(self, power: Array) -> Array:
        """Mean power of the hops that are complete, shape `(hops,)`, given that of samples."""
        power = np.concatenate([self._held, power])
        hops = len(power) // self.hop_length
        self._held = power[hops * self.hop_length :]
        if not hops:
            return np.empty(0)
        starts = np.arange(hops)[:, np.newaxis] * self.hop_length + self._offsets
        parts = np.add.reduceat(power[: hops * self.hop_length], starts.ravel()).astype(float).reshape(hops, PARTS)
        self._parts.append(parts)
        return parts.sum(axis=1) / self.hop_length

    def values(self) -> dict[str, Array]:
        """The values of the whole signal, those that exist."""
        parts = np.concatenate(self._parts) if self._parts else np.empty((0, PARTS))
        hops = parts.sum(axis=1) / self.hop_length
        values = integrated(sliding_mean(hops, MOMENTARY_HOPS)) | loudness_range(sliding_mean(hops, SHORT_TERM_HOPS))
        for name, length in (("max_momentary", MOMENTARY_HOPS), ("max_short_term", SHORT_TERM_HOPS)):
            if len(hops) >= length:
                powers = sliding_mean(parts.ravel(), length * PARTS) * PARTS / self.hop_length
                values[name] = loudness(powers.max())
        return values


class HopWindows:
    """Mean power over sliding windows of hops; windows may begin and end `outside` hops beyond the signal."""

    def __init__(self, hops: int, *, outside: int = 0) -> None:
        self.hops = hops
        self.outside = outside
        self._held = np.zeros((outside, 2))  # power, and whether the hop lies within the signal

    def process(self, powers: Array) -> Array:
        """Means of the windows that are complete, shape `(windows,)`, given the powers of hops."""
        return self._means(np.stack([powers, np.ones(len(powers))], axis=1))

    def finish(self) -> Array:
        """Means of the windows that end after the signal."""
        return self._means(np.zeros((self.outside, 2)))

    def _means(self, hops: Array) -> Array:
        hops = np.concatenate([self._held, hops])
        windows = max(0, len(hops) - self.hops + 1)
        self._held = hops[windows:]
        if not windows:
            return np.empty(0)
        power, within = np.lib.stride_tricks.sliding_window_view(hops, self.hops, axis=0).sum(axis=2).T
        return power / within


def sliding_mean(values: Array, length: int) -> Array:
    """Mean of each run of `length` values, shape `(values - length + 1,)` or none."""
    if len(values) < length:
        return np.empty(0)
    return np.lib.stride_tricks.sliding_window_view(values, length).mean(axis=1)


def loudness(power: Array) -> Array:
    """Loudness of a K-weighted mean power, LUFS, float32; not below -139.165."""
    return np.asarray(dbfs_of_power(power) - 0.691, np.float32)


def gated(powers: Array, threshold_lufs: float) -> Array:
    """The powers whose loudness exceeds a threshold."""
    return powers[loudness(powers) > threshold_lufs]


def integrated(powers: Array) -> dict[str, Array]:
    """Integrated loudness and its relative threshold, of mean powers of 400 ms blocks; none without signal."""
    audible = gated(powers, ABSOLUTE_GATE_LUFS)
    if not len(audible):
        return {}
    threshold = loudness(audible.mean()) + np.float32(INTEGRATED_GATE_LU)
    return {"relative_threshold": threshold, "gated_loudness": loudness(gated(audible, float(threshold)).mean())}


def loudness_range(powers: Array) -> dict[str, Array]:
    """Loudness range of mean powers over 3 s, LU; none without signal."""
    audible = gated(powers, ABSOLUTE_GATE_LUFS)
    if not len(audible):
        return {}
    threshold = float(loudness(audible.mean())) + RANGE_GATE_LU
    low, high = np.percentile(loudness(gated(audible, threshold)), (10, 95), method="nearest")
    return {"range": high - low}


def k_weighting(samplerate: int) -> Array:
    """K-weighting as two biquads, shape `(2, 6)`, b0 b1 b2 1 a1 a2, for any samplerate.

    The standard tabulates them at 48 kHz only. Solving the bilinear transform for their corner, gain and quality gives
    the analogue shelf and high-pass below (B. De Man, "Evaluation of implementations of the EBU R128 loudness
    measurement", AES 145, 2018), which are then designed again at the samplerate; at 48 kHz they equal the table.
    The high-pass keeps the gain of the table, +0.04 dB, at all samplerates. The response stays within 0.04 dB of that
    at 48 kHz from 22.05 kHz on, within 0.15 dB at 11.025 kHz and 0.29 dB at 8 kHz, where the transform warps the shelf;
    a shelf beyond Nyquist is left out.
    """
    return np.array([_shelf(samplerate), _high_pass(samplerate)])


def _shelf(samplerate: int) -> tuple[float, ...]:
    corner_hz, gain_db, quality = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    if corner_hz >= samplerate / 2:
        return 1, 0, 0, 1, 0, 0
    k = np.tan(np.pi * corner_hz / samplerate)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / quality + k**2
    return (
        (high + band * k / quality + k**2) / a0,
        2 * (k**2 - high) / a0,
        (high - band * k / quality + k**2) / a0,
        1,
        2 * (k**2 - 1) / a0,
        (1 - k / quality + k**2) / a0,
    )


def _high_pass(samplerate: int) -> tuple[float, ...]:
    corner_hz, quality = 38.13547087602444, 0.5003270373238773
    k, k48 = (np.tan(np.pi * corner_hz / rate) for rate in (samplerate, 48_000))
    a0, a0_48 = (1 + each / quality + each**2 for each in (k, k48))
    gain = a0_48 / a0
    return gain, -2 * gain, gain, 1, 2 * (k**2 - 1) / a0, (1 - k / quality + k**2) / a0
