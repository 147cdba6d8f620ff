import numpy as np
import pandas as pd
import pytest
from toy import toy_conditions, toy_schema

from balrog_keras import emulator as emulator_module
from balrog_keras.emulator import Emulator
from data_prep.errors import BalrogError
from data_prep.survey_maps import write_partial_map


@pytest.fixture(scope="module")
def emulator(toy_bundle):
    return Emulator.load(toy_bundle)


@pytest.fixture
def table():
    names = toy_schema().condition_names
    return pd.DataFrame(toy_conditions(50, 3), columns=list(names), index=np.arange(50) + 7)


@pytest.fixture
def maps(tmp_path):
    """Six constant maps around (45, 0); their values are 0.9 and 5."""
    import healpy

    pixels = healpy.query_disc(256, healpy.ang2vec(45, 0, lonlat=True), np.radians(2), nest=True)
    for band in "riz":
        for name, value, unit in (("fwhm", 0.9, "arcsec"), ("sky_noise", 5.0, "count")):
            write_partial_map(
                tmp_path / "maps" / f"{band}_{name}.fits", pixels, np.full(len(pixels), value),
                nside=256, unit=unit,
            )  # fmt: skip
    return tmp_path / "maps"


def test_table_in_table_out(emulator, table):
    drawn = emulator.emulate(table, seed=4)
    assert list(drawn.columns) == ["meas_mag_r", "meas_mag_i", "meas_mag_z"]
    assert (drawn.index == table.index).all()
    assert (drawn.dtypes == "float32").all()
    assert drawn.notna().all().all()


def test_row_id_decides_not_the_order(emulator, table):
    ids = np.arange(50) * 11
    drawn = emulator.emulate(table, seed=4, row_id=ids)
    back = emulator.emulate(table[::-1], seed=4, row_id=ids[::-1])
    pd.testing.assert_frame_equal(back[::-1], drawn)


def test_chunks_change_nothing(emulator, monkeypatch):
    condition, ids = toy_conditions(3_000, 5), np.arange(3_000)
    whole = emulator.draw(condition, ids, seed=1)
    monkeypatch.setattr(emulator_module, "CHUNK_ROWS", 700)
    np.testing.assert_array_equal(emulator.draw(condition, ids, seed=1), whole)


def test_no_rows(emulator, table):
    assert emulator.emulate(table[:0]).shape == (0, 3)
    assert emulator.draw(np.empty((0, 9)), np.empty(0), 0).shape == (0, 3)


def test_maps_give_the_survey_properties(emulator, table, maps):
    table = table.assign(ra=45.0, dec=0.5)
    explicit = table.assign(
        **{f"fwhm_{b}": np.float32(0.9) for b in "riz"},
        **{f"sky_noise_{b}": np.float32(5.0) for b in "riz"},
    )
    truth = table[["true_mag_r", "true_mag_i", "true_mag_z", "ra", "dec"]]
    pd.testing.assert_frame_equal(
        emulator.emulate(truth, seed=1, maps=maps), emulator.emulate(explicit, seed=1)
    )


def test_off_the_map_is_null_and_counted(emulator, table, maps, caplog):
    truth = table[["true_mag_r", "true_mag_i", "true_mag_z"]].assign(ra=45.0, dec=0.5)
    truth.loc[truth.index[3], "ra"] = 80.0
    drawn = emulator.emulate(truth, maps=maps)
    assert drawn.iloc[3].isna().all()
    assert drawn.drop(drawn.index[3]).notna().all().all()
    assert "1 of 50 rows have no usable fwhm_r" in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf, 37.5, -9.999e9])
def test_unusable_truth_is_null_and_counted(emulator, table, bad, caplog):
    table = table.astype("float64")
    table.iloc[2, 0] = bad
    drawn = emulator.emulate(table)
    assert drawn.iloc[2].isna().all()
    assert drawn.isna().to_numpy().sum() == 3
    assert "1 of 50 rows have no usable true_mag_r" in caplog.text


def test_missing_column_suggests(emulator, table):
    with pytest.raises(BalrogError, match=r"'true_mag_r'.*did you mean.*true_mags_r"):
        emulator.emulate(table.rename(columns={"true_mag_r": "true_mags_r"}))


def test_missing_survey_property_asks_for_maps(emulator, table):
    with pytest.raises(BalrogError, match="fwhm_r.*--maps"):
        emulator.emulate(table.drop(columns="fwhm_r"))


def test_position_out_of_range(emulator, table, maps):
    truth = table[["true_mag_r", "true_mag_i", "true_mag_z"]].assign(ra=361.0, dec=0.0)
    with pytest.raises(BalrogError, match="361"):
        emulator.emulate(truth, maps=maps)


def test_text_column_is_named(emulator, table):
    with pytest.raises(BalrogError, match="'fwhm_i' must be numbers"):
        emulator.emulate(table.assign(fwhm_i="good"))


@pytest.mark.parametrize("ids", [np.arange(49), np.arange(50) / 2])
def test_row_ids_must_fit(emulator, table, ids):
    with pytest.raises(BalrogError, match="50 whole numbers"):
        emulator.emulate(table, row_id=ids)


def test_wrong_number_of_conditions(emulator):
    with pytest.raises(BalrogError, match=r"shape \(N, 9\)"):
        emulator.draw(np.zeros((4, 8)), np.arange(4), 0)


def test_location_scale_is_physical(emulator):
    condition = toy_conditions(2_000, 6)
    location, scale = emulator.location_scale(condition)
    assert location.shape == scale.shape == (2_000, 3)
    assert (scale > 0).all()
    assert np.abs(np.median(location - condition[:, :3])) < 0.2
