"""`(decoder | …).run()`: results with provenance, segments, effects, cancel."""

import pickle
import threading

import numpy as np
import pytest

from timeside_analyzer.dc import MeanDCShift
from timeside_core import Analyzer, Effect, Framewise, Grapher, Mono, Pipeline
from timeside_core.errors import CancelledError, MediaError, PipelineError, SegmentError
from timeside_decoder.array import ArrayDecoder


class Copy(Analyzer, id="test_copy", version="1"):
    """The mono signal itself."""

    input: Mono = Mono()
    """Mono."""
    output = Framewise()

    def process(self, samples):
        return samples


class Offset(Effect, id="test_offset", version="1"):
    """Adds an offset."""

    by: float = 0.1
    """How much."""

    def process(self, block):
        return block + np.float32(self.by)


class Draws(Grapher, id="test_draws", version="1"):
    """Draws a copy."""

    @property
    def input(self):
        return (Copy(), MeanDCShift())


@pytest.fixture
def ramp():
    return np.linspace(-1, 1, 100_000, dtype=np.float32)


def test_results_are_found_by_id_and_by_processor(ramp):
    results = (ArrayDecoder(ramp, 8000) | MeanDCShift() | Copy()).run()
    assert results.ids() == ("mean_dc_shift", "test_copy")
    assert results["mean_dc_shift"].values == pytest.approx(0, abs=1e-3)
    assert len(results[Copy()]) == 1
    with pytest.raises(KeyError, match="no result is named 'level'; there are mean_dc_shift, test_copy"):
        results["level"]


def test_equal_samples_of_another_form_are_other_media(ramp):
    decoders = (ArrayDecoder(ramp, 8000), ArrayDecoder(ramp, 16_000), ArrayDecoder(ramp.reshape(-1, 2), 8000))
    assert len({(each | MeanDCShift()).run()[0].provenance.media.sha256 for each in decoders}) == 3


def test_provenance_tells_what_a_result_depends_on(ramp):
    first, second = ((ArrayDecoder(ramp, 8000) | Offset(by=by) | MeanDCShift()).run()[0] for by in (0.1, 0.2))
    assert first.provenance.processor == "mean_dc_shift"
    assert first.provenance.effects == [{"id": "test_offset", "version": "1", "by": 0.1}]
    assert first.provenance.media.sha256 == second.provenance.media.sha256
    assert first.provenance.digest != second.provenance.digest
    assert {"timeside", "numpy"} <= first.provenance.libraries.keys()
    assert first.values == pytest.approx(10, abs=1e-2)


def test_effects_act_only_on_what_follows(ramp):
    results = (ArrayDecoder(ramp, 8000) | MeanDCShift() | Offset() | MeanDCShift()).run()
    assert [float(each.values) for each in results] == pytest.approx([0, 10], abs=1e-2)


def test_a_segment_is_exact_to_the_sample_and_keeps_the_medias_time(ramp):
    result = (ArrayDecoder(ramp, 8000, start=1.0, duration=0.5) | Copy()).run()[0]
    assert np.array_equal(result.values, ramp[8000:12_000])
    assert result.times[0] == 1.0
    assert result.duration_s == 0.5
    assert result.provenance.segment.first_sample == 8000


@pytest.mark.parametrize("segment", [{"start": 13.0}, {"start": 12.0, "duration": 1.0}])
def test_a_segment_outside_the_media_is_refused(ramp, segment):
    with pytest.raises(SegmentError, match=r"outside the array's 12\.5 s"):
        (ArrayDecoder(ramp, 8000, **segment) | Copy()).run()


def test_graphers_bring_their_parents_once(ramp):
    results = (ArrayDecoder(ramp, 8000) | MeanDCShift() | Draws()).run()
    assert results.ids() == ("mean_dc_shift", "test_copy")


def test_no_signal_no_value():
    results = (ArrayDecoder(np.empty(0), 8000) | MeanDCShift() | Copy()).run()
    assert [len(each) for each in results] == [0, 0]


def test_a_run_can_be_cancelled(ramp):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        (ArrayDecoder(ramp, 8000) | Copy()).run(cancel=cancel)


def test_progress_tells_seconds_done_and_in_all(ramp):
    seen = []
    (ArrayDecoder(ramp, 8000) | Copy()).run(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12.5, 12.5)


def test_rows_stream_while_it_runs(ramp):
    pipeline = ArrayDecoder(ramp, 8000) | Copy()
    rows = [emission.rows for _, emission in pipeline.stream()]
    assert len(rows) > 1
    assert np.array_equal(np.concatenate([each.values for each in rows]), pipeline.results[0].values)


def test_what_cannot_follow_is_refused(ramp):
    decoder = ArrayDecoder(ramp, 8000)
    with pytest.raises(PipelineError, match="one decoder"):
        decoder | decoder
    with pytest.raises(PipelineError, match="form of input"):
        decoder | Mono()
    with pytest.raises(PipelineError, match="cannot follow"):
        Pipeline(decoder) | "level"
    assert repr(decoder | MeanDCShift()) == "array_decoder | mean_dc_shift"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.array(["a"]), "<U1"),
        (np.array([np.nan]), "NaN"),
        (np.zeros(4, np.uint8), "uint8"),
        (np.zeros(4, complex), "complex128"),
    ],
)
def test_an_array_that_is_not_audio_is_refused(array, message):
    with pytest.raises(MediaError, match=message):
        (ArrayDecoder(array, 8000) | Copy()).run()


def test_integers_are_scaled_to_full_scale():
    result = (ArrayDecoder(np.array([-32768, 0, 16384], np.int16), 8000) | Copy()).run()[0]
    assert result.values.tolist() == [-1.0, 0.0, 0.5]


def test_results_travel_to_other_processes(ramp):
    results = (ArrayDecoder(ramp, 8000) | MeanDCShift()).run()
    again = pickle.loads(pickle.dumps(results))
    assert again[0].provenance == results[0].provenance
    assert again[0].values == results[0].values
