"""One pass: equal work once, rows as they are completed, failures that name the processor."""

import re

import numpy as np
import pytest

from timeside_core import (
    Analyzer,
    Array,
    Effect,
    Events,
    Framewise,
    Mono,
    Segments,
    Spectrum,
    Step,
    Stream,
    Value,
    events,
    segments,
)
from timeside_core.engine import Engine, Wanted
from timeside_core.errors import ParameterError, ProcessorError
from timeside_core.testing import analyze, signal


class Counted(Step, id="test_counted", version="1"):
    """Mono that counts how often it is started."""

    starts = 0

    def start(self, stream):
        type(self).starts += 1

    def process(self, block):
        return block[:, 0]


class Sum(Analyzer, id="test_sum", version="1"):
    """Sum of the samples."""

    scale: float = 1.0
    """Factor."""
    output = Value()

    @property
    def input(self):
        return Counted()

    def start(self, stream):
        self.total = 0.0

    def process(self, samples):
        self.total += float(samples.sum())

    def finish(self):
        return self.scale * self.total


class Louder(Effect, id="test_louder", version="1"):
    """Doubles the audio."""

    def process(self, block):
        return 2 * block


class Flux(Analyzer, id="test_flux", version="1"):
    """Times of loud spectra."""

    input: Spectrum = Spectrum(n_fft=256, hop_length=128)
    """Spectrum."""
    output = Events()

    def process(self, spectra: Array) -> Array:
        return self.times[np.abs(spectra).max(axis=1) > 5]


def final(emissions, index):
    return [each.rows.values[0] for each in emissions if each.index == index]


def test_equal_steps_run_once_and_each_wish_is_answered():
    Counted.starts = 0
    ones = np.ones((10, 1), np.float32)
    wanted = [Wanted(Sum()), Wanted(Sum(scale=2)), Wanted(Sum())]
    with Engine(wanted, Stream(samplerate=10)) as engine:
        emissions = engine.push(ones) + engine.finish()
    assert Counted.starts == 1
    assert [final(emissions, index) for index in range(3)] == [[10], [20], [10]]


def test_effects_act_on_what_follows_them():
    ones = np.ones((10, 1), np.float32)
    wanted = [Wanted(Sum()), Wanted(Sum(), (Louder(),)), Wanted(Sum(), (Louder(), Louder()))]
    with Engine(wanted, Stream(samplerate=10)) as engine:
        emissions = engine.push(ones) + engine.finish()
    assert [final(emissions, index) for index in range(3)] == [[10], [20], [40]]


def test_rows_come_out_before_the_signal_ends():
    audio = signal("sine", duration_s=2)
    with Engine([Wanted(Flux())], Stream(samplerate=44_100)) as engine:
        assert engine.push(audio)
        engine.finish()


def test_times_are_those_of_the_frames_however_audio_is_cut():
    audio = signal("sine", duration_s=2)
    audio[:44_100] = 0
    times = analyze(Flux(), audio)[""].times
    assert times[0] == pytest.approx(1.0, abs=256 / 44_100)
    assert np.array_equal(times, analyze(Flux(), audio, block_samples=1000)[""].times)


def test_audio_is_read_only_for_steps():
    class Rude(Analyzer, id="test_rude", version="1"):
        """Writes on its input."""

        def process(self, block):
            block *= 2

    with pytest.raises(ProcessorError, match="'test_rude' failed in process: ValueError"):
        analyze(Rude(), signal("sine"))


def test_a_failure_names_the_processor_and_closes_all():
    closed = []

    class Fails(Analyzer, id="test_fails", version="1"):
        """Fails."""

        input: Mono = Mono()
        """Mono."""

        def process(self, samples):
            raise ZeroDivisionError("by zero")

        def close(self):
            closed.append(self.id)

    with pytest.raises(ProcessorError, match="'test_fails' failed in process: ZeroDivisionError: by zero"):
        analyze(Fails(), signal("sine"))
    assert closed == ["test_fails"]


def test_an_error_of_our_own_passes_unchanged():
    class Refuses(Analyzer, id="test_refuses", version="1"):
        """Refuses."""

        def start(self, stream):
            raise ParameterError("f_max=9 Hz is above the Nyquist frequency")

    with pytest.raises(ParameterError, match="f_max=9"):
        analyze(Refuses(), signal("sine"))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"no": 1}, "'test_wrong' returned an output 'no'; it declares 'spans', 'curve', 'marks'"),
        (1.0, "returned rows of no output"),
        ({"spans": np.zeros(3)}, "'test_wrong.spans': a segment output takes segments"),
        ({"curve": 3.0}, "'test_wrong.curve': a framewise output takes rows, not the single number"),
        ({"curve": [[1, 2], [3]]}, "what came is no array"),
        ({"curve": ["loud"]}, "values of type <U4 came: real numbers"),
        ({"curve": [1j]}, "values of type complex128"),
        ({"marks": np.zeros((2, 2))}, "times of shape (2, 2)"),
        ({"marks": events(np.zeros(2), np.array([0, 2]), labelled=True)}, "indices of the 2 declared ones"),
        ({"marks": events(np.zeros(1), np.array([0.5]))}, "indices of the 2 declared ones"),
    ],
)
def test_rows_that_do_not_fit_the_declaration_are_refused(returned, message):
    class Wrong(Analyzer, id="test_wrong", version="1"):
        """Returns what it did not declare."""

        outputs = {"spans": Segments(), "curve": Framewise(), "marks": Events(labels=("on", "off"))}

        def process(self, block):
            return returned

    with pytest.raises(ProcessorError, match=re.escape(message)):
        analyze(Wrong(), signal("sine"))


def test_rows_of_an_output_are_alike():
    class Growing(Analyzer, id="test_growing", version="1"):
        """Rows that have more and more columns."""

        output = Framewise()

        def process(self, block):
            return np.zeros((1, 1 + self.row))

    with pytest.raises(ProcessorError, match=re.escape("'test_growing': rows of shape (32769,) came after (1,)")):
        analyze(Growing(), signal("sine", duration_s=1))


def test_an_input_that_is_none_is_refused():
    class Lost(Analyzer, id="test_lost", version="1"):
        """Names a class, not a form of input."""

        input = Mono

    with pytest.raises(ProcessorError, match="'test_lost' reads <class"):
        analyze(Lost(), signal("sine"))


@pytest.mark.parametrize("fails_before", [False, True])
def test_a_failure_to_close_names_the_processor_and_hides_no_other(fails_before):
    class Stuck(Analyzer, id="test_stuck", version="1"):
        """Cannot be closed."""

        def finish(self):
            if fails_before:
                raise OSError("lost")

        def close(self):
            raise OSError("stuck")

    message = "failed in finish: OSError: lost" if fails_before else "'test_stuck' failed in close: OSError: stuck"
    with pytest.raises(ProcessorError, match=message):
        analyze(Stuck(), signal("sine"))


def test_several_outputs_are_told_apart():
    class Both(Analyzer, id="test_both", version="1"):
        """Curve and spans."""

        outputs = {"curve": Framewise(), "span": Segments(labels=("all",))}

        def process(self, block):
            return {"curve": block[:, 0]}

        def finish(self):
            return {"span": segments(np.array([0.0]), np.array([1.0]), labelled=True)}

    found = analyze(Both(), signal("sine", duration_s=1))
    assert len(found["curve"]) == 44_100
    assert found["span"].values.dtype == np.int32


def test_time_is_measured_per_processor():
    with Engine([Wanted(Sum()), Wanted(Flux())], Stream(samplerate=44_100)) as engine:
        engine.push(signal("noise", duration_s=2))
        engine.finish()
        assert engine.run_time_s(0) > 0
        assert engine.run_time_s(1) > 0


class _Broken(Analyzer, id="broken_after_a_block", version="1.0"):
    input: Mono = Mono()
    output = Framewise()

    def process(self, samples: Array) -> Array:
        if self.row:
            raise ValueError("broken")
        return samples


def test_isolated_failure_ends_only_what_reads_it() -> None:
    audio = np.ones((3 * 1024, 1), np.float32)
    wanted = [Wanted(_Broken()), Wanted(Mono())]
    called: list[tuple[str, tuple[int, ...]]] = []
    engine = Engine(
        wanted,
        Stream(samplerate=44100),
        block_samples=1024,
        isolate=True,
        on_step=lambda step, needed_by: called.append((step.id, tuple(needed_by))),
    )
    with engine:
        emissions = [*engine.push(audio), *engine.finish()]
    assert list(engine.failures) == [0]
    assert "broken" in str(engine.failures[0])
    assert sum(len(each.payload) for each in emissions if each.index == 1) == len(audio)
    assert ("mono", (0, 1)) in called
