"""What is done with one file of a batch: analysed, drawn or transcoded; each skips what is already there."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from timeside.batch import Found, Tell
from timeside.presets import Preset, instances
from timeside_core import formats
from timeside_core.audio import Media, Segment
from timeside_core.errors import OutputExistsError, ParameterError
from timeside_core.key import digest
from timeside_core.pipeline import Decoder, Encoder, Grapher, Pipeline
from timeside_core.processor import Analyzer, Effect, Processor
from timeside_core.registry import get_processor

INDEX = "timeside-index.jsonl"
"""In an output folder: one line per file done, with its key; the last line of a file counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a batch does with each file; plain values, so that it travels to other processes."""

    out: Path
    start: float = 0.0
    duration: float | None = None
    gain: float | None = None
    overwrite: bool = False

    def decoder(self, path: Path) -> Decoder:
        """The decoder of a file."""
        segment = {"start": self.start, "duration": self.duration}
        decoder = get_processor("file_decoder").from_parameters({"uri": str(path), **segment})
        assert isinstance(decoder, Decoder)
        return decoder

    def effects(self) -> tuple[Effect, ...]:
        """Effects upstream of everything."""
        if self.gain is None:
            return ()
        effect = get_processor("fx_gain").from_parameters({"gain": self.gain})
        assert isinstance(effect, Effect)
        return (effect,)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a file: where it was written, whether it was there already, its row of a table."""

    written: Sequence[Path]
    skipped: bool = False
    key: Mapping[str, Any] = field(default_factory=dict[str, Any])
    row: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis(Plan):
    """Analyse a file and write its results; skip it where the index holds the same key."""

    analyzers: Sequence[Preset]
    format: str
    known: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Lines of the index, by file written."""

    def __call__(self, file: Found, tell: Tell) -> Done:
        """Do it."""
        analyzers = instances(self.analyzers, Analyzer)
        target = self.out / file.relative.with_name(f"{file.relative.name}.{self.format}")
        pipeline = _joined(self.decoder(file.path), *self.effects(), *analyzers)
        before = self.known.get(str(target.relative_to(self.out)))
        if before and not self.overwrite and target.exists() and before["key"] == self._key(file.path, analyzers):
            return Done([target], skipped=True, key=before["key"], row=before["row"])
        results = pipeline.run(progress=tell)
        target.parent.mkdir(parents=True, exist_ok=True)
        formats.export(results, target)
        media, segment = results[0].provenance.media, results[0].provenance.segment
        return Done([target], key=self._key_of(media, segment, analyzers), row=formats.row(results))

    def _key(self, path: Path, analyzers: Sequence[Processor]) -> Mapping[str, Any]:
        with self.decoder(path).open() as source:
            segment = source.segment
        with path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        return self._key_of(Media(uri="", samplerate=1, channels=1, sha256=sha256), segment, analyzers)

    def _key_of(self, media: Media, segment: Segment, analyzers: Sequence[Processor]) -> Mapping[str, Any]:
        effects = self.effects()
        return {
            "media": media.sha256,
            "results": [[each.id, each.version, digest(each, effects=effects, segment=segment)] for each in analyzers],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing(Plan):
    """Draw pictures of a file."""

    graphers: Sequence[Preset]
    width: int = 1024
    height: int = 256
    format: str = "png"

    def __call__(self, file: Found, tell: Tell) -> Done:
        """Do it."""
        graphers = [each for each in instances(self.graphers, Grapher) if isinstance(each, Grapher)]
        targets = [self._target(file, grapher) for grapher in graphers]
        for target in targets:
            _refuse_existing(target, self.overwrite)
        results = _joined(self.decoder(file.path), *self.effects(), *graphers).run(progress=tell)
        for grapher, target in zip(graphers, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            grapher.render(results, target, width=self.width, height=self.height)
        return Done(targets)

    def _target(self, file: Found, grapher: Grapher) -> Path:
        return self.out / file.relative.with_name(f"{file.relative.name}.{grapher.id}.{self.format}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcoding(Plan):
    """Encode a file anew, its embedded tags carried over."""

    encoder: Preset

    def __call__(self, file: Found, tell: Tell) -> Done:
        """Do it."""
        id, parameters = self.encoder
        kind = get_processor(id)
        if not issubclass(kind, Encoder):
            raise ParameterError(f"{id!r} is no encoder")
        decoder = self.decoder(file.path)
        with decoder.open() as source:
            tags = dict(source.media.tags)
        target = self.out / file.relative.with_suffix(f".{kind.extension}")
        _refuse_existing(target, self.overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        places = {"output": str(target), "overwrite": self.overwrite, "metadata": tags}
        _joined(decoder, *self.effects(), kind.from_parameters({**places, **parameters})).run(progress=tell)
        return Done([target])


def read_index(out: Path) -> dict[str, Any]:
    """Lines of an output folder's index by file written; a line that was cut short is passed over."""
    path = out / INDEX
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    known: dict[str, Any] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            known[entry["file"]] = entry
        except (ValueError, KeyError, TypeError):
            continue
    return known


def note(out: Path, done: Done) -> None:
    """Add a file to the index of its output folder."""
    entry = {"file": str(done.written[0].relative_to(out)), "key": done.key, "row": done.row}
    with (out / INDEX).open("a", encoding="utf-8") as index:
        index.write(json.dumps(entry) + "\n")


def _joined(decoder: Decoder, *processors: Processor) -> Pipeline:
    return Pipeline(decoder, processors)


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{str(target)!r} exists: --overwrite replaces it")
