"""`melspectrogram`: power of the spectrum in bands of equal width in mel."""

from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator

from timeside_analyzer.filterbank import Filterbank
from timeside_analyzer.mel import mel_edges, mel_filters
from timeside_analyzer.spectral import OfPower, Spectral
from timeside_core import Array, Framewise, Stream
from timeside_core.errors import ParameterError

Frequency: TypeAlias = Annotated[float, Field(ge=0, le=384_000)]
"""Hz."""
_LEAST_SPAN_HZ = 1.0


class MelBands(Spectral):
    """Parameters of the mel bands."""

    n_mels: Annotated[int, Field(ge=1, le=1024)] = 128
    """Count of the bands; those narrower than the distance of two bins may be empty and hold 0."""
    fmin: Frequency = 0.0
    """Lower edge of the first band, Hz."""
    fmax: Frequency | None = None
    """Upper edge of the last band, Hz; by default the Nyquist frequency, which it may not exceed."""
    htk: bool = False
    """Whether the scale is HTK's instead of Slaney's."""

    @model_validator(mode="after")
    def _fmin_below_fmax(self) -> Self:
        if self.fmax is not None and self.fmin > self.fmax - _LEAST_SPAN_HZ:
            raise ValueError(
                f"fmin={self.fmin:g} Hz must be at least {_LEAST_SPAN_HZ:g} Hz below fmax={self.fmax:g} Hz"
            )
        return self


class MelSpectrogram(MelBands, OfPower, id="melspectrogram", version="1.0"):
    """Power in mel bands, shape `(frames, n_mels)`, float32, full scale ±1: triangular filters over |X|².

    Each filter has unit area over frequency (Slaney's normalisation), so that white noise is level in all bands. Equals
    `librosa.feature.melspectrogram` transposed. Raises `ParameterError` where fmin or fmax lies beyond the Nyquist
    frequency. Stevens, Volkmann, Newman 1937 (the scale); Slaney, Auditory Toolbox, 1998 (the filters).
    """

    output = Framewise(bins="mel band", bin_unit="Hz")

    def start(self, stream: Stream) -> None:
        """Make the filters."""
        nyquist = stream.samplerate / 2
        fmax = nyquist if self.fmax is None else self.fmax
        if fmax > nyquist or self.fmin > fmax - _LEAST_SPAN_HZ:
            raise ParameterError(
                f"{self.label()}: bands from fmin={self.fmin:g} to fmax={fmax:g} Hz do not lie below {nyquist:g} Hz, "
                f"the Nyquist frequency of the signal"
            )
        edges = mel_edges(self.n_mels, self.fmin, fmax, htk=self.htk)
        self.centres = edges[1:-1]
        self.filters = Filterbank(mel_filters(stream.samplerate, self.n_fft, edges))

    def process(self, power: Array) -> Array:
        """Weigh and sum the bins of each band."""
        return self.filters(power)

    def bins(self, output: str) -> Array:
        """Centres of the bands, Hz."""
        return self.centres


class OfMel(MelBands):
    """Reads power in mel bands, shape `(frames, n_mels)`."""

    @property
    def input(self) -> MelSpectrogram:
        """The mel spectrogram that is read."""
        return MelSpectrogram(
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_mels=self.n_mels,
            fmin=self.fmin,
            fmax=self.fmax,
            htk=self.htk,
            source=self.source,
        )
