"""The contract suite catches what it is there to catch."""

import numpy as np
import pytest
from pydantic import PositiveInt

from timeside_core import Analyzer, Events, Framewise, Mono, Value
from timeside_core.testing import contract_for

CUTS = "test_result_does_not_depend_on_cuts"


class PerBlock(Analyzer, id="test_per_block", version="1"):
    """Mean over blocks of block means."""

    input: Mono = Mono()
    """Mono."""
    output = Value()

    def start(self, stream):
        self.means = [0.0]

    def process(self, samples):
        self.means.append(float(np.abs(samples[: len(samples) // 2]).mean()))

    def finish(self):
        return np.mean(self.means)


class DividesByZero(Analyzer, id="test_divides", version="1"):
    """Signal over its own peak."""

    input: Mono = Mono()
    """Mono."""
    output = Framewise()

    def process(self, samples):
        with np.errstate(all="ignore"):
            return samples / np.abs(samples).max()


class Late(Analyzer, id="test_late", version="1"):
    """Events after the end."""

    input: Mono = Mono()
    """Mono."""
    output = Events()

    def process(self, samples):
        return self.times[-1:] + 1


class Undocumented(Analyzer, id="test_undocumented", version="1"):
    """Has a parameter that nobody explains."""

    count: PositiveInt = 1


class Leaves(Analyzer, id="test_leaves", version="1"):
    """Keeps state on what it was started from."""

    input: Mono = Mono()
    """Mono."""
    output = Value()

    def working_copy(self, stream):
        self.__dict__["_engine_stream"] = stream
        return self


@pytest.mark.parametrize(
    ("analyzer", "test", "arguments"),
    [
        (PerBlock, CUTS, ()),
        (DividesByZero, "test_is_finite", (8000, 1)),
        (Late, "test_times_lie_in_the_signal_and_in_order", ()),
        (Undocumented, "test_is_documented_and_versioned", ()),
        (Leaves, "test_leaves_nothing_behind", ()),
    ],
)
def test_a_wrong_analyzer_is_caught(analyzer, test, arguments):
    with pytest.raises(AssertionError):
        getattr(contract_for(analyzer)(), test)(*arguments)
