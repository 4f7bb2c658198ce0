"""`aubio_specdesc`: the sixteen spectral descriptors of aubio, for all frames of a block at once."""

from typing import Any

import numpy as np

from timeside_core import Analyzer, Array, Framewise, Spectrum, Stream
from timeside_core.inputs import FrameLength, TransformLength

FLOOR = np.float32(0.1)
"""Magnitude below which `phase` and `specdiff` take a bin as empty, and which `kl` and `mkl` add to the past."""
HISTOGRAM_BINS = 10
"""Bins of the histogram that `phase` and `specdiff` are averaged over."""
ROLLOFF = 0.95
"""Share of the energy below the roll-off."""


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

    Equal to `aubio.specdesc` over `aubio.pvoc` within 0.1 %; within 0.1 % of Σ |X| + Σ |X'| for `complex`, whose
    differences cancel in aubio's single precision; `rolloff` within one bin where rounding decides; `phase` and
    `specdiff`, whose histogram makes steps, where aubio is given the same spectrum.

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
