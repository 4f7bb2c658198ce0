"""`aubio_specdesc`: the sixteen spectral descriptors of aubio, for all frames of a block at once."""

import numpy as np

from timeside_analyzer.aubio_sizes import PowerOfTwo
from timeside_analyzer.filterbank import product
from timeside_core import Analyzer, Array, Framewise, Spectrum, Stream
from timeside_core.inputs import FrameLength

FLOOR = np.float32(0.1)
"""Magnitude up to which `phase` and `specdiff` take a bin as empty; `kl` and `mkl` add it to the past."""
HISTOGRAM_BINS = 10
"""Bins of the histogram behind `phase` and `specdiff`."""
ROLLOFF = np.float32(0.95)
"""Share of the energy up to the roll-off."""

DESCRIPTIONS = {
    "default": "high frequency content, aubio's default",
    "energy": "energy",
    "hfc": "high frequency content",
    "complex": "distance from the predicted spectrum",
    "phase": "deviation of the phase",
    "specdiff": "spectral difference",
    "kl": "Kullback-Leibler distance to the last frame",
    "mkl": "modified Kullback-Leibler distance to the last frame",
    "specflux": "spectral flux",
    "centroid": "centre of mass of the spectrum",
    "slope": "slope of the spectrum",
    "rolloff": "bin up to which 95 % of the energy lies",
    "spread": "variance about the centroid",
    "skewness": "third standardised moment about the centroid",
    "kurtosis": "fourth standardised moment about the centroid",
    "decrease": "decrease of the spectrum from its first bin",
}
UNITS = {"phase": "rad", "centroid": "bin", "rolloff": "bin", "spread": "bin²"}


class AubioSpecdesc(Analyzer, id="aubio_specdesc", version="1.0"):
    r"""Sixteen descriptors of the spectrum, by aubio's definitions [1]_, each of shape `(rows,)`, float32.

    X is the transform of a frame under a periodic Hann window that ends with the hop, |X| its magnitude over the bins
    k = 0 … n_fft / 2, |X'| and |X''| those of the last frames; before the first frame there is silence.

    Novelty, large where something begins:

    - `energy`: Σ |X|².
    - `hfc`, high frequency content [2]_: Σ (k + 1) |X|. `default` is the same, as aubio has it.
    - `complex` [3]_: Σ |X − X̂|, where X̂ has the magnitude of X' and goes on turning as fast.
    - `phase` [4]_: second difference of the phase, in absolute value, of bins with |X| > 0.1.
    - `specdiff` [5]_: sqrt(abs(|X|² − |X'|²)) of bins with |X| > 0.1.
    - `kl` [6]_: Σ |X| log(1 + |X| / (|X'| + 0.1)), and `mkl` [1]_: Σ log(1 + |X| / (|X'| + 0.1)).
    - `specflux` [7]_: Σ max(0, |X| − |X'|).

    `phase` and `specdiff` sum over the centres of the ten equal bins that their values fall into, between the smallest
    and the largest value of the frame and without these two, and divide by ten.

    Shape [8]_, with p = |X| / Σ |X|:

    - `centroid`: c = Σ k p, in bins; `spread`: Σ (k − c)² p; `skewness`: Σ (k − c)³ p / spread^1.5;
      `kurtosis`: Σ (k − c)⁴ p / spread².
    - `slope`: of the line that fits p over k best; `decrease`: Σ (|X_k| − |X_0|) / k over Σ |X_k|, k from 1 on.
    - `rolloff`: first bin up to which 95 % of the energy lies.

    Every descriptor of silence is 0, and so is one whose divisor is 0; nothing is ever NaN.

    Equal to `aubio.specdesc` over `aubio.pvoc` within 0.02 % of the largest value in a signal, `rolloff` within one
    bin; `phase` and `specdiff` so in most frames, and further off in the others, where rounding decides whether
    a value is the largest and left out. What a pure tone leaves in the differences of `complex` and in the higher
    moments is rounding, here as there.

    References
    ----------
    .. [1] P. Brossier, "Automatic annotation of musical audio for interactive applications", PhD thesis, Queen Mary
       University of London, 2006.
    .. [2] P. Masri, "Computer modelling of sound for transformation and synthesis of musical signals", PhD thesis,
       University of Bristol, 1996.
    .. [3] C. Duxbury, M. Davies, M. Sandler, "Complex domain onset detection for musical signals", DAFx 2003.
    .. [4] J. P. Bello, M. Sandler, "Phase-based note onset detection for music signals", ICASSP 2003.
    .. [5] J. Foote, S. Uchihashi, "The beat spectrum: a new approach to rhythm analysis", ICME 2001.
    .. [6] S. Hainsworth, M. Macleod, "Onset detection in musical audio signals", ICMC 2003.
    .. [7] S. Dixon, "Onset detection revisited", DAFx 2006.
    .. [8] G. Peeters, "A large set of audio features for sound description (similarity and classification) in the
       CUIDADO project", IRCAM, 2004.
    """

    n_fft: PowerOfTwo = 1024
    """Samples in a frame, and length of its transform."""
    hop_length: FrameLength = 256
    """Samples from frame to frame."""
    outputs = {
        name: Framewise(unit=UNITS.get(name, ""), description=description) for name, description in DESCRIPTIONS.items()
    }

    @property
    def input(self) -> Spectrum:
        """The spectrum that is described."""
        return Spectrum(n_fft=self.n_fft, hop_length=self.hop_length, align="end")

    def context_s(self, stream: Stream) -> tuple[float, float]:
        """The last two frames."""
        return 2 / stream.row_rate, 0.0

    def start(self, stream: Stream) -> None:
        """Begin after silence."""
        bins = np.arange(self.n_fft // 2 + 1)
        self.sums = np.stack([bins**0, bins, bins**2, bins**3, bins**4, _decrease_weights(bins)], axis=1)
        # aubio swaps the halves of a frame, which turns every second bin by half a turn; it gives silence the phase 0.
        # Differences of phases do not see the swap, except those from a bin that was silent.
        self.silent = (1 - 2 * (bins % 2)).astype(np.complex64)
        self.past_magnitude = np.zeros((1, len(bins)), np.float32)
        self.past_phasors = np.tile(self.silent, (2, 1))

    def process(self, spectrum: Array) -> dict[str, Array]:
        """All descriptors of all frames."""
        magnitude = np.abs(spectrum)
        magnitudes = np.concatenate([self.past_magnitude, magnitude])
        phasors = np.concatenate([self.past_phasors, _phasors(spectrum, magnitude, self.silent)])
        self.past_magnitude, self.past_phasors = magnitudes[-1:], phasors[-2:]
        past = magnitudes[:-1]
        turned = phasors[1:-1] ** 2 * phasors[:-2].conj()  # what the phases would be, going on as they went
        described = (
            _changes(magnitude, past)
            | _deviations(spectrum, magnitude, past, turned)
            | _shape(magnitude, product(magnitude.astype(float), self.sums))
        )
        return {name: values.astype(np.float32) for name, values in described.items()}


def _phasors(spectrum: Array, magnitude: Array, silent: Array) -> Array:
    """The spectrum scaled to magnitude 1; `silent` where it is 0."""
    phasors = spectrum * (1 / np.maximum(magnitude, np.float32(1e-30)))
    np.copyto(phasors, silent, where=magnitude == 0)
    return phasors


def _changes(magnitude: Array, past: Array) -> dict[str, Array]:
    """Descriptors of how the magnitude changed."""
    ratio = np.log(1 + magnitude / (past + FLOOR))
    difference = np.sqrt(np.abs(magnitude**2 - past**2))
    return {
        "kl": np.einsum("fk,fk->f", magnitude, ratio),
        "mkl": ratio.sum(axis=1),
        "specflux": np.maximum(magnitude - past, 0).sum(axis=1),
        "specdiff": _histogram_mean(difference * (magnitude > FLOOR)),
    }


def _deviations(spectrum: Array, magnitude: Array, past: Array, turned: Array) -> dict[str, Array]:
    """Descriptors of how far the spectrum is from going on as it went."""
    turn = spectrum * turned.conj()
    deviation = np.arctan2(np.abs(np.imag(turn)), np.real(turn))
    return {
        "complex": np.abs(spectrum - past * turned).sum(axis=1),
        "phase": _histogram_mean(deviation * (magnitude > FLOOR)),
    }


def _histogram_mean(values: Array) -> Array:
    """Mean over the bins of (count · centre) of a histogram of each row, without the row's extremes."""
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    scaled = (values - low) * _ratio(np.float32(HISTOGRAM_BINS), high - low)
    highest = np.count_nonzero(scaled >= HISTOGRAM_BINS, axis=1)
    count = np.count_nonzero(scaled, axis=1) - highest
    index = np.floor(scaled).sum(axis=1) - HISTOGRAM_BINS * highest
    step = (high - low)[:, 0] / HISTOGRAM_BINS
    return (count * (low[:, 0] + step / 2) + index * step) / HISTOGRAM_BINS


def _decrease_weights(bins: Array) -> Array:
    """Weights of the bins in Σ (|X_k| − |X_0|) / k."""
    weights = np.zeros(len(bins))
    weights[1:] = 1 / bins[1:]
    weights[0] = -weights.sum()
    return weights


def _shape(magnitude: Array, sums: Array) -> dict[str, Array]:
    """Descriptors of the shape of the magnitude, given its sums, shape `(frames, 6)`, double precision.

    They are weighted with 1, k, k², k³, k⁴ and as `_decrease_weights` says.
    """
    bins = magnitude.shape[1]
    power = magnitude**2
    total = sums[:, 0]
    c, m2, m3, m4 = (_ratio(sums[:, order], total) for order in range(1, 5))
    spread = np.maximum(m2 - c**2, 0)
    hfc = total + sums[:, 1]
    variance = (bins**2 - 1) / 12  # of k
    return {
        "default": hfc,
        "hfc": hfc,
        "energy": power.sum(axis=1),
        "centroid": c,
        "spread": spread,
        "skewness": _ratio(m3 - 3 * c * m2 + 2 * c**3, spread**1.5),
        "kurtosis": _ratio(m4 - 4 * c * m3 + 6 * c**2 * m2 - 3 * c**4, spread**2),
        "slope": np.where(total > 0, (c - (bins - 1) / 2) / (bins * variance), 0),
        "decrease": _ratio(sums[:, 5], total - magnitude[:, 0]),
        "rolloff": _rolloff(power),
    }


def _rolloff(power: Array) -> Array:
    """First bin up to which the given share of the energy lies."""
    energy = np.cumsum(power, axis=1)
    return (energy >= ROLLOFF * energy[:, -1:]).argmax(axis=1)


def _ratio(numerator: Array | np.float32, denominator: Array) -> Array:
    """Quotient, 0 where the divisor is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator != 0)
