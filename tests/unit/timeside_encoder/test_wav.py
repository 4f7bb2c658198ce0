import io

import numpy as np
import pytest
import soundfile

from timeside_core import Stream
from timeside_encoder.pcm import quantized
from timeside_encoder.sink import Sink
from timeside_encoder.wav import WavEncoder


@pytest.mark.parametrize(
    ("sample_format", "subtype", "bits"), [("s16", "PCM_16", 16), ("s24", "PCM_24", 24), ("f32", "FLOAT", 24)]
)
@pytest.mark.parametrize("channels", [1, 2, 3, 9])
@pytest.mark.parametrize("samples", [0, 1, 40_003])
def test_integers_come_back_to_the_bit(sample_format, subtype, bits, channels, samples, tmp_path, encode):
    full_scale = 1 << (bits - 1)
    integers = np.random.default_rng(440).integers(-full_scale, full_scale, (samples, channels))
    audio = (integers / full_scale).astype(np.float32)
    path = tmp_path / "out.wav"

    encode(WavEncoder(path, sample_format=sample_format), audio)

    with soundfile.SoundFile(path) as file:
        assert (file.subtype, file.samplerate, file.channels, len(file)) == (subtype, 44_100, channels, samples)
        np.testing.assert_array_equal(file.read(dtype="float32", always_2d=True), audio)
    assert path.stat().st_size % 2 == 0


@pytest.mark.parametrize("sample_format", ["s16", "s24", "f32"])
def test_a_stream_reads_to_its_end(sample_format, tones, encode, by_soundfile, by_ffmpeg):
    audio = tones(40_003, channels=1)

    data = b"".join(chunk for chunk in encode(WavEncoder(sample_format=sample_format), audio) if chunk)

    assert data[4:8] == b"\xff\xff\xff\xff"
    for decoded in (by_soundfile(data), by_ffmpeg(data, channels=1)):
        np.testing.assert_allclose(decoded, audio, atol=2**-16, rtol=0)


def test_a_float_file_neither_clips_nor_rounds(tmp_path, encode):
    audio = np.array([[1.5], [-7.25], [1e-30], [0.1]], np.float32)

    encode(WavEncoder(tmp_path / "out.wav"), audio)

    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav", dtype="float32", always_2d=True)[0], audio)


@pytest.mark.parametrize("samples", [(1 << 29) - 40, 1 << 29, 3 << 30])
def test_beyond_4_gib_it_is_rf64(samples, tmp_path):
    stream = Stream(samplerate=48_000, channels=2)
    codec = WavEncoder(metadata={"title": "long"}).open(stream, Sink(rewritable=True))
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(codec.header(samples))
        file.truncate(file.tell() + samples * 8)  # a hole: it takes no room

    with soundfile.SoundFile(path) as file:
        assert len(file) == samples
        assert file.format == ("WAV" if samples < 1 << 29 else "RF64")
        file.seek(samples - 1)
        assert len(file.read()) == 1


def test_the_header_is_as_long_for_every_length():
    codec = WavEncoder().open(Stream(samplerate=48_000, channels=6), Sink(rewritable=True))

    assert len({len(codec.header(samples)) for samples in (None, 0, 1, 1 << 20, 1 << 40)}) == 1


def test_info_is_read_by_others(tones, encode):
    tags = {"title": "Été", "artist": "A", "album": "B", "date": "1962", "genre": "G", "comment": "odd", "track": "7"}
    data = b"".join(chunk for chunk in encode(WavEncoder(metadata=tags), tones(100)) if chunk)

    with soundfile.SoundFile(io.BytesIO(data)) as file:
        found = file.copy_metadata()
    assert {found[name] for name in ("title", "artist", "album", "date", "genre", "comment")} <= set(tags.values())


def test_quantizing_rounds_half_to_even_and_clips():
    block = np.array([-2, -1, -1.5 / 32768, -0.5 / 32768, 0.5 / 32768, 1.5 / 32768, 1, 2], np.float32)

    np.testing.assert_array_equal(quantized(block, 16), [-32768, -32768, -2, 0, 0, 2, 32767, 32767])
    assert quantized(block, 16).dtype == np.int16
    np.testing.assert_array_equal(quantized(block[[0, -1]], 24), [-(1 << 23), (1 << 23) - 1])
    assert quantized(block, 24).dtype == np.int32
