"""JAMS, the JSON annotations of music research: an annotation for each result, by namespaces of the JAMS schema.

Numbers are of the namespace `vector`, labels of `tag_open`, and of `segment_open` where they are of segments. A row of
a framewise result is an instant, the centre of its frame; JAMS begins at 0 s, and so do centres that lie before.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from timeside_core.audio import Media
from timeside_core.errors import FormatError
from timeside_core.formats.digits import as_list, numeric
from timeside_core.formats.document import document
from timeside_core.formats.spans import media_of, texts
from timeside_core.results import Result, Results

JAMS_VERSION = "0.3.4"


def write(results: Results, path: Path) -> None:
    """Write all results."""
    media = media_of(results)
    content = {
        "annotations": [_annotation(result, media) for result in results],
        "file_metadata": _file_metadata(media),
        "sandbox": {},
    }
    try:
        path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    except ValueError:
        raise FormatError("JAMS is JSON, which cannot hold NaN or infinite values") from None


def _annotation(result: Result, media: Media) -> dict[str, Any]:
    fields = document(result).fields
    return {
        "annotation_metadata": {
            "curator": {"name": "", "email": ""},
            "annotator": {"processor": result.provenance.processor, "result": result.id},
            "version": result.provenance.version,
            "corpus": "",
            "annotation_tools": " ".join(("TimeSide", result.provenance.libraries.get("timeside", ""))).strip(),
            "annotation_rules": result.output.description,
            "validation": "",
            "data_source": "program",
        },
        "namespace": _namespace(result),
        "data": _observations(result),
        "sandbox": {name: fields[name] for name in ("output", "bins", "stream", "provenance")},
        "time": 0.0,
        "duration": media.duration_s,
    }


def _namespace(result: Result) -> str:
    if not result.output.labels:
        return "vector"
    return "segment_open" if result.output.time_mode == "segment" else "tag_open"


def _observations(result: Result) -> list[dict[str, Any]]:
    instants = result.output.time_mode == "framewise"
    times = np.maximum(result.times, 0).tolist()
    durations = [0.0] * len(result) if instants else result.durations.tolist()
    values = texts(result) if result.output.labels else _vectors(result)
    return [
        {"time": time, "duration": duration, "value": value, "confidence": None}
        for time, duration, value in zip(times, durations, values, strict=True)
    ]


def _vectors(result: Result) -> list[list[float]]:
    return as_list(numeric(result.values).reshape(len(result), -1)) if len(result) else []


def _file_metadata(media: Media) -> dict[str, Any]:
    metadata: dict[str, Any] = {name: media.tags.get(tag, "") for name, tag in _TAGS.items()}
    metadata |= {"identifiers": {"uri": media.uri, "sha256": media.sha256 or ""}, "jams_version": JAMS_VERSION}
    return metadata if media.duration_s is None else {**metadata, "duration": media.duration_s}


_TAGS = {"title": "title", "artist": "artist", "release": "album"}
