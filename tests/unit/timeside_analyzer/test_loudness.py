"""Loudness: the signals of EBU Tech 3341 and 3342, within their tolerances; references; any cut, rate and layout.

Not checked: signals 7 and 8 of Tech 3341 and 5 and 6 of Tech 3342 are recordings; 11 and 14 repeat 10 and 13 live.
"""

import subprocess
import sys

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import chirp, sosfreqz

from timeside_analyzer.loudness import LoudnessITU, k_weighting
from timeside_core import Stream
from timeside_core.testing import analyze, signal

SAMPLERATE = 48_000


def tones(*parts, samplerate=SAMPLERATE, channels=2, hz=1000):
    """Sines of (peak level in dBFS, or None for silence, and duration in seconds), in phase on all channels."""
    pieces = []
    for level_db, duration_s in parts:
        t = np.arange(round(duration_s * samplerate)) / samplerate
        amplitude = 0 if level_db is None else 10 ** (level_db / 20)
        pieces.append(amplitude * np.sin(2 * np.pi * hz * t))
    return np.repeat(np.concatenate(pieces)[:, np.newaxis], channels, axis=1).astype(np.float32)


def measure(audio, samplerate=SAMPLERATE):
    """Values by output; numbers of global outputs that exist, arrays of framewise ones."""
    found = analyze(LoudnessITU(), audio, samplerate=samplerate)
    framewise = {name: found.pop(name).values for name in ("block_loudness", "short_term")}
    return framewise | {name: float(rows.values[0]) for name, rows in found.items() if len(rows)}


@pytest.mark.parametrize(
    ("parts", "integrated"),
    [
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
    ids=["1", "2", "3", "4", "5"],
)
def test_integrated_loudness_of_tech_3341(parts, integrated):
    found = measure(tones(*parts))
    assert found["gated_loudness"] == pytest.approx(integrated, abs=0.1)
    if len(parts) == 1:
        assert found["block_loudness"] == pytest.approx(integrated, abs=0.1)
        assert found["short_term"] == pytest.approx(integrated, abs=0.1)
        assert found["relative_threshold"] == pytest.approx(found["gated_loudness"] - 10, abs=1e-3)


def test_signal_6_of_tech_3341_with_surround_and_with_lfe():
    levels_db = [-28, -28, -24, -30, -30]
    audio = tones((0, 20), channels=1) * 10 ** (np.array(levels_db, np.float32) / 20)
    assert measure(audio)["gated_loudness"] == pytest.approx(-23, abs=0.1)
    with_lfe = np.insert(audio, 3, 1.0, axis=1)
    assert measure(with_lfe)["gated_loudness"] == pytest.approx(measure(audio)["gated_loudness"], abs=1e-3)


def test_signal_9_of_tech_3341_has_constant_short_term_loudness():
    found = measure(tones(*[(-20, 1.34), (-30, 1.66)] * 5))
    full = found["short_term"][13:-13]
    assert len(full) == 15 * 10 - 29
    assert full == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("n", range(0, 20, 3))
def test_signal_10_of_tech_3341_reads_maximum_short_term_loudness(n):
    assert measure(tones((None, 0.15 * n), (-23, 3), (None, 1)))["max_short_term"] == pytest.approx(-23, abs=0.1)


def test_signal_12_of_tech_3341_has_constant_momentary_loudness():
    found = measure(tones(*[(-20, 0.18), (-30, 0.22)] * 25))
    assert found["block_loudness"][6:] == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("n", range(20))
def test_signal_13_of_tech_3341_reads_maximum_momentary_loudness(n):
    assert measure(tones((None, 0.02 * n), (-23, 0.4), (None, 1)))["max_momentary"] == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(
    ("levels_db", "range_lu"),
    [([-20, -30], 10), ([-20, -15], 5), ([-40, -20], 20), ([-50, -35, -20, -35, -50], 15)],
    ids=["1", "2", "3", "4"],
)
def test_loudness_range_of_tech_3342(levels_db, range_lu):
    assert measure(tones(*[(level_db, 20) for level_db in levels_db]))["range"] == pytest.approx(range_lu, abs=1)


def test_full_scale_997_hz_on_one_channel_reads_minus_3_01():
    audio = tones((0, 5), hz=997)
    audio[:, 1] = 0
    found = measure(audio)
    assert found["gated_loudness"] == pytest.approx(-3.01, abs=0.01)
    assert found["true_peak"] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("samplerate", "tolerance_lu"), [(48_000, 0.01), (44_100, 0.01), (32_000, 0.03)])
def test_equals_pyloudnorm(samplerate, tolerance_lu):
    """Its high-pass gains 0.02 dB more at 32 kHz than at 48 kHz; ours gains the same."""
    rng = np.random.default_rng(440)
    envelope = np.repeat(10 ** rng.uniform(-2, 0, 20), samplerate)[:, np.newaxis]
    audio = (0.3 * rng.standard_normal((20 * samplerate, 2)) * envelope).astype(np.float32)
    expected = pyloudnorm.Meter(samplerate, filter_class="DeMan").integrated_loudness(audio)
    assert measure(audio, samplerate)["gated_loudness"] == pytest.approx(expected, abs=tolerance_lu)


def test_known_values_of_tones_and_sweep():
    """A tone, a scale of eight with rests, and a sweep, all at full scale."""
    t = np.arange(8 * 44_100) / 44_100
    scale = [261.63, 293.66, 329.63, 349.23, 392.00, 440.00, 493.88, 523.25]
    notes = [tones((0, 1), (None, 0.2), samplerate=44_100, channels=1, hz=hz) for hz in scale]
    scale_audio = np.concatenate(notes)[: round(9.4 * 44_100)]
    sweep = chirp(t, 20, 8, 22_050, method="logarithmic").astype(np.float32)
    expected = [
        (tones((0, 8), samplerate=44_100, channels=1, hz=440), -3.736),
        (scale_audio, -4.501),
        (sweep[:, np.newaxis], -2.095),
        (np.stack([sweep, sweep], axis=1), 0.915),
    ]
    for audio, loudness in expected:
        assert measure(audio, 44_100)["gated_loudness"] == pytest.approx(loudness, abs=0.05)
    assert len(measure(scale_audio, 44_100)["block_loudness"]) == 91


def test_k_weighting_at_48_khz_is_the_table_of_the_standard():
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    high_pass = [1, -2, 1, 1, -1.99004745483398, 0.99007225036621]
    assert np.allclose(k_weighting(48_000), [shelf, high_pass], atol=1e-8)


@pytest.mark.parametrize(
    ("samplerate", "tolerance_db"), [(8_000, 0.29), (11_025, 0.15), (22_050, 0.04), (44_100, 0.002), (192_000, 0.01)]
)
def test_k_weighting_is_alike_at_all_samplerates(samplerate, tolerance_db):
    hz = np.geomspace(20, min(10_000, 0.46 * samplerate), 100)
    _, at_48_khz = sosfreqz(k_weighting(48_000), hz, fs=48_000)
    _, here = sosfreqz(k_weighting(samplerate), hz, fs=samplerate)
    assert np.abs(20 * np.log10(np.abs(here / at_48_khz))).max() < tolerance_db


def test_surround_weighs_1_41_and_the_back_of_7_1_does_not():
    stereo = measure(tones((-23, 2)))["gated_loudness"]
    quad = tones((-23, 2), channels=4)
    quad[:, :2] = 0
    assert measure(quad)["gated_loudness"] - stereo == pytest.approx(10 * np.log10(1.41), abs=1e-3)
    back = tones((-23, 2), channels=8)
    back[:, [0, 1, 2, 3, 6, 7]] = 0
    assert measure(back)["gated_loudness"] == pytest.approx(stereo, abs=1e-3)


def test_rows_share_one_clock():
    """A burst is loudest in the rows at its time, in both framewise outputs."""
    audio = tones((-40, 5), (-10, 0.4), (-40, 5))
    found = measure(audio)
    times = LoudnessITU().clock(Stream(samplerate=SAMPLERATE, channels=2)).times(0, len(found["block_loudness"]))
    assert len(found["block_loudness"]) == len(found["short_term"]) == 104 - 3
    assert times[found["block_loudness"].argmax()] == pytest.approx(5.2)
    loud = times[found["short_term"] > found["short_term"].max() - 0.5]
    assert (loud.min() + loud.max()) / 2 == pytest.approx(5.2, abs=0.06)


def test_does_not_depend_on_the_pieces_that_come():
    rng = np.random.default_rng(440)
    audio = (0.1 * rng.standard_normal((100_000, 2))).astype(np.float32)
    stream = Stream(samplerate=22_050, channels=2)

    def fed(pieces):
        analyzer = LoudnessITU().working_copy(stream)
        analyzer.start(stream)
        made = [analyzer.process(piece) for piece in pieces if len(piece)]
        analyzer.at(len(audio), 0)
        made.append(analyzer.finish())
        return {name: np.concatenate([np.atleast_1d(rows[name]) for rows in made if name in rows]) for name in made[-1]}

    whole = fed([audio])
    assert set(whole) == set(LoudnessITU.outputs)
    for name, values in fed(np.split(audio, np.sort(rng.integers(0, len(audio), 80)))).items():
        assert np.allclose(values, whole[name], atol=1e-4), name


def test_silence_has_a_floor_and_no_integrated_loudness():
    found = measure(signal("silence", samplerate=SAMPLERATE, channels=2, duration_s=4))
    assert found["block_loudness"] == pytest.approx(-139.165, abs=1e-3)
    assert found["true_peak"] == pytest.approx(-138.474, abs=1e-3)
    assert "gated_loudness" not in found
    assert "range" not in found


def test_a_signal_shorter_than_a_block_has_a_true_peak_only():
    found = measure(tones((-6, 0.39)))
    assert {name for name, value in found.items() if np.size(value)} == {"true_peak"}
    assert "range" not in measure(tones((-6, 2.9)))
    assert len(measure(np.zeros((0, 2), np.float32))["block_loudness"]) == 0


def test_runs_without_loading_scipy():
    """A cold start stays fast."""
    code = (
        "import sys, numpy; from timeside_core import get_processor; from timeside_decoder.array import ArrayDecoder;"
        "(ArrayDecoder(numpy.ones(48_000), 48_000) | get_processor('level')() | get_processor('loudness_itu')()).run();"
        "print('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
