"""`Encoder`: what all encoders share."""

from typing import Any

from timeside.core.api import IEncoder
from timeside.core.component import abstract, implements
from timeside.core.processor import Processor


class Encoder(Processor):
    """Writes a format to a file, or hands it out in chunks."""

    implements(IEncoder)
    abstract()

    type = "encoder"

    streaming: bool = False
    filename: str | None = None
    metadata: Any = None

    @classmethod
    def format(cls) -> str:
        """Short name of the format."""
        return cls.file_extension().upper()

    @classmethod
    def file_extension(cls) -> str:
        """Suffix of files of the format, without the dot."""
        return ""

    @classmethod
    def mime_type(cls) -> str:
        """Media type of the format."""
        return "application/octet-stream"

    def set_metadata(self, metadata: Any) -> None:
        """Tags to embed, by name; before the run."""
        self.metadata = metadata
