"""`librosa_chroma_cqt`: magnitude of the constant-Q transform by pitch class."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from timeside_analyzer.chroma import PITCH_CLASSES
from timeside_analyzer.librosa_cqt import C1_HZ, longest_filter
from timeside_analyzer.librosa_pool import HopLength, WholeSignal, padded
from timeside_core import Array, Framewise, Stream

_BINS_PER_OCTAVE = 36


class LibrosaChromaCQT(WholeSignal, id="librosa_chroma_cqt", version="1.0"):
    """Chromagram of the constant-Q transform, shape `(frames, 12)`, float32, 0 to 1, by `librosa.feature.chroma_cqt`.

    36 bins to an octave from C1 on are summed by pitch class; the loudest class of a frame is 1, a silent frame all
    zeros; tuning is A4 = 440 Hz. Frame n is centred on sample n · hop_length. Raises `ParameterError` where the highest
    bin reaches beyond the Nyquist frequency. Schörkhuber, Klapuri, *Constant-Q transform toolbox for music processing*,
    SMC 2010; Ellis, *Chroma feature analysis and synthesis*, 2007.
    """

    n_octaves: Annotated[int, Field(ge=1, le=9)] = 7
    """Octaves from C1 on."""
    hop_length: HopLength = 512
    """Samples from frame to frame."""

    output = Framewise(bins="pitch class")

    def clock(self, stream: Stream) -> Stream:
        """Centres of the frames."""
        return replace(stream, hop_length=self.hop_length, frame_length=self.hop_length)

    def measure(self, samples: Array, samplerate: int) -> Array:
        """All frames."""
        import librosa

        chroma = librosa.feature.chroma_cqt(
            y=padded(samples, longest_filter(samplerate, C1_HZ, _BINS_PER_OCTAVE, self.hop_length)),
            sr=samplerate,
            hop_length=self.hop_length,
            fmin=C1_HZ,
            tuning=0.0,
            n_octaves=self.n_octaves,
            bins_per_octave=_BINS_PER_OCTAVE,
        )
        return chroma.T[: 1 + len(samples) // self.hop_length]

    def bins(self, output: str) -> tuple[str, ...]:
        """Names of the pitch classes."""
        return PITCH_CLASSES
