"""The formats by name and suffix; a format's module is imported when it is used."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from timeside_core.errors import FormatError
from timeside_core.outputs import TimeMode
from timeside_core.results import Result

ALL: tuple[TimeMode, ...] = ("global", "framewise", "event", "segment")
TIMED: tuple[TimeMode, ...] = ("event", "segment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of file that results are written to."""

    name: str
    suffixes: tuple[str, ...]
    description: str
    lossless: bool = False
    """Whether results can be read back, equal."""
    time_modes: tuple[TimeMode, ...] = ALL
    """What it can hold."""

    def holds(self, result: Result) -> bool:
        """Whether a result has a form in this format."""
        return result.output.time_mode in self.time_modes

    def module(self) -> ModuleType:
        """The module that writes, and perhaps reads, it; raises `FormatError` where its library is not installed."""
        try:
            return import_module(f"timeside_core.formats.{self.name}")
        except ModuleNotFoundError as error:
            raise FormatError(f"{self.name} needs {error.name}: pip install 'timeside[formats]'") from error


FORMATS = {
    each.name: each
    for each in (
        Format(name="hdf5", suffixes=(".h5", ".hdf5"), description="HDF5", lossless=True),
        Format(name="json", suffixes=(".json",), description="JSON", lossless=True),
        Format(name="yaml", suffixes=(".yaml", ".yml"), description="YAML", lossless=True),
        Format(name="xml", suffixes=(".xml",), description="XML", lossless=True),
        Format(name="numpy", suffixes=(".npz",), description="NumPy archive", lossless=True),
        Format(name="zarr", suffixes=(".zarr", ".zarr.zip"), description="Zarr v3, folder or zip", lossless=True),
        Format(name="csv", suffixes=(".csv",), description="CSV, a line for each number"),
        Format(name="parquet", suffixes=(".parquet",), description="Parquet, a row for each number"),
        Format(name="jams", suffixes=(".jams",), description="JAMS annotations"),
        Format(name="audacity", suffixes=(".txt",), description="Audacity labels", time_modes=TIMED),
        Format(name="textgrid", suffixes=(".TextGrid",), description="Praat TextGrid", time_modes=TIMED),
        Format(name="elan", suffixes=(".eaf",), description="ELAN annotations", time_modes=TIMED),
        Format(
            name="sonic_visualiser",
            suffixes=(".svl",),
            description="Sonic Visualiser layer, one result",
            time_modes=("framewise", "event", "segment"),
        ),
    )
}
"""All formats by name."""


def check(suffix: str) -> None:
    """Raise `FormatError` unless a file of that suffix, with or without its dot, can be written."""
    if _of_name(f"results.{suffix.removeprefix('.')}") is None:
        raise FormatError(f"format {suffix!r} is unknown; there are {_suffixes()}")


def find(path: Path, name: str | None) -> Format:
    """The format of that name, or else of the path's suffix; raises `FormatError` where there is none."""
    if name is None:
        if (found := _of_name(path.name)) is None:
            raise FormatError(f"{path} has no known suffix: name a format, or use {_suffixes()}")
        return found
    if name not in FORMATS:
        raise FormatError(f"format {name!r} is unknown; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def check_holds(format: Format, results: Iterable[Result]) -> None:
    """Raise `FormatError` naming the results that have no form in a format."""
    misfits = [f"{each.id} ({each.output.time_mode})" for each in results if not format.holds(each)]
    if misfits:
        raise FormatError(f"{format.name} holds {', '.join(format.time_modes)} results; leave out {', '.join(misfits)}")


def _of_name(name: str) -> Format | None:
    for each in FORMATS.values():
        if name.lower().endswith(tuple(suffix.lower() for suffix in each.suffixes)):
            return each
    return None


def _suffixes() -> str:
    return ", ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
