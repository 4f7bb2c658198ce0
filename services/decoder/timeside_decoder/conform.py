"""Brings frames to the samplerate and the channels that a live session began with."""

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler


class Conform:
    """Passes frames through; resamples and mixes those that differ, as a station's do between two programmes."""

    def __init__(self, samplerate: int, layout: str, channels: int) -> None:
        self._samplerate, self._layout, self._channels = samplerate, layout, channels
        self._resampler: AudioResampler | None = None
        self._form: tuple[str, int, str] | None = None
        """Of the frames that the resampler takes."""

    def frames(self, frame: AudioFrame) -> list[AudioFrame]:
        """Frames of the session, given the next one as it comes."""
        if frame.sample_rate == self._samplerate and frame.layout.nb_channels == self._channels:
            return [*self.rest(), frame]
        form = frame.layout.name, frame.sample_rate, frame.format.name
        rest = self.rest() if form != self._form else []
        if self._resampler is None:
            self._resampler, self._form = AudioResampler("fltp", self._layout, self._samplerate), form
        frame.pts = None  # samples are counted, and timestamps of two programmes do not fit
        return [*rest, *self._resampler.resample(frame)]

    def rest(self) -> list[AudioFrame]:
        """What the resampler holds back, at the end of what it was for."""
        resampler, self._resampler, self._form = self._resampler, None, None
        return [] if resampler is None else resampler.resample(None)
