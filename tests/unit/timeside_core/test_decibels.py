"""Levels and codes have known answers and a floor."""

import numpy as np
import pytest

from timeside_core.decibels import RANGE_DB, code_from_power, db_from_code, dbfs, dbfs_of_power


@pytest.mark.parametrize(("amplitude", "level_db"), [(1, 0), (-0.5, -6.0206), (0.1, -20), (0, -138.474)])
def test_level_of_an_amplitude(amplitude, level_db):
    assert dbfs(amplitude) == pytest.approx(level_db, abs=1e-3)
    assert dbfs_of_power(amplitude**2) == pytest.approx(level_db, abs=1e-3)


def test_codes_are_even_steps_below_full_scale():
    levels_db = np.linspace(-RANGE_DB, 0, 1000, dtype=np.float32)
    codes = code_from_power(10 ** (levels_db / 10))
    assert codes.dtype == np.uint8
    assert np.allclose(db_from_code(codes), levels_db, atol=RANGE_DB / 254 / 2 + 1e-3)


def test_code_0_is_nothing_and_255_is_full_scale_or_more():
    assert code_from_power(np.array([0, 1e-12, 10**-11.1])).tolist() == [0, 0, 0]
    assert code_from_power(np.array([1e-11, 1, 4, 1e30])).tolist() == [1, 255, 255, 255]
    assert db_from_code(np.array([0, 1, 255], np.uint8)).tolist() == [-np.inf, -RANGE_DB, 0]


def test_codes_survive_decibels():
    codes = np.arange(1, 256, dtype=np.uint8)
    assert np.array_equal(code_from_power(10 ** (db_from_code(codes) / 10)), codes)
