"""The contract of processors, as tests to inherit: run it over yours.

    from timeside_core.testing import AnalyzerContract

    class TestAttacks(AnalyzerContract):
        processor = Attacks

What it states: parameters drawn from the JSON schema survive JSON and say what they mean; a result does not depend on
how the signal was cut; it is finite on silence, DC, one sample, nothing, clipping, 8 kHz to 192 kHz, 1 to 8 channels;
nothing is left on an instance after a run; times lie in the signal and in order.

Intentionally not checked: that values are right. Only a reference can tell.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from timeside_core.audio import Array, Stream
from timeside_core.engine import BLOCK_SAMPLES, Engine, Wanted
from timeside_core.errors import ParameterError
from timeside_core.outputs import Output, Rows
from timeside_core.processor import Analyzer, Effect, Processor, Step, required_places
from timeside_core.results import joined

FORMATS = ((8_000, 1), (44_100, 2), (48_000, 6), (192_000, 8))
"""Samplerates (Hz) and channels that every analyzer takes."""

SETTINGS: Any = {
    "deadline": None,
    "derandomize": True,
    "report_multiple_bugs": False,
    "suppress_health_check": (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large),
}

SIGNALS = ("silence", "dc", "sine", "noise", "clipping", "click", "one_sample", "empty")


def signal(name: str, *, samplerate: int = 44_100, channels: int = 1, duration_s: float = 0.4) -> Array:
    """A test signal by name (see `SIGNALS`), shape `(samples, channels)`, float32, full scale ±1."""
    samples = {"one_sample": 1, "empty": 0}.get(name, round(duration_s * samplerate))
    t = np.arange(samples) / samplerate
    mono = {
        "silence": lambda: np.zeros(samples),
        "dc": lambda: np.full(samples, 0.5),
        "sine": lambda: 0.5 * np.sin(2 * np.pi * 440 * t),
        "noise": lambda: 0.1 * np.random.default_rng(440).standard_normal(samples),
        "clipping": lambda: np.clip(4 * np.sin(2 * np.pi * 997 * t), -1, 1),
        "click": lambda: np.eye(1, samples, samples // 2)[0],
        "one_sample": lambda: np.full(samples, 0.25),
        "empty": lambda: np.zeros(samples),
    }[name]()
    gains = 1 / (1 + np.arange(channels))
    return (mono[:, np.newaxis] * gains).astype(np.float32)


def analyze(
    step: Step,
    audio: Array,
    *,
    samplerate: int = 44_100,
    cuts: Sequence[int] = (),
    block_samples: int = BLOCK_SAMPLES,
) -> dict[str, Rows]:
    """Rows by output of one step over an array, shape `(samples, channels)`, handed over in pieces cut at `cuts`."""
    stream = Stream(samplerate=samplerate, channels=audio.shape[1])
    parts: dict[str, list[Rows]] = {}
    with Engine([Wanted(step)], stream, block_samples=block_samples) as engine:
        emissions = [emission for piece in np.split(audio, sorted(cuts)) for emission in engine.push(piece)]
        for emission in [*emissions, *engine.finish()]:
            if emission.rows is not None:
                parts.setdefault(emission.output, []).append(emission.rows)
    declared: Mapping[str, Output] = step.declared() if isinstance(step, Analyzer) else {}
    return {name: joined(parts.get(name, []), output) for name, output in declared.items()}


def parameters(processor: type[Processor]) -> st.SearchStrategy[dict[str, Any]]:
    """Parameters drawn from a processor's JSON schema; numbers stay within four times their default, for speed."""
    return _drawn_object(processor.schema())


def instances(processor: type[Processor]) -> st.SearchStrategy[Processor]:
    """Instances with drawn parameters; combinations that the processor refuses are left out."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Processor:
        values = draw(parameters(processor)) | dict.fromkeys(required_places(processor), "nowhere")
        try:
            return processor.from_parameters(values)
        except ParameterError:
            assume(False)
            raise

    return drawn()


class ProcessorContract:
    """What holds for every processor."""

    processor: ClassVar[Any]
    """The class under test."""

    def test_is_documented_and_versioned(self) -> None:
        """Id, version, a one-line description; each parameter says what it is."""
        cls: type[Processor] = self.processor
        assert cls.id
        assert cls.version
        assert len(cls.description()) > 10, f"{cls.id} has no docstring"
        for name, schema in cls.schema()["properties"].items():
            assert schema.get("description"), f"{cls.id}.{name} has no description (a string below the attribute)"

    def test_parameters_survive_json(self) -> None:
        """Drawn parameters make an instance that hashes, and is equal after a trip through JSON."""

        @settings(max_examples=20, **SETTINGS)
        @given(drawn=instances(self.processor))
        def check(drawn: Processor) -> None:
            sent = json.loads(json.dumps(drawn.parameters(), allow_nan=False))
            again = self.processor.from_parameters(sent | dict.fromkeys(required_places(self.processor), "nowhere"))
            hash(again)  # a list cannot: a tuple can
            assert again.parameters() == drawn.parameters()
            assert again.identity() == drawn.identity()

        check()

    def test_unknown_parameters_are_refused(self) -> None:
        """A misspelt parameter is an error that names it."""
        with pytest.raises(ParameterError, match="no_such_parameter"):
            self.processor.from_parameters({"no_such_parameter": 1})


class AnalyzerContract(ProcessorContract):
    """What holds for every analyzer."""

    rtol: ClassVar[float] = 1e-3
    """How much a value may change with the size of the blocks that the engine hands on."""

    def test_outputs_are_declared(self) -> None:
        """Outputs have plain names, and units or labels are text."""
        for name, output in self.processor().declared().items():
            assert name == "" or name.isidentifier()
            assert isinstance(output, Output)

    def test_result_does_not_depend_on_cuts(self) -> None:
        """Equal to the bit however the signal is handed over; close whatever size the engine's blocks have."""
        audio = signal("noise", samplerate=22_050, channels=2, duration_s=0.5)
        audio += signal("sine", samplerate=22_050, channels=2, duration_s=0.5)

        @settings(max_examples=8, **SETTINGS)
        @given(
            drawn=instances(self.processor),
            cuts=st.lists(st.integers(0, len(audio)), max_size=12),
            block_samples=st.integers(700, 5_000),
        )
        def check(drawn: Processor, cuts: list[int], block_samples: int) -> None:
            assert isinstance(drawn, Analyzer)
            try:
                whole = analyze(drawn, audio, samplerate=22_050)
            except ParameterError:
                assume(False)
                raise
            _assert_equal(analyze(drawn, audio, samplerate=22_050, cuts=cuts), whole)
            _assert_close(analyze(drawn, audio, samplerate=22_050, block_samples=block_samples), whole, self.rtol)

        check()

    @pytest.mark.parametrize(("samplerate", "channels"), FORMATS)
    def test_is_finite(self, samplerate: int, channels: int) -> None:
        """No NaN, no infinity, on any signal; no signal, no rows or nothing but a documented floor."""
        for name in SIGNALS:
            audio = signal(name, samplerate=samplerate, channels=channels)
            for output, rows in analyze(self.processor(), audio, samplerate=samplerate).items():
                for part in (rows.values, rows.times, rows.durations):
                    assert np.isfinite(part).all(), f"{self.processor.id}.{output} on {name} is not finite"

    def test_times_lie_in_the_signal_and_in_order(self) -> None:
        """Events and segments start inside the signal, one after another, and do not outlast it."""
        for name in ("noise", "click", "sine", "one_sample"):
            audio = signal(name, duration_s=1.0)
            length_s = len(audio) / 44_100
            for rows in analyze(self.processor(), audio).values():
                assert (np.diff(rows.times) >= 0).all()
                assert ((rows.times >= 0) & (rows.times <= length_s)).all()
                assert (rows.durations >= 0).all()
                if len(rows.durations):
                    assert (rows.times + rows.durations <= length_s + 1e-6).all()

    def test_labels_are_of_the_vocabulary(self) -> None:
        """A label is an index into what the output declares."""
        for name in ("noise", "silence", "click"):
            found = analyze(self.processor(), signal(name, duration_s=1.0))
            for output, declared in self.processor().declared().items():
                if declared.labels:
                    values = found[output].values
                    assert ((values >= 0) & (values < len(declared.labels))).all()

    def test_leaves_nothing_behind(self) -> None:
        """A run sets nothing on the instance it was started from."""
        analyzer: Analyzer = self.processor()
        before = dict(vars(analyzer))
        analyze(analyzer, signal("noise"))
        assert dict(vars(analyzer)) == before

    def test_runs_twice_alike(self) -> None:
        """The same samples and parameters give the same result, to the bit."""
        audio = signal("noise", channels=2)
        _assert_equal(analyze(self.processor(), audio), analyze(self.processor(), audio))


class EffectContract(ProcessorContract):
    """What holds for every effect."""

    def test_keeps_length_and_channels(self) -> None:
        """As many samples out as in, finite, as float32."""
        for samplerate, channels in FORMATS:
            for name in SIGNALS:
                audio = signal(name, samplerate=samplerate, channels=channels)
                stream = Stream(samplerate=samplerate, channels=channels)
                with Engine([Wanted(self.processor())], stream) as engine:
                    out = [each.payload for each in [*engine.push(audio), *engine.finish()]]
                heard = np.concatenate(out) if out else np.empty((0, channels), np.float32)
                assert heard.shape == audio.shape
                assert heard.dtype == np.float32
                assert np.isfinite(heard).all()


def contract_for(cls: type[Processor]) -> type[ProcessorContract]:
    """The contract, as a class of tests, that fits a processor."""
    base = (
        AnalyzerContract
        if issubclass(cls, Analyzer)
        else EffectContract
        if issubclass(cls, Effect)
        else ProcessorContract
    )
    return cast("type[ProcessorContract]", type(f"Test_{cls.id}", (base,), {"processor": cls}))


def _assert_equal(found: Mapping[str, Rows], expected: Mapping[str, Rows]) -> None:
    for output, name, one, other in _parts(found, expected):
        assert np.array_equal(one, other), f"output {output!r}: {name} differ with the cut of the signal"


def _assert_close(found: Mapping[str, Rows], expected: Mapping[str, Rows], rtol: float) -> None:
    for output, name, one, other in _parts(found, expected):
        assert one.shape == other.shape, f"output {output!r}: {name} {one.shape} and {other.shape}"
        integers = np.issubdtype(one.dtype, np.integer)
        atol = 1 if integers else rtol * float(np.abs(other).max(initial=1e-6))
        assert np.allclose(one, other, rtol=rtol, atol=atol), f"output {output!r}: {name} depend on the engine's blocks"


def _parts(found: Mapping[str, Rows], expected: Mapping[str, Rows]) -> Iterator[tuple[str, str, Array, Array]]:
    assert found.keys() == expected.keys()
    for output in expected:
        for name in ("values", "times", "durations"):
            yield output, name, getattr(found[output], name), getattr(expected[output], name)


def _drawn_object(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    required = set(schema.get("required", ()))
    drawn = {name: _drawn(each) for name, each in properties.items()}
    return st.fixed_dictionaries(
        {name: each for name, each in drawn.items() if name in required or "const" in properties[name]},
        optional={
            name: each for name, each in drawn.items() if name not in required and "const" not in properties[name]
        },
    )


def _drawn(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([_drawn({**each, "default": schema.get("default")}) for each in schema["anyOf"]])
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        return _drawn_object(schema)
    if kind == "integer":
        low, high = _range(schema, step=1)
        return st.integers(round(low), round(high))
    if kind == "number":
        low, high = _range(schema, step=1e-3)
        return st.floats(low, high, allow_nan=False) if low < high else st.just(low)
    if kind == "boolean":
        return st.booleans()
    if kind == "null":
        return st.none()
    return st.just(schema["default"])


def _range(schema: Mapping[str, Any], *, step: float) -> tuple[float, float]:
    default = schema.get("default")
    default = float(default) if isinstance(default, int | float) else float(schema.get("minimum", step))
    low = max(schema.get("minimum", -np.inf), schema.get("exclusiveMinimum", -np.inf) + step, _scaled(default, 1 / 4))
    high = min(schema.get("maximum", np.inf), schema.get("exclusiveMaximum", np.inf) - step, _scaled(default, 4))
    return min(low, default), max(high, default)


def _scaled(default: float, factor: float) -> float:
    if default == 0:
        return factor
    return default * factor if default > 0 else default / factor


__all__ = [
    "FORMATS",
    "SIGNALS",
    "AnalyzerContract",
    "EffectContract",
    "ProcessorContract",
    "analyze",
    "contract_for",
    "instances",
    "parameters",
    "signal",
]
