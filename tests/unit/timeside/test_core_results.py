"""`AnalyzerResult` and its container: modes, checks, and round trips through every format."""

import json
from dataclasses import replace

import numpy as np
import pytest

from timeside.core.analyzer import AnalyzerResult, AnalyzerResultContainer, numpy_data_types
from timeside_core import formats
from timeside_core.errors import FormatError

MODES = {
    ("value", "global"): ["value", "y_value"],
    ("value", "framewise"): ["value", "y_value", "frame_metadata"],
    ("value", "event"): ["value", "y_value", "time"],
    ("value", "segment"): ["value", "y_value", "time", "duration"],
    ("label", "global"): ["label", "label_metadata"],
    ("label", "framewise"): ["label", "label_metadata", "frame_metadata"],
    ("label", "event"): ["label", "label_metadata", "time"],
    ("label", "segment"): ["label", "label_metadata", "time", "duration"],
}
FORMATS = ["json", "yaml", "xml", "hdf5", "numpy"]


def result(data_mode="value", time_mode="framewise", *, start=0.0, id="foo_bar"):
    made = AnalyzerResult(data_mode, time_mode)
    made.id_metadata = {"id": id, "name": "Foo bar", "unit": "foo", "date": "2018-09-23 10:00:00", "author": "TimeSide"}
    made.audio_metadata = {"uri": "Foo.wav", "start": start, "duration": 20.0, "channels": 2, "is_segment": start > 0}
    made.parameters = {"threshold": 0.5, "name": None, "list": [1, 2]}
    data = made.data_object
    if data_mode == "value":
        data.value = np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2)
        data.y_value = [100, 200]
    else:
        data.label = [2, -1, 2]
        data.label_metadata.label = {-1: "Backward", 0: "None", 2: "Forward"}
        data.label_metadata.description = {-1: "before", 0: "", 2: "after"}
    if time_mode == "framewise":
        data.frame_metadata = {"samplerate": 44100, "blocksize": 1024, "stepsize": 512}
    if time_mode in ("event", "segment"):
        data.time = [0.1, 0.2, 1 / 3]
    if time_mode == "segment":
        data.duration = [0.1, 0.1, 0.2]
    return made


def there_and_back(container, format, tmp_path):
    if format in ("hdf5", "numpy"):
        getattr(container, f"to_{format}")(str(tmp_path / "results"))
        return getattr(AnalyzerResultContainer(), f"from_{format}")(str(tmp_path / "results"))
    return getattr(AnalyzerResultContainer(), f"from_{format}")(getattr(container, f"to_{format}")())


@pytest.mark.parametrize("mode", MODES)
def test_data_has_the_keys_of_its_mode(mode):
    made = AnalyzerResult(*mode)
    assert made.data_object.keys() == MODES[mode]
    assert made.keys() == ["id_metadata", "data_object", "audio_metadata", "parameters"]
    assert made.as_dict().keys() == {*made.keys(), "data_mode", "time_mode"}


def test_other_modes_are_refused():
    with pytest.raises(ValueError, match="time_mode='always'"):
        AnalyzerResult("value", "always")


def test_other_names_are_refused():
    made = AnalyzerResult()
    with pytest.raises(AttributeError, match="AudioMetadata has no 'sha256'"):
        made.audio_metadata.sha256 = ""


@pytest.mark.parametrize("kind", numpy_data_types)
def test_values_of_any_number(kind):
    made = result()
    made.data_object.value = np.array([1, 2, 3], dtype=kind)
    assert made.data.dtype == np.dtype(kind)


@pytest.mark.parametrize("value", ["text", np.float16(1), 1j, np.datetime64("2018-09-23"), [True]])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(TypeError, match="numbers can"):
        AnalyzerResult().data_object.value = value


def test_a_scalar_is_one_row():
    made = AnalyzerResult("value", "global")
    made.data_object.value = 1.5
    assert made.data.shape == (1,)


def test_times_and_durations_of_frames():
    made = result(start=2.0)
    assert made.time == pytest.approx(2 + np.arange(3) * 512 / 44100)
    assert made.duration == pytest.approx([1024 / 44100] * 3)


def test_times_and_durations_of_a_global_value_are_those_of_the_segment():
    made = result("value", "global", start=2.0)
    assert (made.time, made.duration) == (2.0, 20.0)


def test_events_have_no_duration_and_count_from_the_segment():
    made = result("value", "event", start=2.0)
    assert made.time == pytest.approx([2.1, 2.2, 2 + 1 / 3])
    assert made.duration.tolist() == [0, 0, 0]


def test_properties():
    made = AnalyzerResult("value", "global")
    made.data_object.value = [1.0, 2.0, 6.0]
    found = made.data_object.properties
    assert (found["mean"], found["median"], found["min"], found["max"]) == (3, 2, 1, 6)
    assert found["std"] == pytest.approx(np.sqrt(7))


@pytest.mark.parametrize(("labels", "merged"), [([1, 1, 0, 0, 1], [1, 0, 1]), ([1, 0, 1], [1, 0, 1]), ([], [])])
def test_equal_neighbours_are_merged(labels, merged):
    made = AnalyzerResult("label", "segment")
    made.data_object.label = labels
    made.data_object.time, made.data_object.duration = np.arange(len(labels)), np.ones(len(labels))
    made.data_object.merge_segment()
    assert made.data.tolist() == merged
    assert made.duration.sum() == len(labels)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("start", [0.0, 1.7])
def test_round_trips_are_equal(mode, format, start, tmp_path):
    container = AnalyzerResultContainer([result(*mode, start=start), result(*mode, start=start, id="foo_bar.more")])
    again = there_and_back(container, format, tmp_path)
    assert again == container
    assert again["foo_bar"].data.dtype == container["foo_bar"].data.dtype


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("value", [[], 0.0, [np.nan, np.inf, 0], np.ones((2, 3, 4), np.int16)])
def test_round_trips_of_odd_values(value, format, tmp_path):
    made = AnalyzerResult("value", "global")
    made.id_metadata.id, made.data_object.value = "odd", value
    container = AnalyzerResultContainer(made)
    assert there_and_back(container, format, tmp_path) == container


def test_equality_sees_values_and_metadata():
    assert result() == result()
    other = result()
    other.data_object.value = other.data + 1
    assert other != result()
    other = result()
    other.audio_metadata.channels = 1
    assert other != result()


def test_json_is_the_list_of_timeside_1():
    fields = json.loads(AnalyzerResultContainer(result("value", "global")).to_json())
    assert fields[0]["data_object"]["y_value"] == {"numpyArray": [100.0, 200.0], "dtype": "float64"}
    assert (fields[0]["data_mode"], fields[0]["time_mode"]) == ("value", "global")


def test_other_formats_are_those_of_the_library(tmp_path):
    AnalyzerResultContainer(result("label", "event", start=1.0)).to_hdf5(str(tmp_path / "a.h5"))
    (native,) = formats.read(tmp_path / "a.h5")
    assert native.labels == ("Forward", "Backward", "Forward")
    assert native.event_times == pytest.approx([1.1, 1.2, 4 / 3])


def test_files_that_are_asked_for_by_name(tmp_path):
    container = AnalyzerResultContainer(result())
    for format in ("json", "yaml", "xml"):
        assert getattr(container, f"to_{format}")(str(tmp_path / format)) is None
        text = (tmp_path / format).read_text("utf-8")
        assert getattr(AnalyzerResultContainer(), f"from_{format}")(text) == container


def test_a_pickle_is_refused(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="not a readable numpy file"):
        AnalyzerResultContainer().from_numpy(str(tmp_path / "evil.npy"))


@pytest.mark.parametrize("text", ["[{}]", "[1]", '[{"data_mode": "value", "time_mode": "never"}]', "{", "[null]"])
def test_json_that_is_not_well_formed_is_refused(text):
    with pytest.raises(FormatError, match="JSON of TimeSide 1 is not well formed"):
        AnalyzerResultContainer().from_json(text)


def test_arrays_of_other_types_are_refused():
    text = AnalyzerResultContainer(result()).to_json().replace('"float32"', '"S1000000000"')
    with pytest.raises(FormatError, match="dtype='S1000000000' is none of float64"):
        AnalyzerResultContainer().from_json(text)


@pytest.mark.parametrize("note", [1, {}, {"data_mode": "label"}, {"label_ids": []}])
def test_a_note_that_is_not_well_formed_is_refused(note, tmp_path):
    native = result("label", "event").to_native()
    native = replace(native, provenance=replace(native.provenance, notes={"timeside_1": note}))
    formats.write([native], tmp_path / "a.h5")
    with pytest.raises(FormatError, match="note 'timeside_1' of result 'foo_bar' is not well formed"):
        AnalyzerResultContainer().from_hdf5(str(tmp_path / "a.h5"))


def test_parameters_that_are_no_json_are_told():
    made = result()
    made.parameters["callback"] = print
    with pytest.raises(FormatError, match="'foo_bar' cannot be written"):
        made.to_native()


def test_ids_are_unique_in_a_container():
    container = AnalyzerResultContainer(result())
    with pytest.raises(ValueError, match="'foo_bar' is there already"):
        container.add(result())
    container.add(result(), overwrite=True)
    assert container.list_id() == ["foo_bar"]
    assert container.get_result_by_id("foo_bar") == result()
