import io

import mutagen.mp3
import numpy as np
import pytest
import soundfile

from timeside_encoder.id3 import id3
from timeside_encoder.mp3 import Mp3Encoder
from timeside_encoder.mpeg import Frames, _crc16


@pytest.mark.parametrize(
    ("samplerate", "channels", "parameters"),
    [(44_100, 2, {}), (48_000, 1, {"bitrate_kbps": 64}), (22_050, 2, {"quality": 5}), (8000, 1, {})],
)
def test_the_info_frame_makes_every_length_exact(samplerate, channels, parameters, tmp_path, tones, encode, by_av):
    for samples in range(5000, 6152, 96):
        audio = tones(samples, samplerate=samplerate, channels=channels)
        path = tmp_path / f"{samples}.mp3"
        encode(Mp3Encoder(path, **parameters), audio, samplerate=samplerate)

        assert len(by_av(path.read_bytes())) == samples
        assert len(soundfile.read(path)[0]) == samples


@pytest.mark.parametrize("parameters", [{"quality": 2}, {"quality": 0}, {"bitrate_kbps": 192}])
def test_others_read_the_info_frame(parameters, tmp_path, tones, encode):
    path = tmp_path / "out.mp3"
    encode(Mp3Encoder(path, **parameters), tones(300_000))

    info = mutagen.mp3.MP3(path).info
    assert not info.sketchy
    assert info.encoder_info.startswith("LAME 3.100")
    assert info.length == pytest.approx(300_000 / 44_100, abs=0.002)
    if "bitrate_kbps" in parameters:
        assert (info.bitrate_mode, info.bitrate) == (mutagen.mp3.BitrateMode.CBR, 192_000)
    else:
        assert info.bitrate_mode == mutagen.mp3.BitrateMode.VBR
        assert info.encoder_settings == f"-V {parameters['quality']}"


def test_seeking_lands_where_the_table_says(tmp_path, tones, encode):
    audio = tones(400_000)
    audio[:200_000] = 0  # a variable bitrate: half of the time in far less than half of the bytes
    path = tmp_path / "out.mp3"
    encode(Mp3Encoder(path), audio)

    with soundfile.SoundFile(path) as file:
        file.seek(300_000)
        late = file.read(20_000, dtype="float32")
    assert np.corrcoef(late[2304:, 0], audio[302_304:320_000, 0])[0, 1] > 0.99

    data = path.read_bytes()
    table = data[data.index(b"Xing") + 16 :][:100]
    assert list(table) == sorted(table)
    assert table[50] < 64


def test_the_checksum_is_lame_s(tones):
    written = io.BytesIO()
    soundfile.write(written, tones(10_000), 44_100, format="MP3")
    data = written.getvalue()
    frame = data[data.index(b"\xff\xfb") :]  # LAME's own Info frame, through libsndfile

    assert _crc16(frame[:190]) == frame[190:192]


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 417, 418, 100_000])
def test_frames_are_counted_however_they_are_cut(cut, tones, encode):
    data = b"".join(chunk for chunk in encode(Mp3Encoder(bitrate_kbps=128), tones(40_000)) if chunk)
    stream = data[data.index(b"\xff\xfb") :]

    frames = Frames()
    for start in range(0, len(stream), cut):
        frames.add(stream[start : start + cut])

    assert frames.size == len(stream)
    assert frames.count == -(-(40_000 + 1105) // 1152)


def test_tags_are_id3v2_4(tmp_path, tones, encode):
    path = tmp_path / "out.mp3"
    encode(Mp3Encoder(path, metadata={"title": "ü" * 200, "comment": "c", "mood": "calm", "composer": "X"}), tones(100))

    tags = mutagen.mp3.MP3(path).tags
    assert tags.version == (2, 4, 0)
    assert tags["TIT2"].text == ["ü" * 200]
    assert tags["TCOM"].text == ["X"]
    assert tags.getall("COMM")[0].text == ["c"]
    assert tags["TXXX:mood"].text == ["calm"]


def test_room_in_a_tag_is_padding():
    with_room, without = id3({"title": "T"}, padding=300), id3({"title": "T"})

    assert len(with_room) == len(without) + 300
    assert with_room[10:].startswith(without[10:])
    tags = mutagen.id3.ID3(io.BytesIO(with_room))
    assert tags["TIT2"].text == ["T"]
    assert tags._padding == 300
