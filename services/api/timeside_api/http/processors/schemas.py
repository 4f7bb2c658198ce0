"""Processors as they go out."""

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from timeside_core.pipeline import Encoder, Grapher
from timeside_core.processor import Analyzer, Effect, Processor

Kind: TypeAlias = Literal["effect", "analyzer", "grapher", "encoder"]
KINDS: tuple[tuple[Kind, type[Processor]], ...] = (
    ("effect", Effect),
    ("analyzer", Analyzer),
    ("grapher", Grapher),
    ("encoder", Encoder),
)
"""That can be asked for: media are decoded by whoever is right for them, and forms of input are parameters."""


class OutputOut(BaseModel):
    """An output of an analyzer."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """In paths; `result` where there is but one."""
    time_mode: Literal["global", "framewise", "event", "segment"]
    data_mode: Literal["value", "label"]
    unit: str
    description: str
    labels: tuple[str, ...]
    """Where it is not empty the values are indices into it."""
    bins: str
    """What the columns of a row are."""
    bin_unit: str


class ProcessorOut(BaseModel):
    """Something that can be asked of media."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    version: str
    kind: Kind
    description: str
    parameters: dict[str, Any]
    """JSON Schema."""
    outputs: list[OutputOut]
    """By its default parameters; of analyzers only."""

    @classmethod
    def of(cls, id: str, processor: type[Processor]) -> "ProcessorOut":
        """Of a class, under its id or an alias."""
        return cls(
            id=id,
            version=processor.version,
            kind=next(kind for kind, base in KINDS if issubclass(processor, base)),
            description=processor.description(),
            parameters=processor.schema(),
            outputs=_outputs(processor) if issubclass(processor, Analyzer) else [],
        )


def output_path(name: str) -> str:
    """Name of an output in paths, where it cannot be empty."""
    return name or "result"


def _outputs(processor: type[Analyzer]) -> list[OutputOut]:
    return [
        OutputOut(
            name=output_path(name),
            time_mode=output.time_mode,
            data_mode=output.data_mode,
            unit=output.unit,
            description=output.description,
            labels=output.labels,
            bins=output.bins,
            bin_unit=output.bin_unit,
        )
        for name, output in processor().declared().items()
    ]
