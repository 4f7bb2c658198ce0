"""Channels, samplerates and sample formats, against what was written."""

import numpy as np
import pytest
import soundfile
from tests.support.media import decode, ffmpeg, sweeps

STEPS = {"PCM_U8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-23, "PCM_32": 2**-23, "FLOAT": 0, "DOUBLE": 0}


@pytest.mark.parametrize("subtype", STEPS)
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_wav_of_any_depth_is_exact_to_half_a_step(tmp_path, subtype, channels):
    signal = sweeps(5000, 44_100, channels) * np.float32(0.777)
    soundfile.write(tmp_path / "a.wav", signal, 44_100, subtype=subtype)
    decoded = decode(tmp_path / "a.wav")
    assert decoded.samples.shape == signal.shape
    assert np.abs(decoded.samples - signal).max() <= STEPS[subtype]
    assert np.array_equal(decoded.samples, soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)[0])


def test_full_scale_integers_are_one(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([-(2**15), 2**15 - 1, 0], np.int16), 8000)
    assert decode(tmp_path / "a.wav").samples[:, 0].tolist() == [-1.0, 1 - 2**-15, 0.0]


@pytest.mark.parametrize("samplerate", [8000, 11_025, 16_000, 22_050, 32_000, 48_000, 96_000, 192_000, 500_000])
@pytest.mark.parametrize("container", ["wav", "flac", "aiff"])
def test_any_samplerate(tmp_path, samplerate, container):
    signal = sweeps(70_001, samplerate)
    path = tmp_path / f"a.{container}"
    soundfile.write(path, signal, samplerate)
    decoded = decode(path)
    assert decoded.media.samplerate == samplerate
    assert decoded.media.duration_s == 70_001 / samplerate
    assert np.array_equal(decoded.samples, signal)


@pytest.mark.parametrize("channels", range(1, 9))
def test_one_to_eight_channels_of_flac(tmp_path, channels):
    signal = sweeps(4000, 48_000, channels)
    soundfile.write(tmp_path / "a.flac", signal, 48_000)
    assert np.array_equal(decode(tmp_path / "a.flac").samples, signal)


def test_channels_keep_their_order_in_all_codecs(tmp_path):
    signal = sweeps(48_000, 48_000, 6)
    soundfile.write(tmp_path / "six.wav", signal, 48_000)
    outputs = {
        "six.wv": "",
        "six.mka": "-c:a pcm_s16le",
        "six.m4a": "-c:a aac -b:a 512k",
        "six.opus": "-c:a libopus -b:a 768k",
        "six.ogg": "-c:a libvorbis -b:a 512k",
        "six.ac3": "-c:a ac3 -b:a 640k",
    }
    ffmpeg(tmp_path, ["-channel_layout", "5.1", "-i", "six.wav"], outputs)
    full_band = [0, 1, 2, 4, 5]  # not the fourth, for low frequencies
    for name in outputs:
        samples = decode(tmp_path / name).samples[:48_000]
        found = np.abs(np.fft.rfft(samples, axis=0)) + 1e-9
        wanted = np.abs(np.fft.rfft(signal[: len(samples)], axis=0))
        alike = np.corrcoef(found.T, wanted.T)[:6, 6:]
        assert [alike[channel].argmax() for channel in full_band] == full_band, name


def test_a_broadcast_that_changes_its_channels_is_mixed_to_those_of_its_beginning(tmp_path):
    soundfile.write(tmp_path / "two.wav", sweeps(48_000, 48_000), 48_000)
    ffmpeg(
        tmp_path,
        ["-i", "two.wav"],
        {"1.ts": "-c:a mp2 -b:a 256k", "2.ts": "-c:a mp2 -ac 1 -b:a 128k -output_ts_offset 1"},
    )
    (tmp_path / "both.ts").write_bytes((tmp_path / "1.ts").read_bytes() + (tmp_path / "2.ts").read_bytes())
    decoded = decode(tmp_path / "both.ts")
    assert decoded.samples.shape[1] == 2
    assert len(decoded.samples) == pytest.approx(96_000, abs=4 * 1152)
    later = decoded.samples[60_000:90_000]
    assert later.any()
    assert np.array_equal(later[:, 0], later[:, 1])


def test_what_is_not_finite_becomes_zero_and_is_told(tmp_path):
    signal = sweeps(1000, 8000)
    signal[10, 0], signal[20, 1], signal[20, 0] = np.nan, np.inf, -np.inf
    soundfile.write(tmp_path / "a.wav", signal, 8000, subtype="FLOAT")
    decoded = decode(tmp_path / "a.wav")
    assert decoded.damage.zeroed_samples == 2
    assert np.array_equal(decoded.samples, np.where(np.isfinite(signal), signal, 0))
    assert "2 samples were not finite" in decoded.warnings[0]
