"""`mean_dc_shift`: the offset of a waveform from zero."""

from timeside_core import Analyzer, Array, Channels, Stream, Value


class MeanDCShift(Analyzer, id="mean_dc_shift", version="2.0"):
    """Mean offset of the waveform from zero, in percent of full scale, over all samples of all channels.

    TimeSide 1 weighted blocks equally and put a zero before them; here each sample counts once. No signal, no value.
    """

    input: Channels = Channels()
    output = Value(unit="%")

    def start(self, stream: Stream) -> None:
        """Begin at zero."""
        self.total, self.count = 0.0, 0

    def process(self, block: Array) -> None:
        """Sum in double precision."""
        self.total += float(block.sum(dtype=float))
        self.count += block.size

    def finish(self) -> float | None:
        """The mean, in percent."""
        return 100 * self.total / self.count if self.count else None
