"""Results in files: `write` and `read` them without loss, `export` them for other programs, make a `table` of a folder.

    write(results, "song.h5")
    results = read("song.h5")
    export(results["onsets"], "song.TextGrid")
    write_table((read(path) for path in folder.glob("*.h5")), "folder.parquet")

The suffix names the format; `FORMATS` lists them all.
"""

from collections.abc import Iterable
from pathlib import Path

from timeside_core.errors import FormatError
from timeside_core.formats.document import restore
from timeside_core.formats.files import MAX_BYTES, Budget, replaced
from timeside_core.formats.registry import FORMATS, Format, check, check_holds, find
from timeside_core.formats.table import check_table, row, table, to_pandas, write_table
from timeside_core.results import Result, Results

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "Format",
    "check",
    "check_table",
    "export",
    "read",
    "row",
    "table",
    "to_pandas",
    "write",
    "write_table",
]


def write(results: Iterable[Result] | Result, path: str | Path, format: str | None = None) -> None:
    """Write results to a file that `read` gives back equal; its suffix names the format where `format` does not.

    The file appears whole or not at all. Raises `FormatError`.
    """
    chosen = find(Path(path), format)
    if not chosen.lossless:
        lossless = ", ".join(each.name for each in FORMATS.values() if each.lossless)
        raise FormatError(f"{path}: {chosen.name} cannot be read back, export() writes it; {lossless} can")
    export(results, path, format)


def export(results: Iterable[Result] | Result, path: str | Path, format: str | None = None) -> None:
    """Write results to a file of any format, most of them for other programs; raises `FormatError`, as `write` does."""
    path, results = Path(path), _as_results(results)
    chosen = find(path, format)
    try:
        check_holds(chosen, results)
        with replaced(path) as written:
            chosen.module().write(results, written)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error.__cause__
    except UnicodeEncodeError as error:
        raise FormatError(f"{path}: {chosen.name} cannot hold {error.object!r:.80}: not valid Unicode") from None
    except OSError as error:
        raise FormatError(f"{path} cannot be written: {error.strerror or error}") from error


def read(path: str | Path, format: str | None = None, *, max_bytes: int = MAX_BYTES) -> Results:
    """Read results that `write` wrote; raises `FormatError` naming file and reason, whatever the file holds.

    `max_bytes` bounds what the file may take in memory, since a hostile one can declare more than it holds.
    """
    path = Path(path)
    chosen = find(path, format)
    if not chosen.lossless:
        raise FormatError(f"{path}: {chosen.name} is written for other programs; it cannot be read back")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise FormatError(f"{path} is neither a file nor a folder")
    try:
        return Results([restore(each) for each in chosen.module().read(path, Budget(max_bytes))])
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error.__cause__
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # bytes that are not what they say make a library fail in any way
        raise FormatError(f"{path} is not a readable {chosen.name} file: {type(error).__name__}: {error}") from error


def _as_results(results: Iterable[Result] | Result) -> Results:
    return Results([results]) if isinstance(results, Result) else Results([*results])
