"""Results as TimeSide 1 knows them: `AnalyzerResult`, and the container that results come in."""

import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

import numpy as np

from timeside.core.metadata import DATA_OBJECTS, AudioMetadata, IdMetadata, MetadataObject, Parameters, numpy_data_types
from timeside_core.audio import Array
from timeside_core.errors import FormatError
from timeside_core.results import Result, Results

_DTYPES = tuple(dict.fromkeys(np.dtype(kind).name for kind in numpy_data_types))


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
        """Add what text holds; raises `FormatError`."""
        with well_formed("JSON of TimeSide 1"):
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


@contextmanager
def well_formed(name: str) -> Generator[None]:
    """Raise `FormatError` where what is read is not as it must be."""
    try:
        yield
    except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise FormatError(f"{name} is not well formed: {type(error).__name__}: {error}") from error


def read_json(text: str) -> Any:
    """What JSON text holds, arrays as arrays."""
    return json.loads(text, object_hook=_array_of_object)


def _array_of_object(fields: dict[str, Any]) -> Any:
    if fields.keys() != {"numpyArray", "dtype"}:
        return fields
    if fields["dtype"] not in _DTYPES:
        raise ValueError(f"dtype={fields['dtype']!r:.80} is none of {', '.join(_DTYPES)}")
    array: Array = np.array(fields["numpyArray"], dtype=np.dtype(str(fields["dtype"])))
    return array


def _written(text: str, output_file: str | None) -> str | None:
    if output_file is None:
        return text
    Path(output_file).write_text(text, "utf-8")
    return None
