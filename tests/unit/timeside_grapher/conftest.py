"""Results made by hand and by pipelines, and pictures as arrays."""

import io
from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from PIL import Image

from timeside_core import Analyzer, Array, Grapher, Media, Result, Results, Rows, Stream
from timeside_core.key import digest
from timeside_core.outputs import Output
from timeside_core.processor import result_id
from timeside_core.results import Provenance
from timeside_decoder.array import ArrayDecoder

SAMPLERATE = 44_100


_numbers = count()


@pytest.fixture
def made() -> Callable[..., tuple[Analyzer, Results]]:
    """An analyzer of one output, and a result of it over a signal of some seconds."""

    def make(
        output: Output,
        rows: Rows | Array | float,
        *,
        duration_s: float = 10.0,
        stream: Stream | None = None,
        bins: Array | tuple[str, ...] | None = None,
    ) -> tuple[Analyzer, Results]:
        class Made(Analyzer, id=f"made_by_hand_{next(_numbers)}", version="1.0"):
            """Stands for any analyzer of that output."""

        Made.output = output
        analyzer = Made()
        rows = rows if isinstance(rows, Rows) else Rows(np.asarray(rows))
        result = Result(
            id=result_id(analyzer, ""),
            output=output,
            values=rows.values,
            stream=stream or Stream(samplerate=SAMPLERATE, hop_length=441, frame_length=441),
            event_times=rows.times,
            event_durations=rows.durations,
            bins=bins,
            provenance=Provenance(
                processor=analyzer.id,
                version=analyzer.version,
                parameters=analyzer.parameters(),
                digest=digest(analyzer),
                media=Media(uri="made", samplerate=SAMPLERATE, channels=1, samples=round(duration_s * SAMPLERATE)),
            ),
        )
        return analyzer, Results([result])

    return make


@pytest.fixture
def analyzed() -> Callable[..., Results]:
    """Results of what a grapher draws, over an array."""

    def run(grapher: Grapher, samples: Array, samplerate: int = SAMPLERATE) -> Results:
        return (ArrayDecoder(samples, samplerate) | grapher).run()

    return run


@pytest.fixture
def drawn() -> Callable[..., Array]:
    """A PNG picture as pixels, shape `(height, width, 4)`, RGBA."""

    def draw(grapher: Grapher, results: Results, **kwargs: object) -> Array:
        picture = grapher.draw(results, format="png", **kwargs)  # type: ignore[arg-type]
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA")).astype(int)

    return draw
