import io

import numpy as np
import pytest

from timeside_core.errors import OutputExistsError
from timeside_encoder.sink import OutputFile, Sink


def test_chunks_and_rewrites_make_the_file_that_was_written():
    random = np.random.default_rng(440)
    sink, expected, file = Sink(rewritable=True), io.BytesIO(), io.BytesIO()
    for _ in range(300):
        data = random.bytes(int(random.integers(0, 40)))
        if random.random() < 0.3:
            offset = int(random.integers(0, expected.seek(0, io.SEEK_END) + 1))
            sink.seek(offset)
            expected.seek(offset)
        assert sink.write(data) == len(data)
        expected.write(data)
        assert sink.tell() == expected.tell()
        if random.random() < 0.2:
            file.write(sink.take())
        if random.random() < 0.3:
            assert sink.seek(0, io.SEEK_END) == expected.seek(0, io.SEEK_END)
    file.write(sink.take())
    for offset, data in sink.rewrites:
        file.seek(offset)
        file.write(data)

    assert file.getvalue() == expected.getvalue()


def test_a_file_appears_when_it_is_committed(tmp_path):
    output = OutputFile(tmp_path / "out", overwrite=False)
    output.write(b"header, body")
    assert not (tmp_path / "out").exists()

    output.commit([(0, b"HEADER")])
    output.discard()

    assert (tmp_path / "out").read_bytes() == b"HEADER, body"
    assert len(list(tmp_path.iterdir())) == 1


def test_of_two_writers_the_first_to_finish_wins(tmp_path):
    first, second = (OutputFile(tmp_path / "out", overwrite=False) for _ in range(2))
    first.write(b"first")
    second.write(b"second")
    second.commit([])

    with pytest.raises(OutputExistsError):
        first.commit([])
    first.discard()

    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"second"]
