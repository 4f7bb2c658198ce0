"""Parameters as TimeSide 1 names them: arguments and defaults of a function for each processor, which returns ours."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from timeside_core.errors import ParameterError
from timeside_core.pipeline import Encoder, Grapher
from timeside_core.processor import Processor

Names: TypeAlias = Callable[..., dict[str, Any]]


def names_of(native: type[Processor]) -> Names:
    """The function for a processor; one without arguments where TimeSide 1 has no names of its own."""
    if native.id in _BY_ID:
        return _BY_ID[native.id]
    if issubclass(native, Grapher):
        return _grapher
    return _encoder if issubclass(native, Encoder) else _none


def signature_of(names: Names) -> inspect.Signature:
    """The parameters; keyword-only arguments are told by the run instead."""
    signature = inspect.signature(names)
    return signature.replace(
        parameters=[each for each in signature.parameters.values() if each.kind is not each.KEYWORD_ONLY]
    )


def depends_on_samplerate(names: Names) -> bool:
    """Whether our parameters depend on the samplerate of the run."""
    return "samplerate" in inspect.signature(names).parameters.keys() - signature_of(names).parameters.keys()


def _none() -> dict[str, Any]:
    return {}


def _file_decoder(
    uri: Any, start: float = 0, duration: float | None = None, stack: bool = False, sha1: str | None = None
) -> dict[str, Any]:
    return {"uri": uri, "start": start, "duration": duration}


def _array_decoder(
    samples: Any, samplerate: int = 44100, start: float = 0, duration: float | None = None, stack: bool = False
) -> dict[str, Any]:
    return {"samples": samples, "samplerate": samplerate, "start": start, "duration": duration}


def _gain(gain: float = 1.0) -> dict[str, Any]:
    return {"gain": gain}


def _spectrogram(
    input_blocksize: int = 2048, input_stepsize: int | None = None, fft_size: int | None = None
) -> dict[str, Any]:
    if fft_size not in (None, input_blocksize):
        raise ParameterError(
            f"fft_size={fft_size} must be input_blocksize={input_blocksize}: frames fill the transform"
        )
    frames = {"n_fft": input_blocksize, "hop_length": input_stepsize or input_blocksize // 2}
    return {**frames, "align": "start", "window": "boxcar", "linear": True}


def _onset_function(input_blocksize: int = 1024, input_stepsize: int | None = None) -> dict[str, Any]:
    return {"n_fft": input_blocksize, "hop_length": input_stepsize or input_blocksize // 2}


def _pitch(
    blocksize_s: float | None = None, stepsize_s: float | None = None, *, samplerate: int = 44100
) -> dict[str, Any]:
    length = 2048 if blocksize_s is None else 1 << (max(1, round(blocksize_s * samplerate)) - 1).bit_length()
    return {
        "frame_length": length,
        "hop_length": length // 2 if stepsize_s is None else round(stepsize_s * samplerate),
    }


def _silence(threshold: float = 80.0) -> dict[str, Any]:
    return {"threshold_db": -abs(threshold)}  # TimeSide 1 says 80 where it means -80


def _encoder(output: Any = None, streaming: bool = False, overwrite: bool = False) -> dict[str, Any]:
    return {"output": output, "streaming": streaming, "overwrite": overwrite}


def _grapher(
    width: int = 1024, height: int = 256, bg_color: Any = None, color_scheme: str = "default"
) -> dict[str, Any]:
    if color_scheme != "default":
        warnings.warn(f"color_scheme={color_scheme!r} is drawn in the default colours", RuntimeWarning, stacklevel=4)
    return {} if bg_color is None else {"background_color": _hexadecimal(bg_color)}


def _wide_grapher(
    width: int = 4096, height: int = 256, bg_color: Any = None, color_scheme: str = "default"
) -> dict[str, Any]:
    return _grapher(width, height, bg_color, color_scheme)


def _hexadecimal(color: Any) -> str:
    return color if isinstance(color, str) else f"#{bytes(color).hex()}"


_BY_ID: dict[str, Names] = {
    "file_decoder": _file_decoder,
    "array_decoder": _array_decoder,
    "fx_gain": _gain,
    "spectrogram_analyzer": _spectrogram,
    "onset_detection_function": _onset_function,
    "aubio_pitch": _pitch,
    "aubio_silence": _silence,
    "waveform_centroid": _wide_grapher,
    "spectrogram_log": _wide_grapher,
}
