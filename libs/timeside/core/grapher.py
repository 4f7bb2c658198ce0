"""`Grapher`, which plug-ins that draw inherit, and `DisplayAnalyzer`, which draws an analyzer's result."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, cast

from timeside.core.api import IGrapher
from timeside.core.component import IMPLEMENTS, abstract, implements
from timeside.core.processor import FixedSizeInputAdapter, Processor
from timeside_core import registry
from timeside_core.errors import PipelineError
from timeside_core.pipeline import Grapher as NativeGrapher
from timeside_core.processor import Step, inputs_of
from timeside_core.results import Result, Results


class Grapher(Processor):
    """Draws. A plug-in draws on `image`, a PIL image, while it processes: `draw` and `pixel` are ways to do so.

    `pixels_adapter` cuts the first channel into one buffer for each column of pixels; the length of the signal must be
    known for that.
    """

    implements(IGrapher)
    abstract()

    type = "grapher"

    def __init__(
        self, width: int = 1024, height: int = 256, bg_color: Any = None, color_scheme: str = "default"
    ) -> None:
        self.image_width, self.image_height = width, height
        self.bg_color, self.color_scheme = bg_color, color_scheme
        self._image: Any = None

    def setup(
        self,
        channels: int | None = None,
        samplerate: int | None = None,
        blocksize: int | None = None,
        totalframes: int | None = None,
    ) -> None:
        """Make an empty picture."""
        from PIL import Image, ImageDraw

        super().setup(channels, samplerate, blocksize, totalframes)
        if not totalframes:
            raise PipelineError(f"{self.id()!r} cannot draw a signal whose length is unknown")
        self.image = Image.new("RGBA", (self.image_width, self.image_height), self.bg_color)
        self.pixel, self.draw = self.image.load(), ImageDraw.Draw(self.image)
        self.samples_per_pixel = totalframes / self.image_width
        self.buffer_size = max(1, round(self.samples_per_pixel))
        self.pixels_adapter = FixedSizeInputAdapter(self.buffer_size, 1, pad=False)

    @property
    def image(self) -> Any:
        """The picture, a PIL image."""
        return self._image

    @image.setter
    def image(self, image: Any) -> None:
        self._image = image

    def set_colors(self, background: Any = None, scheme: Any = None) -> None:
        """Colours to draw in; before the run."""
        self.bg_color, self.color_scheme = background, scheme

    def render(self, output: Any = None) -> Any:
        """The picture; where `output` is given it is written there instead, in the format of its suffix."""
        if output is None:
            return self.image
        self.image.save(output)
        return None

    def watermark(
        self,
        text: str,
        font: Any = None,
        color: tuple[int, int, int] = (255, 255, 255),
        opacity: float = 0.6,
        margin: tuple[int, int] = (5, 5),
    ) -> None:
        """Write text over the lower right corner."""
        from PIL import Image, ImageDraw

        picture = self.image.convert("RGBA")
        layer = Image.new("RGBA", picture.size)
        corner = (picture.width - margin[0], picture.height - margin[1])
        ink = (*color, round(255 * opacity))
        ImageDraw.Draw(layer).text(corner, text, fill=ink, font=font, anchor="rb")
        self.image = Image.alpha_composite(picture, layer)


class DrawnGrapher(Grapher):
    """A picture that is drawn from results by a grapher of the native library."""

    abstract()

    native_results = Results()
    """Results of the native analyzers."""
    _changed = False
    """Whether the picture is no longer as it was drawn."""

    def setup(
        self,
        channels: int | None = None,
        samplerate: int | None = None,
        blocksize: int | None = None,
        totalframes: int | None = None,
    ) -> None:
        """Take the form of the signal."""
        Processor.setup(self, channels, samplerate, blocksize, totalframes)

    def native_grapher(self) -> NativeGrapher:
        """Who draws."""
        raise NotImplementedError

    def native_steps(self, samplerate: int) -> Sequence[Step] | None:
        """The analyzers whose results are drawn."""
        return inputs_of(self.native_grapher())

    def take_results(self, results: Results) -> None:
        """Note them; they are drawn when they are wanted."""
        self.native_results, self._image, self._changed = results, None, False

    def drawn_results(self) -> Results:
        """All that is drawn."""
        return self.native_results

    @property
    def image(self) -> Any:
        """The picture, a PIL image."""
        from PIL import Image

        if self._image is None:
            self._image = Image.open(BytesIO(self._rendered(None)))
        return self._image

    @image.setter
    def image(self, image: Any) -> None:
        self._image, self._changed = image, True

    def render(self, output: Any = None) -> Any:
        """The picture; where `output` is given it is written there instead, also as SVG unless it has a watermark."""
        if output is None or self._changed or Path(output).suffix not in (".png", ".svg"):
            return super().render(output)
        self._rendered(output)
        return None

    def _rendered(self, output: Any) -> bytes:
        results = self.drawn_results()
        if not results:
            raise PipelineError(f"{self.id()!r} has nothing to draw: its pipe did not run")
        return self.native_grapher().render(results, output, width=self.image_width, height=self.image_height)


class DisplayAnalyzer(DrawnGrapher):
    """Draws a result of an analyzer, where asked for over the waveform or the spectrogram; `create` makes classes."""

    implements(IGrapher)
    abstract()

    analyzer: ClassVar[type[Processor]]
    analyzer_parameters: ClassVar[Mapping[str, Any]] = {}
    result_id: ClassVar[str] = ""
    grapher_id: ClassVar[str] = ""
    grapher_name: ClassVar[str] = ""
    grapher_version: ClassVar[str] = "1.0"
    background: ClassVar[str] = "none"

    @classmethod
    def create(
        cls,
        analyzer: type[Processor],
        analyzer_parameters: Mapping[str, Any] | None = None,
        result_id: str | None = None,
        grapher_id: str | None = None,
        grapher_name: str | None = None,
        grapher_version: str | None = None,
        background: str | None = None,
        staging: bool = False,
    ) -> type["DisplayAnalyzer"]:
        """A grapher of that id, which draws the result of that id."""
        id = grapher_id or f"grapher_{analyzer.id()}"
        namespace = {
            IMPLEMENTS: [IGrapher],
            "__module__": analyzer.__module__,
            "__qualname__": f"{analyzer.__qualname__}.{id}",
            "__doc__": f"{grapher_name or id}, drawn.",
            "analyzer": analyzer,
            "analyzer_parameters": analyzer_parameters or {},
            "result_id": result_id or analyzer.id(),
            "grapher_id": id,
            "grapher_name": grapher_name or id,
            "grapher_version": grapher_version or cls.grapher_version,
            "background": background or cls.background,
        }
        return cast("type[DisplayAnalyzer]", type(cls)(id, (cls,), namespace))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parents["analyzer"] = self.analyzer(**self.analyzer_parameters)

    @classmethod
    def id(cls) -> str:
        """Name in the registry."""
        return cls.grapher_id

    @classmethod
    def name(cls) -> str:
        """Name to show."""
        return cls.grapher_name

    @classmethod
    def version(cls) -> str:
        """Version of the grapher."""
        return cls.grapher_version

    def native_grapher(self) -> NativeGrapher:
        """Who draws."""
        analyzer = self.parents["analyzer"].native_value()
        if added := self._added():
            analyzer = analyzer.having(added)
        output = "" if self.result_id == analyzer.id else self.result_id.removeprefix(f"{analyzer.id}.")
        made = registry.get_processor("result_grapher").from_parameters(
            {"analyzer": analyzer, "output": output, "background": self.background}
        )
        assert isinstance(made, NativeGrapher)
        return made

    def native_steps(self, samplerate: int) -> Sequence[Step] | None:
        """The analyzers whose results are drawn; where one is a plug-in it is in the pipe already."""
        plugin = self.parents["analyzer"].native_steps(samplerate) is None
        steps = inputs_of(self.native_grapher())
        return steps[1:] if plugin else steps

    def drawn_results(self) -> Results:
        """Those of native analyzers, and those that a plug-in added."""
        return Results([*self.native_results, *self._added()])

    def _added(self) -> list[Result]:
        """What the analyzer added, where it is a plug-in that has run."""
        parent = self.parents["analyzer"]
        if parent.process_pipe is None or self.native_class is not None:
            return []
        results = parent.process_pipe.results.get(parent.uuid(), {})
        return [each.origin for each in results.values() if each.origin is not None]
