"""What holds for every encoder. Intentionally not checked: how good a lossy codec sounds."""

import resource
import subprocess
from fractions import Fraction

import av
import mutagen
import numpy as np
import pytest

from timeside_core import get_processor
from timeside_core.errors import EncodingError, OutputExistsError, ParameterError
from timeside_core.key import digest
from timeside_decoder.array import ArrayDecoder
from timeside_encoder.wav import WavEncoder

SAMPLERATES = {
    "wav_encoder": 44_100,
    "flac_encoder": 44_100,
    "vorbis_encoder": 44_100,
    "mp3_encoder": 44_100,
    "opus_encoder": 48_000,
    "aac_encoder": 44_100,
    "webm_encoder": 48_000,
}
LOSSLESS = ("wav_encoder", "flac_encoder")
FFMPEG_9 = av.library_versions["libavformat"] >= (63,)
"""The first that trims the end of AAC."""
ALL = pytest.mark.parametrize("id", SAMPLERATES)
TAGS = {
    "title": "Chant du départ ♪",
    "artist": "Anonymous",
    "album": "Field recordings, vol. 2",
    "date": "1951-07-14",
    "genre": "Traditional",
    "comment": "recorded in the open",
    "track": "3/12",
    "copyright": "public domain",
}


@pytest.fixture
def path(id, tmp_path):
    return tmp_path / f"out.{get_processor(id).extension}"


def alike(found, expected, *, skip=0):
    """Correlation of the first channels, the first `skip` samples aside."""
    samples = min(len(found), len(expected))
    return float(np.corrcoef(found[skip:samples, 0], expected[skip:samples, 0])[0, 1])


@ALL
@pytest.mark.parametrize("samples", [9_217, 44_101, 70_000])
def test_a_file_decodes_to_the_signal(id, samples, path, tones, encode, by_av, by_ffmpeg):
    samplerate = SAMPLERATES[id]
    audio = tones(samples, samplerate=samplerate)

    assert not any(encode(get_processor(id)(path), audio, samplerate=samplerate))

    for decoded, trims_aac in ((by_av(path.read_bytes()), FFMPEG_9), (by_ffmpeg(path), False)):
        if id == "aac_encoder" and not trims_aac:
            assert samples <= len(decoded) < samples + 1024
        else:
            assert decoded.shape == audio.shape
        assert alike(decoded, audio, skip=1024) > 0.99
    with av.open(str(path)) as container:
        assert container.streams.audio[0].rate == samplerate
        declared = container.duration / 1e6
    assert declared == pytest.approx(samples / samplerate, abs=0.03)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("id", ["wav_encoder", "flac_encoder", "vorbis_encoder", "mp3_encoder", "opus_encoder"])
@pytest.mark.parametrize("samples", [1, 47, 576, 1_105, 4_096, 44_101])
def test_soundfile_reads_as_many_samples_as_went_in(id, samples, path, tones, encode, by_soundfile):
    audio = tones(samples)[:, :1]

    encode(get_processor(id)(path), audio, samplerate=SAMPLERATES[id])

    assert by_soundfile(path.read_bytes()).shape == audio.shape


@pytest.mark.parametrize("samples", [1, 1000, 44_101])
def test_aac_declares_the_exact_length(samples, tmp_path, tones, encode):
    path = tmp_path / "out.m4a"

    encode(get_processor("aac_encoder")(path), tones(samples))

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base == Fraction(samples, 44_100)


@ALL
def test_chunks_play_from_a_pipe(id, tones, encode, by_ffmpeg):
    samplerate = SAMPLERATES[id]
    audio = tones(100_003, samplerate=samplerate)

    chunks = encode(get_processor(id)(), audio, samplerate=samplerate)

    assert any(chunks[:2])
    decoded = by_ffmpeg(b"".join(chunk for chunk in chunks if chunk))
    late = {"mp3_encoder": 1105, "aac_encoder": len(decoded) - 100_352}.get(id, 0)
    assert late in (0, 1024, 1105)
    if id not in ("mp3_encoder", "aac_encoder"):
        assert len(decoded) == len(audio)
    assert alike(decoded[late:], audio, skip=1024) > 0.99


@ALL
def test_a_file_and_chunks_at_once(id, path, tones, encode, by_av, by_ffmpeg):
    samplerate = SAMPLERATES[id]
    audio = tones(100_003, samplerate=samplerate)

    chunks = encode(get_processor(id)(path, streaming=True), audio, samplerate=samplerate)

    streamed = by_ffmpeg(b"".join(chunk for chunk in chunks if chunk))
    assert len(audio) <= len(streamed) < len(audio) + 3 * 1152
    decoded = by_av(path.read_bytes())
    assert len(decoded) == len(audio) + (349 if id == "aac_encoder" else 0)
    assert alike(decoded, audio, skip=1024) > 0.99


@ALL
def test_bytes_depend_on_neither_the_cuts_nor_the_day(id, tmp_path, tones, encode):
    kind = get_processor(id)
    audio = tones(80_001, samplerate=32_000)
    chunks, files = set(), set()
    for index, cuts in enumerate(([], [1, 2, 4097, 40_000], range(997, 80_001, 997))):
        chunks.add(b"".join(chunk for chunk in encode(kind(), audio, samplerate=32_000, cuts=cuts) if chunk))
        path = tmp_path / str(index)
        encode(kind(path), audio, samplerate=32_000, cuts=cuts)
        files.add(path.read_bytes())

    assert len(chunks) == len(files) == 1


@ALL
def test_tags_are_written(id, path, tones, encode):
    encode(get_processor(id)(path, metadata=TAGS), tones(5000), samplerate=SAMPLERATES[id])

    with av.open(str(path)) as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    found = {name.lower(): text for name, text in found.items()}
    assert {name: found.get(name) for name in TAGS} == TAGS


@pytest.mark.parametrize("id", ["flac_encoder", "vorbis_encoder", "mp3_encoder", "opus_encoder", "aac_encoder"])
def test_other_readers_find_the_tags(id, path, tones, encode):
    encode(get_processor(id)(path, metadata=TAGS), tones(5000), samplerate=SAMPLERATES[id])

    found = mutagen.File(path, easy=True)
    for name in ("title", "artist", "album", "date", "genre", "copyright"):
        assert found[name] == [TAGS[name]]
    track = found["tracknumber"] if "tracknumber" in found else found["track"]
    assert track == [TAGS["track"]]


@pytest.mark.parametrize("id", ["flac_encoder", "mp3_encoder", "opus_encoder", "webm_encoder"])
def test_any_tag_is_kept_where_the_format_can(id, path, tones, encode):
    encode(get_processor(id)(path, metadata={"Collector": "A. N. Other"}), tones(5000), samplerate=SAMPLERATES[id])

    with av.open(str(path)) as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    assert "A. N. Other" in [text for name, text in found.items() if name.lower() == "collector"]


@ALL
def test_an_empty_signal_is_an_empty_file_or_an_error(id, path, encode, by_av):
    nothing = np.empty((0, 2), np.float32)
    if id in LOSSLESS:
        encode(get_processor(id)(path), nothing)
        assert by_av(path.read_bytes()).shape == (0, 2)
        return
    with pytest.raises(EncodingError, match="at least one sample"):
        encode(get_processor(id)(path), nothing)
    assert not list(path.parent.iterdir())


@ALL
def test_existing_output_is_kept_unless_overwriting(id, path, tones, encode):
    audio = tones(5000)
    path.write_bytes(b"precious")

    with pytest.raises(OutputExistsError, match="overwrite"):
        encode(get_processor(id)(path), audio)
    assert path.read_bytes() == b"precious"

    encode(get_processor(id)(path, overwrite=True), audio)
    assert path.read_bytes() != b"precious"
    assert len(list(path.parent.iterdir())) == 1


@ALL
def test_a_cancel_leaves_nothing(id, path, tones):
    encoder = get_processor(id)(path, overwrite=True)
    path.write_bytes(b"precious")
    stream = ArrayDecoder(tones(1)).open().stream
    run = encoder.working_copy(stream)
    run.start(stream)
    run.process(tones(100_000))
    run.close()

    assert path.read_bytes() == b"precious"
    assert len(list(path.parent.iterdir())) == 1


@ALL
def test_what_is_not_a_number_is_refused(id, path, tones, encode):
    audio = tones(5000)
    audio[1234, 1] = np.nan

    with pytest.raises(EncodingError, match="NaN"):
        encode(get_processor(id)(path), audio)
    assert not list(path.parent.iterdir())


@ALL
@pytest.mark.parametrize(
    ("samplerate", "channels"), [(8000, 1), (11_025, 2), (12_345, 1), (96_000, 2), (192_000, 1), (1000, 1)]
)
def test_any_samplerate_is_encoded(id, samplerate, channels, tones, encode, by_av):
    audio = tones(samplerate // 2 + 4001, samplerate=samplerate, channels=channels)
    encoder = get_processor(id)()

    data = b"".join(chunk for chunk in encode(encoder, audio, samplerate=samplerate) if chunk)

    decoded = by_av(data)
    made = 48_000 if id in ("opus_encoder", "webm_encoder") else encoder.samplerate(samplerate)
    assert len(decoded) == pytest.approx(len(audio) * made / samplerate, abs=3 * 1152)
    assert decoded.shape[1] == channels


@ALL
def test_channels_keep_their_places(id, tones, encode, by_av):
    channels = 2 if id == "mp3_encoder" else 6
    frequencies = 40 + 12 * np.arange(channels)  # low enough for the effects channel
    audio = (0.3 * np.sin(2 * np.pi * frequencies * np.arange(48_000)[:, np.newaxis] / 48_000)).astype(np.float32)

    decoded = by_av(b"".join(chunk for chunk in encode(get_processor(id)(), audio, samplerate=48_000) if chunk))

    found = np.abs(np.fft.rfft(decoded[:48_000], axis=0)).argmax(axis=0)
    np.testing.assert_array_equal(found, frequencies)


@ALL
def test_more_channels_than_a_format_has_are_refused(id, path, encode):
    kind = get_processor(id)
    audio = np.zeros((10, kind.max_channels + 1), np.float32)

    with pytest.raises(EncodingError, match=f"up to {kind.max_channels} channels, not {kind.max_channels + 1}"):
        encode(kind(path), audio)


@pytest.mark.parametrize("id", ["flac_encoder", "vorbis_encoder", "opus_encoder", "aac_encoder", "webm_encoder"])
@pytest.mark.parametrize("channels", [3, 4, 5, 7, 8])
def test_up_to_eight_channels(id, channels, tones, encode, by_av):
    audio = tones(20_000, samplerate=48_000, channels=channels)

    data = b"".join(chunk for chunk in encode(get_processor(id)(), audio, samplerate=48_000) if chunk)

    assert by_av(data).shape[1] == channels


@ALL
def test_integers_clip_beyond_full_scale(id, tones, encode, by_av):
    audio = 3 * tones(48_000, samplerate=48_000)

    decoded = by_av(b"".join(chunk for chunk in encode(get_processor(id)(), audio, samplerate=48_000) if chunk))

    assert np.isfinite(decoded).all()
    if id == "flac_encoder":
        assert np.abs(decoded).max() == 1
    if id == "wav_encoder":
        np.testing.assert_array_equal(decoded, audio)


@ALL
def test_a_full_disk_is_one_clear_error(id, path, tones, encode):
    audio = np.tile(tones(80_000), (4, 1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(EncodingError, match="cannot be written: File too large"):
            encode(get_processor(id)(path), audio, samplerate=SAMPLERATES[id])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert not list(path.parent.iterdir())


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("missing/out.wav", "No such file"),
        ("", "is a folder"),
        ("file.txt/out.wav", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("nul\0.wav", "null"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(place, reason, tmp_path, tones, encode):
    (tmp_path / "file.txt").touch()

    with pytest.raises(EncodingError, match=reason):
        encode(WavEncoder(f"{tmp_path}/{place}"), tones(10))

    assert len(list(tmp_path.iterdir())) == 1


def test_a_device_is_not_replaced(tones, encode):
    with pytest.raises(EncodingError, match="device"):
        encode(WavEncoder("/dev/null", overwrite=True), tones(10))


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path, tones):
    path = tmp_path / "out.wav"
    stream = ArrayDecoder(tones(1)).open().stream
    run = WavEncoder(path).working_copy(stream)
    run.start(stream)
    path.write_bytes(b"precious")

    with pytest.raises(OutputExistsError):
        run.finish()
    run.close()

    assert path.read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_pipeline_writes_files_and_yields_chunks(tmp_path, tones):
    audio = tones(70_001)
    pipeline = ArrayDecoder(audio) | get_processor("fx_gain")(0.5) | WavEncoder(tmp_path / "out.wav")
    pipeline |= get_processor("mp3_encoder")()

    chunks = [(step.id, emission.payload) for step, emission in pipeline.stream()]

    assert {id for id, _ in chunks} == {"mp3_encoder"}
    assert all(isinstance(payload, bytes) and payload for _, payload in chunks)
    assert subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "out.wav", "-f", "null", "-"]).returncode == 0


def test_one_refusal_leaves_nothing_of_the_others(tmp_path, tones):
    (tmp_path / "taken.flac").touch()
    pipeline = ArrayDecoder(tones(10)) | WavEncoder(tmp_path / "out.wav")
    pipeline |= get_processor("flac_encoder")(tmp_path / "taken.flac")

    with pytest.raises(OutputExistsError):
        pipeline.run()

    assert [each.name for each in tmp_path.iterdir()] == ["taken.flac"]


def test_an_abandoned_run_leaves_nothing(tmp_path, tones):
    steps = (ArrayDecoder(tones(200_000)) | WavEncoder(tmp_path / "out.wav", streaming=True)).stream()
    next(steps)
    steps.close()

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["wav", "flac", "vorbis"])
def test_names_of_the_first_version_are_aliases(name):
    assert get_processor(f"{name}_aubio_encoder") is get_processor(f"{name}_encoder")


@ALL
def test_where_it_is_written_is_no_parameter_but_tags_are(id, tmp_path):
    kind = get_processor(id)
    here, there = kind(tmp_path / "here"), kind(tmp_path / "there", overwrite=True, streaming=True)
    tagged = kind(metadata={"title": "T"})

    assert digest(here) == digest(there) != digest(tagged)
    assert here != there
    assert kind.from_parameters(tagged.parameters()) == tagged
    assert tagged.parameters()["metadata"] == {"title": "T"}


@pytest.mark.parametrize(
    ("id", "parameters"),
    [
        ("wav_encoder", {"sample_format": "s32"}),
        ("flac_encoder", {"bit_depth": 32}),
        ("flac_encoder", {"compression_level": 13}),
        ("vorbis_encoder", {"quality": 1.1}),
        ("mp3_encoder", {"bitrate_kbps": 321}),
        ("mp3_encoder", {"quality": 10}),
        ("opus_encoder", {"bitrate_kbps": 5}),
        ("webm_encoder", {"complexity": 11}),
        ("aac_encoder", {"bitrate_kbps": 0}),
        ("aac_encoder", {"metadata": {"title": 1}}),
        ("aac_encoder", {"metadata": "title"}),
    ],
)
def test_parameters_outside_their_rule_are_refused(id, parameters):
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        get_processor(id).from_parameters(parameters)


@pytest.mark.parametrize("id", ["opus_encoder", "webm_encoder"])
def test_a_bitrate_that_one_channel_cannot_use_is_refused(id, tones, encode):
    with pytest.raises(EncodingError, match="256"):
        encode(get_processor(id)(bitrate_kbps=300), tones(1000, channels=1))


@pytest.mark.parametrize(
    ("id", "small", "large"),
    [
        ("vorbis_encoder", {"quality": 0.1}, {"quality": 0.9}),
        ("mp3_encoder", {"quality": 9}, {"quality": 0}),
        ("mp3_encoder", {"bitrate_kbps": 64}, {"bitrate_kbps": 320}),
        ("opus_encoder", {"bitrate_kbps": 32}, {"bitrate_kbps": 256}),
        ("webm_encoder", {"bitrate_kbps": 32}, {"bitrate_kbps": 256}),
        ("aac_encoder", {"bitrate_kbps": 48}, {"bitrate_kbps": 256}),
        ("flac_encoder", {"bit_depth": 16}, {"bit_depth": 24}),
        ("flac_encoder", {"compression_level": 8}, {"compression_level": 0}),
        ("wav_encoder", {"sample_format": "s16"}, {"sample_format": "s24"}),
        ("wav_encoder", {"sample_format": "s24"}, {"sample_format": "f32"}),
    ],
)
def test_quality_takes_room(id, small, large, tones, encode):
    audio = tones(96_000)

    def size(parameters):
        return sum(len(chunk) for chunk in encode(get_processor(id)(**parameters), audio) if chunk)

    assert size(small) < size(large)
