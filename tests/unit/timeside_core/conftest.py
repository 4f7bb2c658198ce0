"""Results to write, read and show."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.outputs import Events, Framewise, Output, Segments, Value
from timeside_core.results import Provenance, Result, Results

MEDIA = Media(
    uri="Chants d'été/№ 3 <b>.flac",
    samplerate=44100,
    channels=2,
    samples=441_000,
    sha256="5e" * 32,
    size=1_234_567,
    container="flac",
    codec="flac",
    bit_depth=24,
    mime_type="audio/flac",
    tags={"title": "<script>alert('été')</script>", "comment": 'tab\t, line\r\n, nul\x00, "quotes" & \\u0041, 𝄞'},
)
PROVENANCE = Provenance(
    processor="some",
    version="1.2",
    parameters={
        "gain": 0.1,
        "count": 3,
        "on": True,
        "none": None,
        "input": {"id": "mono", "list": [1, [2.5, "é"], {}]},
    },
    digest="d1" * 32,
    media=MEDIA,
    segment=Segment(441, 88_200),
    effects=[{"id": "fx_gain", "version": "1.0", "gain": -3.0}],
    run_time_s=0.25,
    created="2026-01-01T00:00:00.000+00:00",
    libraries={"timeside": "2.0", "numpy": "2.0"},
)
STREAM = Stream(samplerate=44100, channels=1, hop_length=441, frame_length=882, start_s=0.01)


def make(id: str, output: Output, values: Any, **fields: Any) -> Result:
    """A result with provenance of the tests' media; `media` and `stream` replace that and the stream."""
    provenance = replace(PROVENANCE, media=fields.pop("media", MEDIA), segment=fields.pop("segment", Segment()))
    stream = fields.pop("stream", STREAM)
    return Result(id=id, output=output, values=np.asarray(values), stream=stream, provenance=provenance, **fields)


def noise(*shape: int) -> Array:
    """Float32 noise."""
    return np.random.default_rng(440).standard_normal(shape, np.float32)


@pytest.fixture(scope="session")
def make_result() -> Any:
    """How to make a result."""
    return make


@pytest.fixture(scope="session")
def assorted() -> Results:
    """Every time mode, as values and labels, with and without bins, full and empty."""
    return Results(
        [
            make("mfcc", Framewise(bins="coefficient"), noise(500, 13)),
            make("melspectrogram", Framewise(bins="mel band", bin_unit="Hz"), noise(3, 2), bins=np.array([20.0, 55.5])),
            make("zeros", Framewise(unit="Hz"), np.zeros(4, np.float16)),
            make("voiced", Framewise(labels=("no", "oui, été")), np.array([0, 1, 1], np.uint8)),
            make("level.max", Value(unit="dBFS", description="Zero is <not> nothing"), np.float32(0)),
            make("chroma.mean", Value(bins="pitch class"), noise(2), bins=("C", "C♯")),
            make("key", Value(labels=("C", "G")), np.int32(1)),
            make("nothing", Value(), np.empty(0, np.float32)),
            make("onsets", Events(labels=("onset",)), np.zeros(2, np.int32), event_times=np.array([0.1, 1 / 3])),
            make("peaks", Events(unit="dB"), np.array([True, False]), event_times=np.array([0.5, 0.75])),
            make("no_onsets", Events(labels=("onset",)), np.empty(0, np.int32)),
            make(
                "silence",
                Segments(labels=("silence", "sound")),
                np.array([1, 0]),
                event_times=np.array([0.0, 0.7]),
                event_durations=np.array([0.7, 1.3]),
            ),
            make("mfcc", Framewise(bins="coefficient"), noise(0, 13), segment=Segment(441, 88_200)),
        ]
    )
