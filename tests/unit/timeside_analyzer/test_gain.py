import numpy as np
import pytest

from timeside_analyzer.dc import MeanDCShift
from timeside_analyzer.gain import FxGain
from timeside_core.errors import ParameterError
from timeside_decoder.array import ArrayDecoder

NOISE = np.random.default_rng(440).uniform(-1, 1, (70_001, 2)).astype(np.float32)


@pytest.mark.parametrize("gain", [1.0, 0.0, 0.25, 2.0, -1.0])
def test_each_sample_is_multiplied_and_the_input_left_alone(gain):
    block = NOISE.copy()
    block.flags.writeable = False

    louder = FxGain(gain).process(block)

    assert louder.dtype == np.float32
    np.testing.assert_array_equal(louder, NOISE * np.float32(gain))
    np.testing.assert_array_equal(block, NOISE)


def test_gain_acts_on_what_follows_it_only():
    before, after = (ArrayDecoder(NOISE + 0.1) | MeanDCShift() | FxGain(gain=-2) | MeanDCShift()).run()

    assert after.values == pytest.approx(-2 * before.values)


def test_gains_add_up():
    (once,) = (ArrayDecoder(NOISE) | FxGain(0.125) | MeanDCShift()).run()
    (twice,) = (ArrayDecoder(NOISE) | FxGain(0.5) | FxGain(0.25) | MeanDCShift()).run()

    assert twice.values == once.values


@pytest.mark.parametrize("gain", [np.inf, np.nan, 1001, "loud"])
def test_a_gain_outside_its_rule_is_refused(gain):
    with pytest.raises(ParameterError, match="gain"):
        FxGain.from_parameters({"gain": gain})
