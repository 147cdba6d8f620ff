import numpy as np
import pandas as pd
import pytest
from analytic_emulator import AnalyticEmulator
from toy import toy_conditions, toy_schema

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.truth_sample import TruthSample
from data_prep.errors import BalrogError

NAMES = list(toy_schema().condition_names)


@pytest.fixture
def emulator():
    return AnalyticEmulator()


def written(place, rows=500, **changes):
    table = pd.DataFrame(toy_conditions(rows, 1), columns=NAMES).assign(**changes)
    table.to_parquet(place / "truth.parquet")
    return place / "truth.parquet", table


def test_brightest_first_without_what_maps_tell(tmp_path, emulator):
    path, table = written(tmp_path)
    sample = TruthSample.read(emulator, path)
    assert sample.names == ("true_mag_r", "true_mag_i", "true_mag_z")
    assert (np.diff(sample.values.astype("float64").mean(axis=1)) >= 0).all()
    expected = np.sort(table[list(sample.names)].to_numpy(), axis=0)
    np.testing.assert_array_equal(np.sort(sample.values, axis=0), expected)
    assert (len(sample), sample.unusable) == (500, 0)


def test_a_survey_property_without_a_map_comes_from_the_catalogue(tmp_path, emulator):
    del emulator.info["map_patterns"]["fwhm_z"]
    path, table = written(tmp_path)
    sample = TruthSample.read(emulator, path, CatalogColumns({"true_mag_r": ("true_mag_r",)}))
    assert sample.names[-1] == "fwhm_z"
    assert set(sample.values[:, -1]) == set(table["fwhm_z"].astype("float32"))


def test_a_subset_is_a_function_of_the_seed(tmp_path, emulator, monkeypatch):
    path, _ = written(tmp_path)
    first = TruthSample.read(emulator, path, rows=100, seed=3)
    monkeypatch.setattr("balrog_keras.truth_sample._BATCH_ROWS", 7)
    again, other = (TruthSample.read(emulator, path, rows=100, seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(first.values, again.values)
    assert len(other) == 100
    assert (first.values != other.values).any()


def test_unusable_rows_are_counted(tmp_path, emulator, caplog):
    magnitudes = np.linspace(18, 24, 500)
    magnitudes[:7], magnitudes[7:10] = np.nan, 99.0
    path, _ = written(tmp_path, true_mag_i=magnitudes)
    sample = TruthSample.read(emulator, path)
    assert (len(sample), sample.unusable) == (490, 10)
    assert "10 of 500 truth rows are left out: no usable true_mag_i (10)" in caplog.text


def test_nothing_usable_or_no_rows_wanted(tmp_path, emulator):
    path, _ = written(tmp_path, true_mag_i=99.0)
    with pytest.raises(BalrogError, match="found none in 500"):
        TruthSample.read(emulator, path)
    with pytest.raises(BalrogError, match="at least 1 row, found 0"):
        TruthSample.read(emulator, path, rows=0)
