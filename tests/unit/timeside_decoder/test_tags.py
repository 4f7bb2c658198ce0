"""Embedded tags under common names."""

import mutagen.id3
import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC
from tests.support.media import TAGS, ffmpeg

from timeside_decoder.media import describe
from timeside_decoder.tags import NAMES, common


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("s16.wav", TAGS.keys()),
        ("flac.flac", TAGS.keys()),
        ("lame.mp3", TAGS.keys()),
        ("vorbis.ogg", TAGS.keys()),
        ("opus.opus", TAGS.keys()),
        ("aac.m4a", TAGS.keys()),
        ("alac.m4a", TAGS.keys()),
        ("flac.mka", TAGS.keys()),
        ("opus.webm", TAGS.keys()),
        ("wavpack.wv", TAGS.keys()),
        ("wma.wma", TAGS.keys()),
        ("pcm.avi", TAGS.keys() - {"album"}),
        ("pcm.caf", TAGS.keys()),
        ("be.aiff", {"title", "comment"}),
    ],
)
def test_tags_have_the_same_names_in_all_containers(files, name, known):
    tags = describe(files / name).tags
    assert {key: value for key, value in tags.items() if key != "encoder"} == {key: TAGS[key] for key in known}
    assert tags.keys() <= NAMES


def test_broadcast_wave(tmp_path):
    soundfile.write(tmp_path / "plain.wav", np.zeros(100), 48_000)
    fields = {
        "description": "Field recording",
        "originator": "Recorder",
        "originator_reference": "USID0001",
        "origination_date": "2026-11-24",
        "origination_time": "10:20:30",
        "time_reference": "172800000",
        "coding_history": "A=PCM,F=48000,W=16,M=mono",
    }
    words = [word for name, value in fields.items() for word in ("-metadata", f"{name}={value}")]
    ffmpeg(tmp_path, ["-i", "plain.wav"], {"bwf.wav": "-write_bext 1 -fflags +bitexact"}, words)
    assert describe(tmp_path / "bwf.wav").tags == fields


@pytest.mark.parametrize("name", ["s16.wav", "be.aiff"])
def test_id3_in_a_chunk(files, tmp_path, name):
    import mutagen

    path = tmp_path / name
    path.write_bytes((files / name).read_bytes())
    audio = mutagen.File(path)
    audio.add_tags()
    audio.tags.add(mutagen.id3.TCOM(text=["Hildegard", "Guido"]))
    audio.save()
    assert describe(path).tags["composer"] == "Hildegard; Guido"
    assert describe(path).tags["title"] == TAGS["title"]


def test_id3_of_mpeg_audio(files, tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes((files / "bare.mp3").read_bytes())
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(text="Naïve"))
    tags.add(mutagen.id3.TRCK(text="3/12"))
    tags.add(mutagen.id3.COMM(lang="eng", text="a remark"))
    tags.add(mutagen.id3.APIC(data=bytes(100_000)))
    tags.save(path)
    assert describe(path).tags == {"title": "Naïve", "track": "3/12", "comment": "a remark"}


def test_several_values_and_long_ones(files, tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes((files / "flac.flac").read_bytes())
    audio = FLAC(path)
    audio.delete()
    audio["ALBUMARTIST"] = ["One", "Two"]
    audio["comment"] = "x" * 10_000
    audio["replaygain_track_gain"] = "-3 dB"
    audio.save()
    tags = describe(path).tags
    assert tags["album_artist"] == "One; Two"
    assert tags["comment"] == "x" * 4096
    assert "replaygain_track_gain" not in tags


def test_latin_1_is_read_where_it_is_not_utf_8(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(10), 8000)
    path.write_bytes(path.read_bytes() + b"LIST\x10\0\0\0INFOIART\x04\0\0\0Zo\xeb\0")
    assert describe(path).tags == {"artist": "Zoë"}


@pytest.mark.parametrize("name", ["aac.m4a", "wavpack.wv"])
def test_latin_1_is_read_through_ffmpeg_too(changed, name):
    def rename(content):
        start = content.index("Chaînes".encode())
        content[start : start + 8] = "Chaînés!".encode("latin-1")

    assert describe(changed(name, rename)).tags["title"] == "Chaînés!"


def test_no_surrogates_come_through():
    assert common({"title": "a\ud800b"}) == {"title": "a?b"}


@pytest.mark.parametrize("content", [b"LIST\xff\xff\xff\x7fINFO", b"bext\x05\0\0\0abcde\0", b"id3 \x04\0\0\0ID3\4"])
def test_broken_tags_stop_nothing(tmp_path, content):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(10), 8000)
    path.write_bytes(path.read_bytes() + content)
    assert describe(path).tags == {}


def test_unknown_and_empty_tags_are_left_out():
    assert common({"TITLE": " A ", "year": "1999", "major_brand": "isom", "artist": "\0"}) == {
        "title": "A",
        "date": "1999",
    }
