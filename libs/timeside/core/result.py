"""Results as TimeSide 1 knows them: `AnalyzerResult` with its metadata, and the container they come in."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self, cast

import numpy as np

from timeside_core.audio import Array
from timeside_core.results import Result, Results

numpy_data_types = [
    np.float64,
    np.float32,
    np.int64,
    np.int32,
    np.int16,
    np.int8,
    np.uint64,
    np.uint32,
    np.uint16,
    np.uint8,
    np.object_,
    np.longlong,
]
"""Types that values may have."""


class MetadataObject:
    """Named values, as attributes and as items; other names than those of the class are refused."""

    _default_value: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, **values: Any) -> None:
        for name, value in {**self._default_value, **values}.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._default_value:
            known = ", ".join(self._default_value)
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {known}")
        present = self.__dict__.get(name)
        if isinstance(present, MetadataObject | Parameters) and isinstance(value, dict):  # it adds to what is there
            for key, item in cast("dict[str, Any]", value).items():
                present[key] = item
            return
        super().__setattr__(name, self._accepted(name, value))

    def _accepted(self, name: str, value: Any) -> Any:
        return value

    def __getitem__(self, name: str) -> Any:
        if name not in self._default_value:
            raise KeyError(name)
        return getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._default_value)

    def keys(self) -> list[str]:
        """Names, in order."""
        return list(self._default_value)

    def values(self) -> list[Any]:
        """Values, in order."""
        return [self[name] for name in self]

    def items(self) -> list[tuple[str, Any]]:
        """Names and values, in order."""
        return [(name, self[name]) for name in self]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain dicts; arrays stay arrays."""
        return {name: value.as_dict() if hasattr(value, "as_dict") else value for name, value in self.items()}

    def from_dict(self, values: Mapping[str, Any]) -> None:
        """Take values by name."""
        for name, value in values.items():
            if isinstance(self[name], MetadataObject):
                self[name].from_dict(value)
            else:
                self[name] = value

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.items() == cast("MetadataObject", other).items()

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    def __str__(self) -> str:
        return str(self.as_dict())


class IdMetadata(MetadataObject):
    """What a result is, and who made it."""

    id: str
    name: str
    unit: str
    description: str
    date: str
    """`YYYY-MM-DD HH:MM:SS`."""
    version: str
    """Version of the processor; TimeSide 1 wrote its own."""
    author: str
    proc_uuid: str

    _default_value = dict.fromkeys(("id", "name", "unit", "description", "date", "version", "author", "proc_uuid"))

    def _accepted(self, name: str, value: Any) -> Any:
        return "" if value is None else value


class AudioMetadata(MetadataObject):
    """What was analysed; start and duration are those of the segment, s."""

    uri: str
    start: float
    duration: float | None
    is_segment: bool | None
    sha1: str
    channels: int | None
    channelsManagement: str

    _default_value: ClassVar[Mapping[str, Any]] = {
        "uri": "",
        "start": 0,
        "duration": None,
        "is_segment": None,
        "sha1": "",
        "channels": None,
        "channelsManagement": "",
    }


class LabelMetadata(MetadataObject):
    """The vocabulary: names and descriptions by the number that stands for them in `label`."""

    label: dict[int, str] | None
    description: dict[int, str] | None
    label_type: str
    """`mono`, or `multi` where several may hold at once."""

    _default_value: ClassVar[Mapping[str, Any]] = {"label": None, "description": None, "label_type": "mono"}

    def from_dict(self, values: Mapping[str, dict[Any, str] | str | None]) -> None:
        """Take values by name; files write the numbers as text."""
        for name, value in values.items():
            self[name] = {int(key): text for key, text in value.items()} if isinstance(value, dict) else value


class FrameMetadata(MetadataObject):
    """The frames: samplerate in Hz, length and step in samples."""

    samplerate: float | None
    blocksize: float | None
    stepsize: float | None

    _default_value = dict.fromkeys(("samplerate", "blocksize", "stepsize"))


class Parameters(dict[str, Any]):
    """Parameters of the processor, by name."""

    def as_dict(self) -> dict[str, Any]:
        """Themselves."""
        return dict(self)

    def from_dict(self, values: Mapping[str, Any]) -> None:
        """Take values by name."""
        self.update(values)


class DataObject(MetadataObject):
    """Rows: values or labels, and where the time mode has them, times and durations (s) from the segment's start."""

    @property
    def data(self) -> Array:
        """Values or labels."""
        raise NotImplementedError

    def _accepted(self, name: str, value: Any) -> Any:
        if name == "value":
            return _value_array([] if value is None else value)
        if name == "label":
            return _array([] if value is None else value, int)
        if name in ("time", "duration", "y_value"):
            return _array([] if value is None else value, float)
        return value

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        theirs = cast("MetadataObject", other)
        return all(_equal(name, mine, theirs[name]) for name, mine in self.items())

    __hash__ = None  # pyright: ignore[reportAssignmentType]


class ValueObject(DataObject):
    """Values; `y_value` are the positions of their columns."""

    value: Array
    y_value: Array

    @property
    def data(self) -> Array:
        """The values."""
        return self.value

    @property
    def properties(self) -> dict[str, Any]:
        """Statistics over the rows."""
        data = self.data
        return {
            "mean": np.mean(data, axis=0),
            "std": np.std(data, axis=0, ddof=1),
            "median": np.median(data, axis=0),
            "max": np.max(data, axis=0),
            "min": np.min(data, axis=0),
            "shape": data.shape,
        }


class LabelObject(DataObject):
    """Labels, as numbers of the vocabulary."""

    label: Array
    label_metadata: LabelMetadata

    @property
    def data(self) -> Array:
        """The numbers."""
        return self.label

    def _accepted(self, name: str, value: Any) -> Any:
        return LabelMetadata() if name == "label_metadata" and value is None else super()._accepted(name, value)


class GlobalObject(DataObject):
    """One row for the whole signal."""

    @property
    def time(self) -> float:
        """The segment's start."""
        return 0.0

    @property
    def duration(self) -> None:
        """Known to the result, not here."""
        return None


class FramewiseObject(DataObject):
    """A row for each frame."""

    frame_metadata: FrameMetadata

    def _accepted(self, name: str, value: Any) -> Any:
        return FrameMetadata() if name == "frame_metadata" and value is None else super()._accepted(name, value)

    @property
    def time(self) -> Array:
        """Begin of each frame: n · stepsize / samplerate."""
        frames = self.frame_metadata
        return np.arange(len(self.data)) * (frames.stepsize or 0) / (frames.samplerate or 1)

    @property
    def duration(self) -> Array:
        """Length of each frame."""
        frames = self.frame_metadata
        return np.full(len(self.data), (frames.blocksize or 0) / (frames.samplerate or 1))


class EventObject(DataObject):
    """Instants."""

    time: Array

    @property
    def duration(self) -> Array:
        """Zero."""
        return np.zeros(len(self.data))


class SegmentObject(DataObject):
    """Intervals."""

    time: Array
    duration: Array


class GlobalValueObject(ValueObject, GlobalObject):
    """A value for the whole signal."""

    _default_value = dict.fromkeys(("value", "y_value"))


class GlobalLabelObject(LabelObject, GlobalObject):
    """A label for the whole signal."""

    _default_value = dict.fromkeys(("label", "label_metadata"))


class FrameValueObject(ValueObject, FramewiseObject):
    """Values of frames."""

    _default_value = dict.fromkeys(("value", "y_value", "frame_metadata"))


class FrameLabelObject(LabelObject, FramewiseObject):
    """Labels of frames."""

    _default_value = dict.fromkeys(("label", "label_metadata", "frame_metadata"))


class EventValueObject(ValueObject, EventObject):
    """Values of instants."""

    _default_value = dict.fromkeys(("value", "y_value", "time"))


class EventLabelObject(LabelObject, EventObject):
    """Labels of instants."""

    _default_value = dict.fromkeys(("label", "label_metadata", "time"))


class SegmentValueObject(ValueObject, SegmentObject):
    """Values of intervals."""

    _default_value = dict.fromkeys(("value", "y_value", "time", "duration"))


class SegmentLabelObject(LabelObject, SegmentObject):
    """Labels of intervals."""

    _default_value = dict.fromkeys(("label", "label_metadata", "time", "duration"))

    def merge_segment(self) -> None:
        """Make one of neighbours that have the same label."""
        first = np.flatnonzero(np.diff(self.label, prepend=self.label[:1] - 1))
        if len(first) == len(self.label):
            return
        self.duration = np.add.reduceat(self.duration, first)
        self.label, self.time = self.label[first], self.time[first]


DATA_OBJECTS: dict[tuple[str, str], type[DataObject]] = {
    ("value", "global"): GlobalValueObject,
    ("label", "global"): GlobalLabelObject,
    ("value", "framewise"): FrameValueObject,
    ("label", "framewise"): FrameLabelObject,
    ("value", "event"): EventValueObject,
    ("label", "event"): EventLabelObject,
    ("value", "segment"): SegmentValueObject,
    ("label", "segment"): SegmentLabelObject,
}
"""Classes of data by data mode and time mode."""


class AnalyzerResult(MetadataObject):
    """One result: `data_mode` is value or label; `time_mode` is framewise, global, event or segment."""

    id_metadata: IdMetadata
    data_object: Any
    """One of `DATA_OBJECTS`."""
    audio_metadata: AudioMetadata
    parameters: Parameters
    data_mode: str
    time_mode: str
    origin: Result | None
    """The result of the native library that this one was made of, or was made from this one after a run."""

    _default_value = dict.fromkeys(("id_metadata", "data_object", "audio_metadata", "parameters"))

    def __init__(self, data_mode: str = "value", time_mode: str = "framewise") -> None:
        if (data_mode, time_mode) not in DATA_OBJECTS:
            modes = ", ".join(f"{time} {data}" for data, time in DATA_OBJECTS)
            raise ValueError(f"data_mode={data_mode!r}, time_mode={time_mode!r} must be one of {modes}")
        self.__dict__.update(data_mode=data_mode, time_mode=time_mode)
        self.remember(None)
        super().__init__(
            id_metadata=IdMetadata(),
            data_object=DATA_OBJECTS[data_mode, time_mode](),
            audio_metadata=AudioMetadata(),
            parameters=Parameters(),
        )

    def remember(self, origin: Result | None) -> None:
        """Note the result of the native library that this one belongs with."""
        self.__dict__["origin"] = origin

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain dicts; arrays stay arrays."""
        return {**super().as_dict(), "data_mode": self.data_mode, "time_mode": self.time_mode}

    @property
    def id(self) -> str:
        """`level.max`."""
        return self.id_metadata.id

    @property
    def name(self) -> str:
        """Name to show."""
        return self.id_metadata.name

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return self.id_metadata.unit

    @property
    def data(self) -> Array:
        """Values or labels."""
        return self.data_object.data

    @property
    def time(self) -> Any:
        """Times of the rows in the media, s: the begin of a frame or segment, the instant of an event."""
        return self.audio_metadata.start + self.data_object.time

    @property
    def duration(self) -> Any:
        """Durations of the rows, s."""
        return self.audio_metadata.duration if self.time_mode == "global" else self.data_object.duration

    def to_native(self) -> Result:
        """The same for `timeside_core.formats`, which writes many kinds of files; raises `FormatError`."""
        from timeside.core.exchange import to_native

        return to_native(self)

    def to_json(self, output_file: str | None = None) -> str | None:
        """As JSON text, or into a file."""
        return _written(json.dumps(self.as_dict(), default=json_like), output_file)

    def __len__(self) -> int:
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self.data_mode == cast("AnalyzerResult", other).data_mode

    __hash__ = None  # pyright: ignore[reportAssignmentType]


class AnalyzerResultContainer(dict[str, AnalyzerResult]):
    """Results by id.

    `to_json` and `from_json` speak the JSON of TimeSide 1: a list of results, an array as
    `{"numpyArray": […], "dtype": "float32"}`. All other formats are those of `timeside_core.formats`: nothing is
    pickled or evaluated, and what is read equals what was written.
    """

    def __init__(self, analyzer_results: AnalyzerResult | Iterable[AnalyzerResult] | None = None) -> None:
        super().__init__()
        if analyzer_results is not None:
            self.add(analyzer_results)

    def add(self, analyzer_result: AnalyzerResult | Iterable[AnalyzerResult], overwrite: bool = False) -> None:
        """Add one or several; an id that is there already is an error unless it may be overwritten."""
        if not isinstance(analyzer_result, AnalyzerResult):
            for each in analyzer_result:
                self.add(each, overwrite)
            return
        if analyzer_result.id in self and not overwrite:
            raise ValueError(f"result id {analyzer_result.id!r} is there already: ids are unique in a container")
        self[analyzer_result.id] = analyzer_result

    def get_result_by_id(self, result_id: str) -> AnalyzerResult:
        """The result of that id; raises `KeyError`."""
        return self[result_id]

    def list_id(self) -> list[str]:
        """Ids, in order."""
        return list(self)

    def to_native(self) -> Results:
        """The same for `timeside_core.formats`."""
        return Results([each.to_native() for each in self.values()])

    def to_json(self, output_file: str | None = None) -> str | None:
        """As text, or into a file."""
        return _written(json.dumps([each.as_dict() for each in self.values()], default=json_like), output_file)

    def from_json(self, json_str: str) -> Self:
        """Add what text holds."""
        for fields in read_json(json_str):
            result = AnalyzerResult(fields.pop("data_mode"), fields.pop("time_mode"))
            result.from_dict(fields)
            self.add(result, overwrite=True)
        return self

    def to_yaml(self, output_file: str | None = None) -> str | None:
        """As text, or into a file."""
        return self._to_text("yaml", output_file)

    def from_yaml(self, yaml_str: str) -> Self:
        """Add what text holds."""
        return self._from_text("yaml", yaml_str)

    def to_xml(self, output_file: str | None = None) -> str | None:
        """As text, or into a file."""
        return self._to_text("xml", output_file)

    def from_xml(self, xml_string: str) -> Self:
        """Add what text holds."""
        return self._from_text("xml", xml_string)

    def to_hdf5(self, output_file: str) -> None:
        """Into a file."""
        self._write(Path(output_file), "hdf5")

    def from_hdf5(self, input_file: str) -> Self:
        """Add what a file holds."""
        return self._read(Path(input_file), "hdf5")

    def to_numpy(self, output_file: str | None = None) -> Self | None:
        """Into a file, an NPZ archive whatever its suffix; themselves where no file is given."""
        if output_file is None:
            return self
        self._write(Path(output_file), "numpy")
        return None

    def from_numpy(self, input_file: str) -> Self:
        """Add what a file holds."""
        return self._read(Path(input_file), "numpy")

    def _to_text(self, format: str, output_file: str | None) -> str | None:
        if output_file is not None:
            self._write(Path(output_file), format)
            return None
        with TemporaryDirectory() as folder:
            path = Path(folder, "results")
            self._write(path, format)
            return path.read_text("utf-8")

    def _from_text(self, format: str, text: str) -> Self:
        with TemporaryDirectory() as folder:
            path = Path(folder, "results")
            path.write_text(text, "utf-8")
            return self._read(path, format)

    def _write(self, path: Path, format: str) -> None:
        from timeside_core import formats

        formats.write(self.to_native(), path, format)

    def _read(self, path: Path, format: str) -> Self:
        from timeside.core.exchange import from_native
        from timeside_core import formats

        self.add(map(from_native, formats.read(path, format)), overwrite=True)
        return self


def json_like(value: Any) -> Any:
    """What JSON writes for an array or a number of numpy's; raises `TypeError` for what it cannot write."""
    if isinstance(value, np.ndarray):
        array = cast("Array", value)
        return {"numpyArray": array.tolist(), "dtype": str(array.dtype)}
    if isinstance(value, np.generic):
        return cast("Any", value).item()
    raise TypeError(f"{value!r} of {type(value).__name__} has no JSON")


def read_json(text: str) -> Any:
    """What JSON text holds, arrays as arrays."""
    return json.loads(text, object_hook=_array_of_object)


def _array_of_object(fields: dict[str, Any]) -> Any:
    if fields.keys() != {"numpyArray", "dtype"}:
        return fields
    array: Array = np.array(fields["numpyArray"], dtype=np.dtype(str(fields["dtype"])))
    return array


def _written(text: str, output_file: str | None) -> str | None:
    if output_file is None:
        return text
    Path(output_file).write_text(text, "utf-8")
    return None


def _value_array(value: Any) -> Array:
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        array = np.asarray(value, dtype=object)
    if array.dtype.type not in numpy_data_types:
        raise TypeError(f"values of type {array.dtype} cannot be in a result: numbers can")
    return np.atleast_1d(array)


def _array(value: Any, kind: Any) -> Array:
    try:
        array: Array = np.asarray(value, dtype=kind)
        return np.atleast_1d(array)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{value!r:.80} cannot be an array of {kind.__name__}: {error}") from None


def _equal(name: str, mine: Any, theirs: Any) -> bool:
    if not isinstance(mine, np.ndarray):
        return bool(mine == theirs)
    mine = cast("Array", mine)
    if name == "time":  # written in seconds of the media, so that a segment's start is added and taken away again
        return mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=0, atol=1e-9)
    return np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")
