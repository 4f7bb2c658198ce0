"""What cannot be decoded: a `MediaError` that names the file and the cause."""

import os
import struct

import numpy as np
import pytest
import soundfile
from tests.support.media import decode

from timeside_core.errors import LimitError, MediaError, NoAudioError
from timeside_decoder.file import FileDecoder
from timeside_decoder.media import describe


def refused(path, **parameters):
    """Message of the error that decoding raises."""
    with pytest.raises(MediaError) as error:
        decode(path, **parameters)
    assert str(path) in str(error.value)
    assert error.value.__cause__ is None
    return str(error.value)


def wav_header(path, offset, form, value):
    """Change a field of the `fmt ` or `data` chunk of a 44-byte header."""
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, value)
    path.write_bytes(content)
    return path


@pytest.fixture
def wav(tmp_path):
    """One second of mono, with a plain header of 44 bytes."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(8000, 0.5), 8000)
    return path


def test_a_missing_file(tmp_path):
    assert "No such file" in refused(tmp_path / "none.wav")


def test_a_folder(tmp_path):
    assert "is a folder" in refused(tmp_path)


def test_an_empty_file(tmp_path):
    (tmp_path / "a.wav").touch()
    assert "empty" in refused(tmp_path / "a.wav")


def test_a_device():
    assert "not a regular file" in refused("/dev/null")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    assert "not a regular file" in refused(tmp_path / "pipe.wav")


@pytest.mark.parametrize("name", ["", "a\0b.wav"])
def test_names_that_no_file_can_have(name):
    with pytest.raises(MediaError, match="is not the name of a file"):
        decode(name)


@pytest.mark.parametrize(
    "content",
    [
        b"Some words, which are not audio.\n" * 100,
        bytes(10_000),
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        np.random.default_rng(440).bytes(20_000),
        b"RIFF\x24\0\0\0WAVE",
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0",
        b"fLaC\0\0\0\x22" + bytes(10),
        b"OggS\0\2" + bytes(40),
        b"ID3\4\0\0\x7f\x7f\x7f\x7f",
    ],
    ids=["text", "zeros", "png", "noise", "riff", "wav", "flac", "ogg", "id3"],
)
@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a"])
def test_what_is_no_audio_whatever_its_name(tmp_path, content, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    refused(path)


def test_mpeg_4_without_its_index(changed):
    def cut(content):
        del content[len(content) // 2 :]

    assert "Invalid data" in refused(changed("aac.m4a", cut))


def test_a_film_without_sound(files):
    with pytest.raises(NoAudioError, match=r"silent\.mp4: holds no audio stream, only video"):
        decode(files / "silent.mp4")


def test_a_container_that_is_not_on_the_list(files):
    assert "its container is none of wav, w64" in refused(files / "film.flv")


@pytest.mark.parametrize(
    ("offset", "form", "value"), [(22, "<H", 65_535), (22, "<H", 0), (24, "<I", 2**31 - 1), (24, "<I", 0)]
)
def test_absurd_headers(wav, offset, form, value):
    assert len(refused(wav_header(wav, offset, form, value))) > len(str(wav)) + 10


def test_no_samples_are_no_blocks(tmp_path):
    for name in ("a.wav", "a.aiff"):
        soundfile.write(tmp_path / name, np.empty((0, 2)), 44_100)
        decoded = decode(tmp_path / name)
        assert decoded.samples.shape == (0, 2)
        assert decoded.media.samples == 0
        assert not decoded.warnings


def test_more_samples_than_allowed(files):
    for name in ("s16.wav", "aac.m4a"):
        with pytest.raises(LimitError, match="max_samples=66000"):
            FileDecoder(files / name, max_samples=66_000).open()


def test_more_samples_than_allowed_where_no_header_tells(files):
    with pytest.raises(LimitError, match=r"adts\.aac: decodes to more than max_samples=30000"):
        decode(files / "adts.aac", max_samples=30_000)


def test_a_segment_counts_from_the_beginning_against_the_limit(files):
    assert len(decode(files / "s16.wav", start=0.2, duration=0.2, max_samples=20_000).samples) == 8820
    with pytest.raises(LimitError):
        decode(files / "s16.wav", start=1.0, duration=0.2, max_samples=20_000)


@pytest.mark.parametrize("uri", ["http://127.0.0.1/a.wav", "https://x.test/a", "rtmp://x/a", "concat://a", "data://x"])
def test_other_schemes(uri):
    with pytest.raises(MediaError, match=r"addresses are not opened; only local files and file:// are"):
        decode(uri)


def test_file_uris(files, tmp_path):
    path = tmp_path / "a name#with %41.wav"
    path.write_bytes((files / "s16.wav").read_bytes())
    assert len(decode(path.as_uri()).samples) == 66_273
    assert describe(path.as_uri()).uri == path.as_uri()
    with pytest.raises(MediaError, match=r"host 'elsewhere'"):
        decode("file://elsewhere/a.wav")


def test_names_that_other_programs_would_take_for_something_else(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.m4a", "-", "pipe:0", "a%d.m4a", "file.raw"):
        (tmp_path / name).write_bytes((files / "aac.m4a").read_bytes())
        assert len(decode(name).samples) == 66_273
    (tmp_path / os.fsdecode(b"\xff\xfe.m4a")).write_bytes((files / "aac.m4a").read_bytes())
    assert len(decode(os.fsdecode(b"\xff\xfe.m4a")).samples) == 66_273
