"""Native processors in the form of TimeSide 1: their parameters, their pipes, what decoders and encoders tell."""

import hashlib
import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from timeside.core import PIDError, ProcessPipe, get_processor, list_processors, processors
from timeside.core.analyzer import Analyzer
from timeside.core.api import IDecoder, IEncoder, IGrapher, IProcessor, IValueAnalyzer
from timeside.core.decoder import Decoder
from timeside_core import get_processor as get_native
from timeside_core.errors import ParameterError, PipelineError, TimesideError

SAMPLES = 40_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(SAMPLES) / 44_100)).astype(np.float32)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.stack([TONE, TONE / 2], axis=1), 44_100, subtype="FLOAT")
    return str(path)


def file(path, **parameters):
    return get_processor("file_decoder")(path, **parameters)


def test_what_a_processor_says_of_itself():
    level = get_processor("level")
    assert (level.id(), level.unit(), level.name()) == ("level", "dBFS", "Level")
    assert level.version() == get_native("level").version
    assert level.description().startswith("Peak and RMS level")
    assert issubclass(level, Analyzer)
    assert level is get_processor("level")
    assert level().uuid() != level().uuid()


def test_results_are_those_of_the_native_processor(wav):
    analyzer = get_processor("level")()
    (file(wav) | analyzer).run()
    native = (get_native("file_decoder")(wav) | get_native("level")()).run()
    assert analyzer.results.list_id() == ["level.max", "level.rms"]
    assert {id: result.data[0] for id, result in analyzer.results.items()} == {each.id: each.values for each in native}


def test_a_result_tells_what_was_analysed(wav):
    analyzer = get_processor("level")()
    (file(wav, start=0.1, duration=0.5) | analyzer).run()
    result = analyzer.results["level.max"]
    audio = result.audio_metadata
    assert (audio.uri, audio.start, audio.duration, audio.is_segment, audio.channels) == (wav, 0.1, 0.5, True, 2)
    with open(wav, "rb") as opened:
        assert audio.sha1 == hashlib.sha1(opened.read()).hexdigest()
    assert (result.id_metadata.proc_uuid, result.id_metadata.version) == (analyzer.uuid(), "2.0")
    assert (result.name, result.unit) == ("Level max", "dBFS")


def test_a_decoder_tells_of_its_media(wav):
    decoder = file(wav)
    assert (decoder.samplerate(), decoder.channels(), decoder.blocksize(), decoder.totalframes()) == (
        44_100,
        2,
        8192,
        SAMPLES,
    )
    assert decoder.mediainfo() == {
        "uri": wav,
        "duration": SAMPLES / 44_100,
        "start": 0.0,
        "is_segment": False,
        "samplerate": 44_100,
        "sha1": decoder.sha1,
    }
    assert (decoder.encoding(), decoder.resolution(), decoder.metadata()) == ("pcm_f32le", None, {})
    assert decoder.mime_type() == decoder.format()
    assert isinstance(decoder, Decoder)


def test_all_of_a_pipe_tell_the_media(wav, tmp_path):
    analyzer, encoder = get_processor("level")(), get_processor("wav_encoder")(str(tmp_path / "out.wav"))
    with pytest.raises(PipelineError, match="'level' has no media before its pipe runs"):
        analyzer.mediainfo()
    (file(wav, sha1="given") | analyzer | encoder).run(samplerate=8000)
    assert analyzer.results["level.max"].audio_metadata.sha1 == "given"
    assert analyzer.mediainfo() == encoder.mediainfo()
    assert (encoder.mediainfo()["sha1"], encoder.samplerate()) == ("given", 8000)


def test_a_decoder_is_read_block_by_block(wav):
    decoder = file(wav)
    decoder.setup(channels=1, samplerate=22_050, blocksize=4096)
    assert (decoder.samplerate(), decoder.channels(), decoder.blocksize()) == (22_050, 1, 4096)
    blocks, eod = [], False
    while not eod:
        frames, eod = decoder.process()
        blocks.append(frames)
    decoder.release()
    assert {len(block) for block in blocks[:-1]} == {4096}
    assert sum(map(len, blocks)) == pytest.approx(SAMPLES / 2, abs=1)
    assert blocks[1].shape == (4096, 1)


def test_names_that_timeside_1_had_twice():
    assert get_processor("aubio_decoder") is get_processor("file_decoder")
    assert get_processor("vorbis_aubio_encoder") is get_processor("vorbis_encoder")


def test_what_cannot_be_decoded_is_an_oserror(tmp_path):
    (tmp_path / "empty.wav").touch()
    for name in ("missing.wav", "empty.wav", "."):
        with pytest.raises(IOError, match=name):
            file(str(tmp_path / name))


def test_a_segment_outside_the_media_is_a_valueerror(wav):
    with pytest.raises(ValueError, match=r"segment start=0\.5 s"):
        file(wav, start=0.5, duration=5)


def test_unknown_ids_and_parameters():
    with pytest.raises(PIDError, match="'levl' is unknown; did you mean"):
        get_processor("levl")
    with pytest.raises(KeyError, match="form of input"):
        get_processor("mono")
    with pytest.raises(ParameterError, match="gain_db is unknown"):
        get_processor("fx_gain")(gain_db=1)
    with pytest.raises(ParameterError, match="multiple values"):
        get_processor("fx_gain")(2.0, gain=1)


def test_parameters_have_the_names_of_timeside_1(wav):
    analyzer = get_processor("spectrogram_analyzer")(input_blocksize=1024, input_stepsize=256)
    assert analyzer.get_parameters() == {"input_blocksize": 1024, "input_stepsize": 256, "fft_size": None}
    assert analyzer.get_parameters_default() == {"input_blocksize": 2048, "input_stepsize": None, "fft_size": None}
    assert analyzer.get_parameters_schema()["properties"]["input_blocksize"] == {"type": "integer", "default": 2048}
    (file(wav) | analyzer).run()
    result = analyzer.results["spectrogram_analyzer"]
    assert result.data.shape == ((SAMPLES - 1024 + 256) // 256 + 1, 513)
    assert result.data_object.frame_metadata.as_dict() == {"samplerate": 44_100, "blocksize": 1024, "stepsize": 256}
    assert result.data_object.y_value[result.data[20].argmax()] == pytest.approx(440, abs=22)
    assert result.time[1] == pytest.approx(256 / 44_100)


def test_a_transform_longer_than_its_frames_is_refused():
    with pytest.raises(ParameterError, match="fft_size=4096 must be input_blocksize=2048"):
        get_processor("spectrogram_analyzer")(fft_size=4096)


def test_native_parameters_are_taken_by_name():
    assert get_processor("onset_detection_function")(input_blocksize=512).native.hop_length == 256
    assert get_processor("mfcc")(n_mfcc=13).get_parameters() == {"n_mfcc": 13}
    assert get_processor("aubio_silence")(threshold=60).native.threshold_db == -60
    assert "n_mfcc" in get_processor("mfcc").get_parameters_schema()["properties"]


def test_sizes_in_seconds_follow_the_samplerate(wav):
    analyzer = get_processor("aubio_pitch")(blocksize_s=0.04, stepsize_s=0.01)
    (file(wav) | analyzer).run(samplerate=16_000)
    frames = analyzer.results["aubio_pitch.pitch"].data_object.frame_metadata
    assert frames.as_dict() == {"samplerate": 16_000, "blocksize": 1024, "stepsize": 160}


def test_defaults_make_the_same_processor():
    for cls in processors():
        if cls.type in ("analyzer", "grapher"):
            assert cls(**cls.get_parameters_default()) == cls(), cls.id()


def test_equal_processors_are_one(wav):
    one, two, other = get_processor("level")(), get_processor("level")(), get_processor("rms")()
    pipe = file(wav) | one | other | two
    assert repr(pipe) == "file_decoder | level | rms"
    pipe.run()
    assert two.results is one.results
    assert len(pipe.results) == 2


def test_the_same_analyzer_before_and_after_an_effect(wav):
    before, after = get_processor("level")(), get_processor("level")()
    (file(wav) | before | get_processor("fx_gain")(2) | after).run()
    gain = after.results["level.rms"].data - before.results["level.rms"].data
    assert gain == pytest.approx(20 * np.log10(2))


def test_pipes_are_joined_in_several_ways(wav):
    decoder, level, rms = file(wav), get_processor("level")(), get_processor("rms")()
    pipe = ProcessPipe(decoder, level)
    pipe |= [rms]
    pipe |= ProcessPipe(get_processor("mfcc")())
    assert repr(pipe) == "file_decoder | level | rms | mfcc"
    assert all(each.process_pipe is pipe for each in pipe.processors)


def test_what_cannot_be_joined_or_run(wav):
    with pytest.raises(TypeError, match="42 cannot be in a pipe"):
        file(wav) | 42
    with pytest.raises(ValueError, match="one decoder"):
        file(wav) | file(wav)
    with pytest.raises(PipelineError, match="begins with a decoder"):
        ProcessPipe(get_processor("level")()).run()
    with pytest.raises(PipelineError, match="is run by a pipe"):
        get_processor("level")().process(TONE, True)


def test_conversion_is_part_of_what_a_result_depends_on(wav):
    analyzer = get_processor("level")()
    pipe = file(wav) | analyzer
    pipe.run()
    plain = pipe.native_results[0].provenance.digest
    pipe.run(channels=1)
    (effect,) = pipe.native_results[0].provenance.effects
    assert (effect["id"], effect["channels"], effect["samplerate"]) == ("fx_convert", 1, None)
    assert pipe.native_results[0].provenance.digest != plain
    assert analyzer.results["level.max"].data == pytest.approx(20 * np.log10(0.375), abs=1e-3)


def test_a_stack_is_read_instead_of_the_media(wav):
    analyzer, decoder = get_processor("level")(), file(wav, stack=True)
    pipe = decoder | analyzer
    pipe.run()
    first = dict(analyzer.results)
    assert [(len(frames), eod) for frames, eod in pipe.frames_stack][-2:] == [(8192, False), (SAMPLES - 4 * 8192, True)]
    assert (decoder.stack, decoder.from_stack) == (False, True)
    os.unlink(wav)
    pipe.run()
    assert analyzer.results["level.rms"].data == first["level.rms"].data


@pytest.mark.parametrize("id", ["wav_encoder", "flac_encoder", "vorbis_encoder"])
def test_encoders_write_files(id, wav, tmp_path):
    cls = get_processor(id)
    output = str(tmp_path / f"out.{cls.file_extension()}")
    (file(wav) | cls(output)).run()
    assert soundfile.info(output).frames == SAMPLES
    assert cls.mime_type().startswith("audio/")
    with pytest.raises(IOError, match="overwrite=True replaces it"):
        cls(output)
    (file(wav) | cls(output, overwrite=True)).run()


def test_an_encoder_needs_a_place(tmp_path):
    with pytest.raises(IOError, match="is a folder"):
        get_processor("wav_encoder")(str(tmp_path))
    with pytest.raises(ParameterError, match="needs an output"):
        get_processor("wav_encoder")()


def test_an_encoder_embeds_metadata(wav, tmp_path):
    encoder = get_processor("flac_encoder")(str(tmp_path / "out.flac"))
    encoder.set_metadata({"title": "Tone"})
    (file(wav) | encoder).run()
    assert soundfile.SoundFile(tmp_path / "out.flac").title == "Tone"


def test_chunks_are_streamed_while_they_are_encoded(wav, tmp_path):
    output = str(tmp_path / "out.ogg")
    encoder = get_processor("vorbis_encoder")(output, streaming=True)
    stream = (file(wav) | get_processor("level")() | encoder).stream()
    assert inspect.isgenerator(stream)
    chunks = list(stream)
    assert len(chunks) > 1
    with open(output, "rb") as opened:
        assert opened.read() == b"".join(chunks)


def test_a_stream_has_one_encoder(wav):
    pipe = file(wav) | get_processor("vorbis_encoder")(streaming=True) | get_processor("mp3_encoder")(streaming=True)
    with pytest.raises(TypeError, match="has 2"):
        next(pipe.stream())


def test_graphers_draw_the_run(wav, tmp_path):
    grapher = get_processor("waveform_simple")(width=200, height=80, bg_color=(10, 20, 30))
    with pytest.raises(PipelineError, match="nothing to draw"):
        grapher.render()
    (file(wav) | grapher).run()
    image = grapher.render()
    assert image.size == (200, 80)
    assert image.convert("RGB").getpixel((0, 0)) == (10, 20, 30)
    grapher.render(output=str(tmp_path / "a.svg"))
    assert (tmp_path / "a.svg").read_text("utf-8").startswith("<svg")


def test_a_watermark_is_written_over_the_picture(wav, tmp_path):
    grapher = get_processor("waveform_simple")(width=200, height=80, axes=False)
    (file(wav) | grapher).run()
    plain = grapher.render().convert("RGB")
    grapher.watermark("timeside", color=(255, 0, 0), opacity=1.0)
    grapher.render(output=str(tmp_path / "marked.png"))
    assert grapher.render().convert("RGB").tobytes() != plain.tobytes()
    red, green, _ = np.asarray(grapher.render().convert("RGB"), dtype=int)[60:].reshape(-1, 3).T
    assert (red - green).max() > 100


def test_graphers_have_the_width_of_timeside_1():
    assert get_processor("waveform_simple").get_parameters_default()["width"] == 1024
    assert get_processor("spectrogram_log").get_parameters_default()["width"] == 4096


def test_a_color_scheme_that_is_not_there_is_told():
    with pytest.warns(RuntimeWarning, match="'iso' is drawn in the default colours"):
        get_processor("waveform_centroid")(color_scheme="iso")


def test_all_processors_are_listed(capsys):
    assert get_processor("level") in processors(IValueAnalyzer)
    assert get_processor("file_decoder") in processors(IDecoder)
    assert {get_processor("vorbis_encoder"), get_processor("mp3_encoder")} <= set(processors(IEncoder))
    assert get_processor("waveform_simple") in processors(IGrapher)
    assert get_processor("level") not in processors(IProcessor, recurse=False)
    list_processors()
    printed = capsys.readouterr().out
    assert printed.startswith("IProcessor\n==========\n")
    assert "* level 2.0: Peak and RMS level" in printed


def test_errors_are_those_of_the_library():
    for error in (PIDError, PipelineError):
        assert issubclass(error, TimesideError)


def test_importing_it_is_cheap():
    heavy = ["scipy", "PIL", "av", "h5py", "matplotlib", "librosa", "aubio", "soundfile", "zarr", "pyarrow", "yaml"]
    code = (
        "import sys, timeside.core, timeside.core.analyzer, timeside.core.grapher, timeside.core.encoder\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
