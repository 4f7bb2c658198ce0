import numpy as np
import pytest
import soundfile

from timeside_encoder.vorbis import VorbisEncoder, with_serial


def test_pages_get_another_serial_number_and_stay_valid(tmp_path, tones, by_av):
    path = tmp_path / "out.ogg"
    audio = tones(50_000)
    soundfile.write(path, audio, 44_100)
    original = path.read_bytes()

    changed = with_serial(original, 0x01020304)

    assert changed[14:18] == b"\4\3\2\1"
    np.testing.assert_array_equal(by_av(changed), by_av(original))
    drawn = int.from_bytes(original[14:18], "little")
    assert with_serial(changed, drawn) == original  # checksums are libogg's


def test_two_files_have_one_serial_number(tones, encode):
    for samples in (10, 50_000):
        data = b"".join(chunk for chunk in encode(VorbisEncoder(), tones(samples)) if chunk)
        assert data.count(b"OggS") == data.count(b"OggS\0") > 2
        assert data[14:18] == bytes(4)


@pytest.mark.parametrize("samplerate", [192_001, 250_000, 768_000])
def test_beyond_192_khz_it_is_resampled(samplerate, tones, encode, by_soundfile):
    audio = tones(samplerate // 2, samplerate=samplerate, channels=1)

    data = b"".join(chunk for chunk in encode(VorbisEncoder(), audio, samplerate=samplerate) if chunk)

    assert len(by_soundfile(data)) == pytest.approx(96_000, abs=1)
