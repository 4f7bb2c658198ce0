"""Every container and codec: container, codec, length, place in time and closeness to what was encoded.

Alignment and length are exact unless a row states how late a file may be (its encoder's delay, which it does not tell),
and by how many samples its end may be off (padding up to a frame).
"""

import numpy as np
import pytest
from tests.support.media import (
    AUDIO,
    SAMPLERATE,
    SAMPLES,
    VIDEO,
    decode,
    noisy_amr,
    silent_ape,
)

from timeside_core import Array
from timeside_decoder.media import describe

LOSSLESS = {
    "s16.wav": ("wav", "pcm_s16le", 16),
    "s24.wav": ("wav", "pcm_s24le", 24),
    "f32.wav": ("wav", "pcm_f32le", None),
    "rf64.wav": ("wav", "pcm_s16le", 16),
    "be.aiff": ("aiff", "pcm_s24be", 24),
    "le.aif": ("aiff", "pcm_s16le", 16),
    "pcm.w64": ("w64", "pcm_s32le", 32),
    "pcm.caf": ("caf", "pcm_s16be", 16),
    "alac.caf": ("caf", "alac", 16),
    "pcm.au": ("au", "pcm_s16be", 16),
    "flac.flac": ("flac", "flac", 16),
    "flac24.flac": ("flac", "flac", 24),
    "flac.oga": ("ogg", "flac", 16),
    "alac.m4a": ("mov", "alac", 16),
    "flac.mp4": ("mov", "flac", 16),
    "pcm.mov": ("mov", "pcm_s24le", 24),
    "flac.mka": ("matroska", "flac", 16),
    "pcm.mka": ("matroska", "pcm_s16le", 16),
    "pcm.avi": ("avi", "pcm_s16le", 16),
    "wavpack.wv": ("wv", "wavpack", 16),
    "film.mov": ("mov", "pcm_s16le", 16),
    "film.mkv": ("matroska", "flac", 16),
    "film.avi": ("avi", "pcm_s16le", 16),
}
LOSSY = {  # container, codec, latest start, most samples that the end is off
    "alaw.wav": ("wav", "pcm_alaw", 0, 0),
    "adpcm.wav": ("wav", "adpcm_ima_wav", 0, 1017),
    "vorbis.ogg": ("ogg", "vorbis", 0, 0),
    "opus.opus": ("ogg", "opus", 0, 0),
    "lame.mp3": ("mp3", "mp3", 0, 0),
    "vbr.mp3": ("mp3", "mp3", 0, 0),
    "bare.mp3": ("mp3", "mp3", 1105, 2304),
    "mp2.mp2": ("mp3", "mp2", 481, 1152),
    "adts.aac": ("aac", "aac", 1024, 2048),
    "ac3.ac3": ("ac3", "ac3", 256, 1536),
    "aac.m4a": ("mov", "aac", 0, 0),
    "front.m4a": ("mov", "aac", 0, 0),
    "fragments.mp4": ("mov", "aac", 1024, 2048),
    "opus.mp4": ("mov", "opus", 0, 0),
    "opus.webm": ("matroska", "opus", 0, 0),
    "vorbis.webm": ("matroska", "vorbis", 0, 1024),
    "aac.mka": ("matroska", "aac", 1024, 2048),
    "mp3.mka": ("matroska", "mp3", 1105, 2304),
    "mp3.avi": ("avi", "mp3", 1105, 2304),
    "aac.ts": ("mpegts", "aac", 1024, 2048),
    "mp2.ts": ("mpegts", "mp2", 481, 1152),
    "ac3.ts": ("mpegts", "ac3", 256, 1536),
    "wma.wma": ("asf", "wmav2", -2048, 4096),
    "film.mp4": ("mov", "aac", 0, 0),
    "film.webm": ("matroska", "opus", 0, 0),
    "film.ts": ("mpegts", "mp2", 481, 1152),
    "film.wmv": ("asf", "wmav2", -2048, 4096),
    "film.ogv": ("ogg", "vorbis", 0, 0),
}


def lag_of(found: Array, wanted: Array, most: int = 3000) -> int:
    """How many samples later `found` is, by the maximum of their cross-correlation."""
    length = 1 << (len(found) + len(wanted)).bit_length()
    product = np.fft.rfft(found, length) * np.conj(np.fft.rfft(wanted, length))
    correlation = np.fft.irfft(product, length)
    lags = np.arange(-most, most + 1)
    return int(lags[np.argmax(correlation[lags])])


def resampled(reference: Array, samplerate: int) -> Array:
    """The reference at the samplerate that a file was encoded with."""
    import soxr

    return reference if samplerate == SAMPLERATE else soxr.resample(reference, SAMPLERATE, samplerate)


def test_every_file_is_expected():
    assert LOSSLESS.keys() | LOSSY.keys() == AUDIO.keys() | VIDEO.keys()
    assert len({row[:2] for row in (*LOSSLESS.values(), *LOSSY.values())}) >= 20


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_decode_to_what_was_encoded(files, reference, name):
    decoded = decode(files / name)
    assert (decoded.media.container, decoded.media.codec, decoded.media.bit_depth) == LOSSLESS[name]
    padded = decoded.samples[: SAMPLES + (name == "pcm.w64")]  # FFmpeg counts the padding of the chunk in
    assert np.array_equal(padded[:SAMPLES], reference)
    assert len(decoded.samples) == decoded.media.samples == len(padded)
    assert not decoded.damage
    assert not decoded.warnings


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_files_are_in_time_and_close_to_what_was_encoded(files, reference, name):
    container, codec, latest, off = LOSSY[name]
    decoded = decode(files / name)
    assert (decoded.media.container, decoded.media.codec, decoded.media.bit_depth) == (container, codec, None)
    wanted = resampled(reference, decoded.media.samplerate)
    assert abs(len(decoded.samples) - len(wanted)) <= off
    assert len(decoded.samples) == decoded.media.samples
    lag = lag_of(decoded.samples[:, 0], wanted[:, 0])
    assert min(latest, 0) <= lag <= max(latest, 0)
    for channel in range(2):
        found = np.roll(decoded.samples[:, channel], -lag)[4096:40_000]
        assert np.corrcoef(found, wanted[4096:40_000, channel])[0, 1] > 0.99
        assert found.std() == pytest.approx(wanted[4096:40_000, channel].std(), rel=0.05)
    assert not decoded.damage
    assert not decoded.warnings


@pytest.mark.parametrize("name", ["lame.mp3", "s16.wav", "flac.flac", "aac.m4a", "opus.opus", "wavpack.wv"])
def test_the_header_tells_the_length_without_decoding(files, name):
    told, decoded = describe(files / name), decode(files / name)
    tick = 45 if name == "aac.m4a" else 0  # the edit list is in milliseconds
    assert abs(told.samples - decoded.media.samples) <= tick
    assert told.sha256 is None
    assert told.size == (files / name).stat().st_size
    assert told.tags == decoded.media.tags


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("s16.wav", "audio/wav"),
        ("lame.mp3", "audio/mpeg"),
        ("vorbis.ogg", "audio/ogg"),
        ("film.ogv", "video/ogg"),
        ("aac.m4a", "audio/mp4"),
        ("film.mp4", "video/mp4"),
        ("film.mov", "video/quicktime"),
        ("opus.webm", "audio/webm"),
        ("film.webm", "video/webm"),
        ("flac.mka", "audio/matroska"),
        ("wma.wma", "audio/x-ms-wma"),
        ("film.wmv", "video/x-ms-wmv"),
        ("aac.ts", "video/mp2t"),
    ],
)
def test_mime_types(files, name, mime_type):
    assert describe(files / name).mime_type == mime_type


@pytest.mark.parametrize("samples", [1, 9216, 100_001])
def test_monkeys_audio_has_its_exact_length(tmp_path, samples):
    path = tmp_path / "silence.ape"
    path.write_bytes(silent_ape(samples))
    decoded = decode(path)
    assert (decoded.media.container, decoded.media.codec, decoded.media.bit_depth) == ("ape", "ape", 16)
    assert decoded.samples.shape == (samples, 2)
    assert not decoded.samples.any()


def test_amr_has_160_samples_a_frame(tmp_path):
    path = tmp_path / "noise.amr"
    path.write_bytes(noisy_amr(75))
    decoded = decode(path)
    assert (decoded.media.container, decoded.media.codec, decoded.media.samplerate) == ("amr", "amr_nb", 8000)
    assert decoded.samples.shape == (75 * 160, 1)
    assert decoded.samples.any()
    assert decoded.media.mime_type == "audio/amr"
