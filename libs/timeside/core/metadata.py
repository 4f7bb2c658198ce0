"""What a result of TimeSide 1 consists of: its metadata, and its data in eight modes."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

import numpy as np

from timeside_core.audio import Array

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
