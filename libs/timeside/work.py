"""What is done with one file of a batch: analysed, drawn or transcoded; each skips what is already there."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from timeside.batch import Found, Tell
from timeside.presets import Preset, instances
from timeside_core import formats
from timeside_core.audio import Media, Segment
from timeside_core.errors import EncodingError, FormatError, OutputExistsError, ParameterError, ProcessorError
from timeside_core.key import digest
from timeside_core.pipeline import Decoder, Encoder, Grapher, Pipeline
from timeside_core.processor import Analyzer, Effect, Processor
from timeside_core.registry import get_processor
from timeside_grapher.scene import check_size

INDEX = "timeside-index.jsonl"
"""In an output folder: one line per file done, with its key; the last line of a file counts."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a file: where it was written, whether it was there already, its row of a table."""

    written: Sequence[Path]
    skipped: bool = False
    key: Mapping[str, Any] = field(default_factory=dict[str, Any])
    row: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a batch does with each file; plain values, so that it travels to other processes."""

    out: Path
    start: float = 0.0
    duration: float | None = None
    gain: float | None = None
    overwrite: bool = False

    @abstractmethod
    def __call__(self, file: Found, tell: Tell) -> Done:
        """Do it with one file."""

    @abstractmethod
    def targets(self, file: Found) -> list[Path]:
        """Files that are made of a file."""

    def check(self) -> None:
        """Raise `ParameterError` where the plan would fail with every file."""
        self.decoder(Path())
        self.effects()

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


@dataclass(frozen=True, kw_only=True)
class Analysis(Plan):
    """Analyse a file and write its results; skip it where the index holds the same key."""

    analyzers: Sequence[Preset]
    format: str
    known: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Lines of the index, by file written."""

    def check(self) -> None:
        """Also analyzers and format."""
        super().check()
        self._analyzers()
        formats.check(self.format)

    def targets(self, file: Found) -> list[Path]:
        """One file of results."""
        return [self.out / file.relative.with_name(f"{file.relative.name}.{self.format}")]

    def __call__(self, file: Found, tell: Tell) -> Done:
        """Analyse."""
        analyzers = self._analyzers()
        (target,) = self.targets(file)
        pipeline = _joined(self.decoder(file.path), *self.effects(), *analyzers)
        before = self.known.get(str(target.relative_to(self.out)))
        if before and not self.overwrite and target.exists() and before["key"] == self._key(file.path, analyzers):
            return Done([target], skipped=True, key=before["key"], row=before["row"])
        results = pipeline.run(progress=tell)
        if not results:
            raise ProcessorError(f"{pipeline!r} yielded no result")
        target.parent.mkdir(parents=True, exist_ok=True)
        formats.export(results, target)
        media, segment = results[0].provenance.media, results[0].provenance.segment
        return Done([target], key=self._key_of(media, segment, analyzers), row=formats.row(results))

    def _analyzers(self) -> tuple[Analyzer, ...]:
        return instances(self.analyzers, Analyzer)

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


@dataclass(frozen=True, kw_only=True)
class Drawing(Plan):
    """Draw pictures of a file."""

    graphers: Sequence[Preset]
    width: int = 1024
    height: int = 256
    format: str = "png"

    def check(self) -> None:
        """Also graphers, size and format."""
        super().check()
        self._graphers()
        check_size(self.width, self.height)
        if self.format not in ("png", "svg"):
            raise ParameterError(f"format={self.format!r} must be png or svg")

    def targets(self, file: Found) -> list[Path]:
        """A picture by each grapher, numbered where one comes again with other parameters."""
        ids = [grapher.id for grapher in self._graphers()]
        return [
            self.out / file.relative.with_name(f"{file.relative.name}.{name}.{self.format}") for name in _numbered(ids)
        ]

    def __call__(self, file: Found, tell: Tell) -> Done:
        """Draw."""
        graphers, targets = self._graphers(), self.targets(file)
        for target in targets:
            _refuse_existing(target, self.overwrite)
        results = _joined(self.decoder(file.path), *self.effects(), *graphers).run(progress=tell)
        for grapher, target in zip(graphers, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            grapher.render(results, target, width=self.width, height=self.height)
        return Done(targets)

    def _graphers(self) -> list[Grapher]:
        return list(dict.fromkeys(instances(self.graphers, Grapher)))


@dataclass(frozen=True, kw_only=True)
class Transcoding(Plan):
    """Encode a file anew, its embedded tags carried over."""

    encoder: Preset

    def check(self) -> None:
        """Also the encoder and its parameters."""
        super().check()
        id, parameters = self.encoder
        if taken := parameters.keys() & {"output", "overwrite", "streaming"}:
            raise ParameterError(
                f"{id}: {taken.pop()!r} is no parameter here: --out and --overwrite say where files go"
            )
        self._encoder(parameters)

    def targets(self, file: Found) -> list[Path]:
        """One file, with the encoder's suffix instead of its own."""
        return [self.out / file.relative.with_suffix(f".{self._encoder({}).extension}")]

    def __call__(self, file: Found, tell: Tell) -> Done:
        """Encode."""
        decoder = self.decoder(file.path)
        with decoder.open() as source:
            tags = dict(source.media.tags)
        (target,) = self.targets(file)
        if target.exists() and target.samefile(file.path):
            raise EncodingError(f"{str(target)!r} is the source itself: choose another folder")
        _refuse_existing(target, self.overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        places = {"output": str(target), "overwrite": self.overwrite, "metadata": tags}
        encoder = self._encoder({**places, **self.encoder[1]})
        _joined(decoder, *self.effects(), encoder).run(progress=tell)
        return Done([target])

    def _encoder(self, parameters: Mapping[str, Any]) -> Encoder:
        (encoder,) = instances([(self.encoder[0], dict(parameters))], Encoder)
        return encoder


def apart(files: Iterable[Found], plan: Plan) -> Iterator[Found]:
    """The files; those that would overwrite what is made of one before them have an error that says so."""
    makers: dict[Path, Path] = {}
    for file in files:
        targets = [] if file.error else plan.targets(file)
        taken = [makers[target] for target in targets if target in makers]
        if taken:
            yield replace(file, error=f"would be written where {str(taken[0])!r} goes: choose another folder")
            continue
        makers |= dict.fromkeys(targets, file.path)
        yield file


def read_index(out: Path) -> dict[str, Any]:
    """Keys and rows of an output folder's index by file written; a line that was cut short is passed over."""
    path = out / INDEX
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}") from error
    known: dict[str, Any] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            known[entry["file"]] = {"key": entry["key"], "row": entry["row"]}
        except (ValueError, KeyError, TypeError):
            continue
    return known


def note(out: Path, done: Done) -> None:
    """Add a file to the index of its output folder, at once, so that others may be adding theirs."""
    entry = {"file": str(done.written[0].relative_to(out)), "key": done.key, "row": done.row}
    try:
        with (out / INDEX).open("ab") as index:
            index.write(f"{json.dumps(entry)}\n".encode())
    except OSError as error:
        raise FormatError(f"{out / INDEX} cannot be written: {error.strerror}") from error


def _joined(decoder: Decoder, *processors: Processor) -> Pipeline:
    return Pipeline(decoder, processors)


def _numbered(ids: Sequence[str]) -> list[str]:
    """The ids, with `-2`, `-3`, … where one comes again."""
    counts = (ids[:index].count(id) for index, id in enumerate(ids))
    return [f"{id}-{count + 1}" if count else id for id, count in zip(ids, counts, strict=True)]


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{str(target)!r} exists: --overwrite replaces it")
