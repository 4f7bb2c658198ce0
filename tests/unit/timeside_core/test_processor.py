"""A processor is the value of its parameters."""

import json

import pytest
from pydantic import Field, PositiveInt

from timeside_core import Analyzer, Framewise, Mono, Resampled, Spectrum, Step, get_processor
from timeside_core.errors import ParameterError, PipelineError, UnknownProcessorError
from timeside_core.key import digest


class Peaks(Analyzer, id="test_peaks", version="1.2"):
    """Peaks of something."""

    source: Mono | Resampled = Mono()
    """Signal that is read."""
    count: PositiveInt = 3
    """How many."""
    output = Framewise()


class Smoothed(Analyzer, id="test_smoothed", version="1.0"):
    """Smooths another analyzer."""

    input: Analyzer = Peaks()
    """What is smoothed."""
    output = Framewise()


class Spread(Analyzer, id="test_spread", version="1.0"):
    """Reads a parent that it builds from its own parameters."""

    count: PositiveInt = 3
    """How many."""

    @property
    def input(self):
        return Peaks(count=self.count)


class Writes(Step, id="test_writes", version="1.0"):
    """Writes somewhere."""

    output: str | None = Field(default=None, kw_only=False, exclude=True)
    """Where to write."""
    quality: float = 1.0
    """How well."""


def test_equal_parameters_are_equal_and_hash_alike():
    assert Peaks(count=4) == Peaks(count=4)
    assert len({Peaks(count=4), Peaks(count=4), Peaks()}) == 2


def test_parameters_are_fully_defaulted_and_survive_json():
    sent = json.loads(json.dumps(Peaks(source=Resampled(samplerate=8000)).parameters()))
    assert sent["source"] == {
        "id": "resampled",
        "version": "1.0",
        "samplerate": 8000,
        "quality": "HQ",
        "input": {"id": "mono", "version": "1.0"},
    }
    assert Peaks.from_parameters(sent) == Peaks(source=Resampled(samplerate=8000))


def test_nested_objects_without_an_id_are_of_the_defaults_kind():
    assert Peaks.from_parameters({"source": {}}) == Peaks()
    assert Smoothed.from_parameters({"input": {"count": 5}}) == Smoothed(input=Peaks(count=5))


def test_an_abstract_parameter_takes_any_registered_analyzer():
    values = {"input": {"id": "test_spread", "count": 7}}
    assert Smoothed.from_parameters(values) == Smoothed(input=Spread(count=7))
    assert Smoothed(input=Spread(count=7)).parameters()["input"] == {"id": "test_spread", "version": "1.0", "count": 7}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Peaks(count=0), "test_peaks: count=0: .*greater than 0"),
        (lambda: Peaks(cuont=1), "cuont is unknown; it has source, count"),
        (lambda: Peaks.from_parameters({"count": -1}), "count=-1"),
        (lambda: Peaks.from_parameters({"source": {"id": "spectrum"}}), "id 'spectrum' is not 'mono'"),
        (lambda: Smoothed.from_parameters({"input": {"id": "mono"}}), "'mono' is not a Analyzer"),
        (lambda: Smoothed.from_parameters({"input": {"id": "test_peaks", "version": "9"}}), "not the installed '1.2'"),
        (lambda: setattr(Peaks(), "count", 5), "test_peaks.count is a parameter"),
    ],
)
def test_bad_parameters_name_thing_value_and_rule(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_a_place_is_no_part_of_the_value():
    assert Writes("a.wav").parameters() == {"quality": 1.0}
    assert "output" not in Writes.schema()["properties"]
    assert digest(Writes("a.wav")) == digest(Writes("b.wav"))


def test_schema_describes_every_parameter_inherited_ones_too():
    class Finer(Peaks, id="test_finer", version="1.0"):
        """Finer."""

        step: PositiveInt = 1
        """Distance."""

    described = {name: each["description"] for name, each in Finer.schema()["properties"].items()}
    assert described == {"source": "Signal that is read.", "count": "How many.", "step": "Distance."}


def test_classes_local_to_a_function_resolve_their_annotations():
    class Local(Step):
        """Local."""

    class Uses(Step, id="test_uses_local", version="1"):
        """Uses."""

        local: "Local" = Local()
        """It."""

    assert Uses() == Uses(local=Local())


def test_ids_are_unique_and_well_formed():
    with pytest.raises(PipelineError, match=r"'test_peaks' of .* is taken by"):
        type("Other", (Step,), {"__module__": "elsewhere", "__doc__": "Other."}, id="test_peaks", version="1")
    with pytest.raises(ParameterError, match="lower-case"):
        type("Other", (Step,), {"__doc__": "Other."}, id="Bad-Id", version="1")


def test_an_unknown_id_suggests_near_ones():
    with pytest.raises(UnknownProcessorError, match=r"'mean_dc_shfit' is unknown; did you mean mean_dc_shift"):
        get_processor("mean_dc_shfit")


def test_digest_depends_on_every_nested_value_and_version():
    digests = {
        digest(Smoothed()),
        digest(Smoothed(input=Peaks(count=4))),
        digest(Smoothed(input=Spread())),
        digest(Smoothed(input=Peaks(source=Resampled()))),
        digest(Spectrum()),
        digest(Spectrum(source=Resampled())),
    }
    assert len(digests) == 6


def test_digest_depends_on_the_version_of_a_parent_that_is_built(monkeypatch):
    before = digest(Spread())
    monkeypatch.setattr(Peaks, "version", "2.0")
    assert digest(Spread()) != before
