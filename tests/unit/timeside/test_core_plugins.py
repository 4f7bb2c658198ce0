"""Plug-ins written for TimeSide 1, in its pipes and in native pipelines: what they are told, and what they yield."""

import json

import numpy as np
import pytest

from timeside.core import ApiError, Processor, get_processor, implements, interfacedoc, processors
from timeside.core.analyzer import Analyzer
from timeside.core.api import IAnalyzer, IDecoder, IEffect, IEncoder, IGrapher, IValueAnalyzer
from timeside.core.decoder import Decoder
from timeside.core.encoder import Encoder
from timeside.core.grapher import DisplayAnalyzer, Grapher
from timeside.core.preprocessors import downmix_to_mono, frames_adapter
from timeside.core.processor import FixedSizeInputAdapter
from timeside.core.tools.parameters import Float, HasTraits, Int, store_parameters
from timeside_core import get_processor as get_native
from timeside_core.errors import ParameterError, PipelineError, ProcessorError
from timeside_core.testing import contract_for

NOISE = np.random.default_rng(440).uniform(-0.5, 0.5, (30_000, 2)).astype(np.float32)


class PlugEnergy(Analyzer):
    """Mean square of frames."""

    implements(IAnalyzer)

    _schema = {"properties": {"input_blocksize": {"type": "integer", "minimum": 1}, "floor": {"type": "number"}}}

    class _Param(HasTraits):
        input_blocksize = Int()
        floor = Float

    @store_parameters
    def __init__(self, input_blocksize=1000, floor=None):
        super().__init__()
        self.input_blocksize = input_blocksize
        self.input_stepsize = input_blocksize // 2 or 1
        self.floor = floor
        self.values = []

    @staticmethod
    @interfacedoc
    def id():
        return "plug_energy"

    @staticmethod
    def version():
        return "1.1"

    @staticmethod
    def unit():
        return "J"

    @downmix_to_mono
    @frames_adapter
    def process(self, frames, eod=False):
        self.values.append(np.mean(np.square(frames, dtype=float)))
        return frames, eod

    def post_process(self):
        result = self.new_result(data_mode="value", time_mode="framewise")
        result.data_object.value = np.maximum(self.values, self.floor or 0)
        self.add_result(result)


class PlugLoud(Analyzer):
    """Frames louder than their mean, as every kind of result; its parent computes the energy."""

    implements(IAnalyzer)

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor
        self.parents["energy"] = PlugEnergy(500)

    @staticmethod
    def id():
        return "plug_loud"

    def post_process(self):
        energy = self.process_pipe.results[self.parents["energy"].uuid()]["plug_energy"]
        assert energy is self.parents["energy"].results["plug_energy"]
        loud = energy.data > self.factor * energy.data.mean()
        for data_mode in ("value", "label"):
            for time_mode in ("global", "framewise", "event", "segment"):
                self._add(data_mode, time_mode, energy, loud)

    def _add(self, data_mode, time_mode, energy, loud):
        result = self.new_result(data_mode, time_mode)
        result.id_metadata.id += f".{data_mode}_{time_mode}"
        data, frames = result.data_object, energy.data_object.frame_metadata
        rows = slice(None, 1) if time_mode == "global" else slice(None)
        if data_mode == "value":
            data.value = energy.data[rows]
        else:
            data.label = np.where(loud, 7, -1)[rows]
            data.label_metadata.label = {-1: "soft", 7: "loud"}
        if time_mode == "framewise":
            data.frame_metadata = frames.as_dict()
        if time_mode in ("event", "segment"):
            data.time = energy.data_object.time
        if time_mode == "segment":
            data.duration = energy.data_object.duration
        self.add_result(result)


class PlugTold(Analyzer):
    """Notes how it is called."""

    implements(IValueAnalyzer)

    @staticmethod
    def id():
        return "plug_told"

    def setup(self, channels=None, samplerate=None, blocksize=None, totalframes=None):
        super().setup(channels, samplerate, blocksize, totalframes)
        self.form = channels, samplerate, blocksize, totalframes
        self.blocks, self.calls = [], ["setup"]

    def process(self, frames, eod=False):
        self.blocks.append((len(frames), eod))
        frames *= 0  # a block is its own
        return frames, eod

    def post_process(self):
        self.calls.append("post_process")
        result = self.new_result("value", "global")
        result.data_object.value = self.totalframes()
        self.add_result(result)

    def release(self):
        self.calls.append("release")


class PlugInvert(Processor):
    """Turns the polarity; its constructor does not call that of its base."""

    implements(IEffect)

    def __init__(self, gain=1.0):
        self.gain = gain

    @staticmethod
    def id():
        return "plug_invert"

    def process(self, frames, eod=False):
        return np.multiply(frames, -self.gain), eod


class PlugPicture(Grapher):
    """Columns as tall as the peaks."""

    implements(IGrapher)

    @staticmethod
    def id():
        return "plug_picture"

    def process(self, frames, eod=False):
        for column, (buffer, _) in enumerate(self.pixels_adapter.process(frames[:, :1], eod)):
            self.draw.line([column, 0, column, int(np.abs(buffer).max() * self.image_height)], (255, 0, 0))
        return frames, eod


class PlugEncoder(Encoder):
    """Raw samples, in memory."""

    implements(IEncoder)

    def __init__(self, output=None):
        super().__init__()
        self.encoded = b""

    @staticmethod
    def id():
        return "plug_encoder"

    def process(self, frames, eod=False):
        self.encoded += frames.tobytes()
        return frames, eod


class PlugDecoder(Decoder):
    """A ramp of 10 000 samples."""

    implements(IDecoder)

    def __init__(self, start=0, duration=None):
        super().__init__(start, duration)
        self.uri = "ramp"

    @staticmethod
    def id():
        return "plug_decoder"

    def setup(self, channels=None, samplerate=None, blocksize=None, totalframes=None):
        self.output_channels, self.output_samplerate, self.output_blocksize = 1, 8000, blocksize
        self.input_samplerate, self.input_totalframes = 8000, 10_000
        self.position = 0

    def process(self, frames=None, eod=False):
        stop = min(self.position + self.output_blocksize, 10_000)
        block, self.position = np.arange(self.position, stop) / 10_000, stop
        return block[:, np.newaxis], stop == 10_000


TestEnergyContract = contract_for(PlugEnergy.native_class)
TestToldContract = contract_for(PlugTold.native_class)
TestInvertContract = contract_for(PlugInvert.native_class)


def energy_of(audio, length, step):
    mono = audio.mean(axis=1)
    count = max(0, (len(mono) - length + step) // step) + 1
    padded = np.concatenate([mono, np.zeros(length)])
    return np.array([np.mean(np.square(padded[n * step :][:length], dtype=float)) for n in range(count)])


def array(audio=NOISE, samplerate=44100, **segment):
    return get_processor("array_decoder")(audio, samplerate, **segment)


def test_framewise_results_and_their_metadata():
    analyzer = PlugEnergy()
    (array() | analyzer).run()
    result = analyzer.results["plug_energy"]
    assert result.data == pytest.approx(energy_of(NOISE, 1000, 500))
    assert result.data_object.frame_metadata.as_dict() == {"samplerate": 44100, "blocksize": 1000, "stepsize": 500}
    assert (result.unit, result.id_metadata.version, result.audio_metadata.channels) == ("J", "1.1", 2)
    assert result.parameters == {"input_blocksize": 1000, "floor": None}


def test_native_pipelines_run_it():
    native = get_native("plug_energy")(input_blocksize=800)
    results = (get_native("array_decoder")(NOISE, 44100, start=0.1) | native).run()
    result = results["plug_energy"]
    assert result.values == pytest.approx(energy_of(NOISE[4410:], 800, 400))
    assert result.times[:2] == pytest.approx([0.1 + 400 / 44100, 0.1 + 800 / 44100])
    assert (result.output.unit, result.provenance.version) == ("J", "1.1")


def test_parameters_are_those_of_the_constructor():
    schema = PlugEnergy.get_parameters_schema()["properties"]
    assert schema["input_blocksize"] == {"default": 1000, "type": "integer", "minimum": 1}
    assert PlugEnergy.get_parameters_default() == {"input_blocksize": 1000, "floor": None}
    assert PlugEnergy(floor=2).get_parameters() == {"input_blocksize": 1000, "floor": 2}
    assert PlugEnergy(500) == PlugEnergy(input_blocksize=500)
    assert PlugEnergy(500) != PlugEnergy(501)


def test_wrong_parameters_are_told_natively():
    with pytest.raises(ParameterError, match="input_blocksize=0"):
        get_native("plug_energy")(input_blocksize=0)
    with pytest.raises(ParameterError, match="it has input_blocksize, floor"):
        get_native("plug_energy")(blocksize=1)


def test_a_schema_is_that_of_the_class_also_after_its_parent_was_asked():
    class PlugFiner(PlugEnergy):
        """With another default."""

        implements(IAnalyzer)

        def __init__(self, input_blocksize=10):
            super().__init__(input_blocksize)

        @staticmethod
        def id():
            return "plug_finer"

    assert PlugEnergy.get_parameters_default()["input_blocksize"] == 1000
    assert PlugFiner.get_parameters_default() == {"input_blocksize": 10}


@pytest.mark.parametrize("start", [0.0, 0.2])
def test_all_modes_are_the_same_natively(start):
    analyzer = PlugLoud()
    (array(start=start) | analyzer).run()
    native = (get_native("array_decoder")(NOISE, 44100, start=start) | get_native("plug_loud")()).run()
    assert [each.id for each in native] == analyzer.results.list_id()
    for result, ours in zip(analyzer.results.values(), native, strict=True):
        assert (ours.output.time_mode, ours.output.data_mode) == (result.time_mode, result.data_mode)
        assert np.atleast_1d(ours.values).tolist() == result.to_native().values.tolist()
        assert ours.event_times == pytest.approx(result.to_native().event_times)
        assert ours.event_durations == pytest.approx(result.to_native().event_durations)
        assert ours.stream == result.origin.stream or result.time_mode != "framewise"
    assert set(native["plug_loud.label_event"].labels) == {"soft", "loud"}


def test_frames_of_a_second_clock_become_segments():
    class PlugTwoClocks(Analyzer):
        """Frames of 100 and of 200 samples."""

        implements(IAnalyzer)

        @staticmethod
        def id():
            return "plug_two_clocks"

        def post_process(self):
            for name, step in (("fine", 100), ("coarse", 200)):
                result = self.new_result()
                result.id_metadata.id += f".{name}"
                result.data_object.value = [1.0, 2.0, 3.0]
                result.data_object.frame_metadata = {"blocksize": step, "stepsize": step}
                self.add_result(result)

    fine, coarse = (get_native("array_decoder")(NOISE, 1000) | get_native("plug_two_clocks")()).run()
    assert (fine.output.time_mode, coarse.output.time_mode) == ("framewise", "segment")
    assert fine.times == pytest.approx([0.05, 0.15, 0.25])
    assert coarse.event_times == pytest.approx([0, 0.2, 0.4])
    assert coarse.event_durations == pytest.approx([0.2] * 3)


def test_parents_are_in_the_pipe_before_their_child_and_equal_ones_once():
    loud, other, energy = PlugLoud(), PlugLoud(2.0), PlugEnergy(500)
    pipe = array() | loud | other | energy
    assert repr(pipe) == "array_decoder | plug_energy | plug_loud | plug_loud"
    pipe.run()
    assert energy.results is loud.parents["energy"].results
    assert set(pipe.results) == {energy.uuid(), loud.uuid(), other.uuid()}


def test_the_key_of_a_result_tells_the_parents():
    assert get_native("plug_loud")().identity()["parents"]["energy"]["input_blocksize"] == 500


def test_what_a_plug_in_is_told():
    analyzer = PlugTold()
    level = get_processor("level")()
    (array(NOISE[: 3 * 8192]) | analyzer | level).run()
    assert analyzer.form == (2, 44100, 8192, 3 * 8192)
    assert analyzer.blocks == [(8192, False), (8192, False), (8192, True)]
    assert analyzer.calls == ["setup", "post_process", "release"]
    assert level.results["level.max"].data[0] > -7  # what a plug-in writes into its block stays there
    assert analyzer.run_time.total_seconds() > 0


def test_the_end_comes_with_an_empty_block_where_there_is_no_signal():
    analyzer = PlugTold()
    (array(NOISE[:0]) | analyzer).run()
    assert analyzer.blocks == [(0, True)]


def test_a_run_at_another_samplerate_channels_and_blocksize():
    analyzer = PlugTold()
    (array() | analyzer).run(channels=1, samplerate=22050, blocksize=1000)
    assert analyzer.form == (1, 22050, 1000, 15_000)
    assert analyzer.blocks[0] == (1000, False)
    assert sum(length for length, _ in analyzer.blocks) == pytest.approx(15_000, abs=1)


def test_a_pipe_runs_twice():
    analyzer = PlugTold()
    pipe = array() | analyzer
    pipe.run()
    pipe.run()
    assert analyzer.results["plug_told"].data == 30_000


def test_a_plug_in_may_force_the_samplerate():
    class PlugForced(PlugTold):
        """Wants 16 kHz."""

        implements(IValueAnalyzer)
        force_samplerate = 16_000

        @staticmethod
        def id():
            return "plug_forced"

    analyzer = PlugForced()
    (array(np.zeros(32_000), 32_000) | analyzer).run()
    assert analyzer.form[1] == 16_000
    assert len(analyzer.results["plug_forced"].data) == 1
    native = (get_native("array_decoder")(np.zeros(32_000), 32_000) | get_native("plug_forced")()).run()
    assert native["plug_forced"].values == pytest.approx(16_000, abs=1)
    with pytest.raises(ValueError, match="several samplerates"):
        (array() | PlugForced()).run(samplerate=8000)


def test_effects_act_on_what_follows_in_both_worlds():
    before, after = PlugEncoder(), PlugEncoder()
    (array() | before | PlugInvert(2) | after).run()
    assert np.frombuffer(after.encoded, np.float32) == pytest.approx(-2 * np.frombuffer(before.encoded, np.float32))
    native = (get_native("array_decoder")(NOISE) | get_native("plug_invert")(gain=4.0) | get_native("level")()).run()
    plain = (get_native("array_decoder")(NOISE) | get_native("level")()).run()
    assert native["level.rms"].values - plain["level.rms"].values == pytest.approx(20 * np.log10(4))
    assert native[0].provenance.effects[0]["id"] == "plug_invert"


def test_an_effect_keeps_channels():
    class PlugMono(PlugInvert):
        """Mixes down."""

        implements(IEffect)

        @staticmethod
        def id():
            return "plug_mono"

        def process(self, frames, eod=False):
            return frames.mean(axis=1), eod

    with pytest.raises(ProcessorError, match="'plug_mono' made 1 channels of 2"):
        (array() | PlugMono() | get_processor("level")()).run()


def test_a_grapher_draws_while_it_processes(tmp_path):
    grapher = PlugPicture(width=30, height=100)
    (array() | grapher).run(blocksize=30_000)
    assert grapher.render(output=str(tmp_path / "picture.png")) is None
    image = grapher.render()
    assert image.size == (30, 100)
    assert image.getpixel((5, 40))[:3] == (255, 0, 0)
    assert image.getpixel((5, 60))[:3] == (0, 0, 0)
    assert (tmp_path / "picture.png").stat().st_size > 100


@pytest.mark.parametrize("background", [None, "waveform", "spectrogram"])
def test_a_display_of_a_plug_ins_result(background, tmp_path):
    grapher_class = DisplayAnalyzer.create(
        analyzer=PlugLoud,
        result_id="plug_loud.label_segment",
        grapher_id=f"plug_display_{background}".lower(),
        grapher_name="Loud",
        grapher_version="1.0",
        background=background,
    )
    assert get_processor(grapher_class.id()) is grapher_class
    grapher = grapher_class(width=300, height=100)
    (array() | grapher).run()
    grapher.render(str(tmp_path / "display.png"))
    image = grapher.render()
    assert image.size == (300, 100)
    assert len(image.convert("RGB").getcolors(1 << 24)) > 2


def test_a_decoder_may_be_a_plug_in():
    told, level = PlugTold(), get_processor("level")()
    (get_processor("plug_decoder")() | told | level).run(blocksize=4000)
    assert told.form == (1, 8000, 4000, 10_000)
    assert told.blocks == [(4000, False), (4000, False), (2000, True)]
    assert level.results["level.max"].data == pytest.approx(20 * np.log10(0.9999), rel=1e-3)
    assert level.results["level.max"].audio_metadata.uri == "ramp"


def test_what_fails_is_named():
    class PlugFails(PlugTold):
        """Divides by zero."""

        implements(IValueAnalyzer)

        @staticmethod
        def id():
            return "plug_fails"

        def post_process(self):
            raise ZeroDivisionError("of what?")

    analyzer = PlugFails()
    with pytest.raises(ProcessorError, match="'plug_fails' failed in post_process: ZeroDivisionError: of what"):
        (array() | analyzer).run()
    assert analyzer.calls[-1] == "release"


def test_results_come_after_the_run():
    with pytest.raises(PipelineError, match="'plug_told' has no results"):
        _ = PlugTold().results


def test_an_id_is_checked_and_unique():
    def defined(id):
        class Plug(Analyzer):
            implements(IAnalyzer)

            @staticmethod
            def id():
                return id

    with pytest.raises(ApiError, match=r"'Plug-1' of .* must be a-z"):
        defined("Plug-1")
    with pytest.raises(ApiError, match=r"'plug_told' of .*defined.* is taken by .*PlugTold"):
        defined("plug_told")
    with pytest.raises(ApiError, match=r"'level' of .* is taken by timeside_analyzer\.level:Level"):
        defined("level")


def test_a_parameter_named_as_a_native_member_is_refused():
    with pytest.raises(ApiError, match="cannot have a parameter 'clock'"):

        class PlugClock(Analyzer):
            implements(IAnalyzer)

            def __init__(self, clock=1):
                super().__init__()

            @staticmethod
            def id():
                return "plug_clock"


def test_plug_ins_are_listed_with_the_others():
    assert PlugTold in processors(IValueAnalyzer)
    assert {PlugLoud, PlugTold, get_processor("mfcc")} <= set(processors(IAnalyzer))
    assert {PlugInvert, get_processor("fx_gain")} <= set(processors(IEffect))
    assert PlugPicture in processors(IGrapher)


def test_results_of_a_plug_in_are_written_with_their_provenance(tmp_path):
    analyzer = PlugEnergy(2000)
    (array() | PlugInvert() | analyzer).run()
    provenance = analyzer.results["plug_energy"].to_native().provenance
    assert provenance.parameters == {"input_blocksize": 2000, "floor": None}
    assert provenance.effects[0]["id"] == "plug_invert"
    assert len(provenance.digest) == 64
    assert json.loads(analyzer.results.to_json())[0]["parameters"]["input_blocksize"] == 2000


@pytest.mark.parametrize(("length", "pad"), [(10, False), (10, True), (9, True), (0, True)])
def test_fixed_size_buffers(length, pad):
    adapter = FixedSizeInputAdapter(3, 1, pad)
    audio = np.arange(float(length))[:, np.newaxis]
    got = [*adapter.process(audio[:4], length <= 4), *(adapter.process(audio[4:], True) if length > 4 else ())]
    joined = np.concatenate([np.empty((0, 1)), *(buffer for buffer, _ in got)])
    assert len(joined) == adapter.blocksize(length)
    assert joined[:length].tolist() == audio.tolist()
    assert [last for _, last in got] == [False] * (len(got) - 1) + [True] * bool(length)
