"""What is sent while a file is encoded, and the file: the same bytes, but for lengths that only the end tells."""

from pathlib import Path

import numpy as np
import pytest

from timeside_core import get_processor
from timeside_decoder.array import ArrayDecoder

HEADER_BYTES = 512
WITHOUT_LENGTHS = {"vorbis_encoder", "opus_encoder", "aac_encoder"}
"""Their streams are their files."""


@pytest.mark.parametrize(
    "id",
    ["wav_encoder", "flac_encoder", "vorbis_encoder", "opus_encoder", "mp3_encoder", "aac_encoder", "webm_encoder"],
)
def test_a_client_can_go_on_with_the_file_after_any_byte_of_the_stream(tmp_path: Path, id: str):
    audio = np.random.default_rng(440).uniform(-0.5, 0.5, (88_200, 2)).astype(np.float32)
    encoder = get_processor(id).from_parameters({"output": str(tmp_path / "file"), "streaming": True})
    emissions = (ArrayDecoder(audio, samplerate=44_100) | encoder).stream()
    streamed = b"".join(emission.payload for _, emission in emissions if emission.payload)
    kept = (tmp_path / "file").read_bytes()
    assert len(streamed) == len(kept) > 2 * HEADER_BYTES
    assert streamed[HEADER_BYTES:] == kept[HEADER_BYTES:]
    assert (streamed == kept) is (id in WITHOUT_LENGTHS)
