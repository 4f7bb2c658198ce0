"""`webm_encoder`: Opus in WebM."""

from typing import ClassVar

from timeside_encoder.opus import OpusFile


class WebmEncoder(OpusFile, id="webm_encoder", version="2.0"):
    """Opus in WebM, audio only; codec delay and discard padding tell readers the exact signal, also in a stream.

    FFmpeg, as a reader, does not trim signals of less than 14 ms, which fit in one packet.
    """

    extension: ClassVar[str] = "webm"
    mime_type: ClassVar[str] = "audio/webm"
    container: ClassVar[str] = "webm"
