"""`Analyzer`, which plug-ins inherit, and the results they make."""

from datetime import datetime

from timeside.core.api import IAnalyzer
from timeside.core.component import abstract, implements
from timeside.core.metadata import (
    AudioMetadata,
    DataObject,
    FrameMetadata,
    IdMetadata,
    LabelMetadata,
    Parameters,
    numpy_data_types,
)
from timeside.core.processor import Processor
from timeside.core.result import AnalyzerResult, AnalyzerResultContainer
from timeside_core.errors import PipelineError

__all__ = [
    "Analyzer",
    "AnalyzerResult",
    "AnalyzerResultContainer",
    "AudioMetadata",
    "DataObject",
    "FrameMetadata",
    "IAnalyzer",
    "IdMetadata",
    "LabelMetadata",
    "Parameters",
    "numpy_data_types",
]


class Analyzer(Processor):
    """Yields results: `post_process` makes them by `new_result`, fills them and hands them to `add_result`."""

    implements(IAnalyzer)
    abstract()

    type = "analyzer"

    def setup(
        self,
        channels: int | None = None,
        samplerate: int | None = None,
        blocksize: int | None = None,
        totalframes: int | None = None,
    ) -> None:
        """Take the form of the signal; results get the same unless `result_…` says otherwise."""
        super().setup(channels, samplerate, blocksize, totalframes)
        self.result_channels, self.result_samplerate = self.input_channels, self.input_samplerate
        self.result_blocksize, self.result_stepsize = self.input_blocksize, self.input_stepsize

    def new_result(self, data_mode: str = "value", time_mode: str = "framewise") -> AnalyzerResult:
        """A result with its metadata, to be filled."""
        result = AnalyzerResult(data_mode, time_mode)
        about = result.id_metadata
        about.id, about.name, about.unit = self.id(), self.name(), self.unit()
        about.description, about.version, about.proc_uuid = self.description(), self.version(), self.uuid()
        about.author, about.date = "TimeSide", datetime.now().isoformat(" ", "seconds")
        audio, media = result.audio_metadata, self.mediainfo()
        audio.uri, audio.sha1, audio.start = media["uri"], media["sha1"], media["start"]
        audio.duration, audio.is_segment, audio.channels = media["duration"], media["is_segment"], self.channels()
        result.parameters.update(self.get_parameters())
        if time_mode == "framewise":
            frames = result.data_object.frame_metadata
            frames.samplerate, frames.blocksize = self.result_samplerate, self.result_blocksize
            frames.stepsize = self.result_stepsize
        return result

    def add_result(self, result: AnalyzerResult) -> None:
        """Hand a result over; its id must be another than those of the results before."""
        results: dict[str, AnalyzerResultContainer] = self.process_pipe.results
        results.setdefault(self.uuid(), AnalyzerResultContainer()).add(result)

    @property
    def results(self) -> AnalyzerResultContainer:
        """Results of the last run of the pipe."""
        if self.process_pipe is None or self.uuid() not in self.process_pipe.results:
            raise PipelineError(f"{self.id()!r} has no results: its pipe did not run, or it added none")
        return self.process_pipe.results[self.uuid()]
