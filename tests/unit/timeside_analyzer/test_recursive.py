"""The block form of a recursive filter equals the filter, however the signal is cut."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from timeside_analyzer.recursive import ROW, BlockFilter


@pytest.mark.parametrize(
    "sections", [butter(2, 0.001, "high", output="sos"), butter(5, [0.01, 0.3], "band", output="sos")]
)
@pytest.mark.parametrize("samples", [1, ROW, 20_001])
def test_equals_the_filter_sample_by_sample(sections, samples):
    rng = np.random.default_rng(440)
    audio = rng.standard_normal((3, samples)).astype(np.float32)
    pieces = np.split(audio, np.sort(rng.integers(0, samples, 30)), axis=1)
    filter = BlockFilter(sections, channels=3)
    found = np.concatenate([*map(filter.process, pieces), filter.finish()], axis=1)
    assert found.shape == audio.shape
    assert np.allclose(found, sosfilt(sections, audio.astype(float)), atol=5e-5)


def test_holds_back_less_than_a_row():
    filter = BlockFilter(butter(1, 0.5, output="sos"), channels=1)
    assert filter.process(np.zeros((1, 3 * ROW - 1), np.float32)).shape == (1, 2 * ROW)
    assert filter.finish().shape == (1, ROW - 1)
