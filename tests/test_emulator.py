import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import Table
from toy import toy_conditions, toy_schema
from toy_detection import toy_probability

from balrog_keras import endpoints
from balrog_keras.emulator import Emulator
from data_prep.errors import BalrogError
from data_prep.survey_maps import write_partial_map

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def emulator(toy_bundle):
    return Emulator.load(toy_bundle)


@pytest.fixture(scope="module")
def pair(toy_ensemble):
    """Two members and a detection model."""
    return Emulator.load(toy_ensemble / "saved_models/pair")


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
    monkeypatch.setattr(endpoints, "CHUNK_ROWS", 700)
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
    assert "1 of 50 rows: no usable fwhm_r" in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf, 37.5, -9.999e9])
def test_unusable_truth_is_null_and_counted(emulator, table, bad, caplog):
    table = table.astype("float64")
    table.iloc[2, 0] = bad
    drawn = emulator.emulate(table)
    assert drawn.iloc[2].isna().all()
    assert drawn.isna().to_numpy().sum() == 3
    assert "1 of 50 rows: no usable true_mag_r" in caplog.text


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


def test_members_draw_in_the_same_noise_with_other_networks(pair):
    condition, ids = toy_conditions(2_000, 6), np.arange(2_000)
    first, second = (pair.draw(condition, ids, 1, member) for member in range(pair.members))
    assert (first != second).mean() > 0.99
    residuals = [
        (drawn - location) / scale
        for drawn, (location, scale) in (
            (first, pair.location_scale(condition, 0)), (second, pair.location_scale(condition, 1))
        )
    ]  # fmt: skip
    assert np.isfinite(residuals).all()
    np.testing.assert_array_equal(first, pair.draw(condition, ids, 1))


@pytest.mark.parametrize("member", [-1, 2])
def test_a_member_that_is_not_there(pair, emulator, member):
    condition = toy_conditions(3, 6)
    with pytest.raises(BalrogError, match=f"member of pair must be from 0 to 1, found {member}"):
        pair.draw(condition, np.arange(3), 1, member)
    with pytest.raises(BalrogError, match="from 0 to 0"):
        emulator.location_scale(condition, member)


def test_detected_rows_have_the_measured_columns_of_draw(pair):
    condition, ids = toy_conditions(20_000, 6), np.arange(20_000)
    measured, p_detect, detected = pair.draw_detected(condition, ids, 1, member=1)
    np.testing.assert_array_equal(measured[detected], pair.draw(condition, ids, 1, 1)[detected])
    assert np.isnan(measured[~detected]).all()
    np.testing.assert_array_equal(p_detect, pair.p_detect(condition))
    # Bernoulli: the count is within five standard deviations of its expectation.
    spread = np.sqrt((p_detect * (1.0 - p_detect)).sum())
    assert abs(detected.sum() - p_detect.sum()) < 5 * spread
    assert 0.1 < p_detect.mean() < 0.9


def test_detection_follows_the_truth(pair):
    condition = toy_conditions(5_000, 6)
    assert np.abs(pair.p_detect(condition) - toy_probability(condition)).mean() < 0.05


def test_detected_depends_on_seed_and_id_alone(pair, monkeypatch):
    condition, ids = toy_conditions(3_000, 5), np.arange(3_000) * 7
    _, _, whole = pair.draw_detected(condition, ids, 4)
    order = np.random.default_rng(0).permutation(3_000)
    monkeypatch.setattr(endpoints, "CHUNK_ROWS", 700)
    _, _, permuted = pair.draw_detected(condition[order], ids[order], 4, member=1)
    np.testing.assert_array_equal(permuted, whole[order])
    assert (pair.draw_detected(condition, ids, 5)[2] != whole).any()


def test_table_with_detection(pair, table):
    table = table.astype("float64")
    table.iloc[2, 0] = np.nan
    drawn = pair.emulate(table, seed=4, member=1, detected=True)
    assert list(drawn.columns[-2:]) == ["p_detect", "detected"]
    assert drawn["detected"].dtype == bool
    assert not drawn["detected"].iloc[2]
    assert np.isnan(drawn["p_detect"].iloc[2])
    measured = drawn.filter(like="meas_mag")
    assert (measured.notna().all(axis=1) == drawn["detected"]).all()


def test_no_detection_model_says_how_to_get_one(emulator, table):
    assert not emulator.has_detection
    with pytest.raises(BalrogError, match="prepared with --detection"):
        emulator.p_detect(toy_conditions(3, 1))
    with pytest.raises(BalrogError, match="prepared with --detection"):
        emulator.emulate(table, detected=True)


def test_an_emulator_from_before_members_and_detection_loads(toy_bundle, emulator, tmp_path):
    old = shutil.copytree(toy_bundle, tmp_path / "old")
    shutil.rmtree(old / "training_weights")
    content = json.loads((old / "emulator.json").read_text())
    for key in ("members", "seeds", "detection", "in_domain", "endpoints"):
        del content[key]
    content["format_version"] = 1
    content["files"] = {k: v for k, v in content["files"].items() if k.startswith("1/")}
    (old / "emulator.json").write_text(json.dumps(content))
    loaded = Emulator.load(old)
    assert (loaded.members, loaded.has_detection) == (1, False)
    condition = toy_conditions(5, 1)
    np.testing.assert_array_equal(
        loaded.draw(condition, np.arange(5), 1), emulator.draw(condition, np.arange(5), 1)
    )


def test_the_committed_emulator_draws():
    emulator = Emulator.load(ROOT / "saved_models/mini-balrog")
    condition = [[emulator.info["domain"][n]["quantiles"]["0.5"]
                  for n in emulator.schema.condition_names]]  # fmt: skip
    drawn = emulator.draw(np.array(condition, "float32"), np.arange(1), 1)
    assert np.abs(drawn - np.array(condition)[:, :3]).max() < 2


def test_every_kind_of_table_gives_the_same_draws(pair, table):
    table = table.astype("float64")
    table.iloc[2, 0] = np.nan
    expected = pair.emulate(table, seed=4, detected=True)
    arrow = pair.emulate(pa.Table.from_pandas(table), seed=4, detected=True)
    astropy = pair.emulate(Table.from_pandas(table), seed=4, detected=True)
    plain = pair.emulate({name: table[name].to_numpy() for name in table}, seed=4, detected=True)
    for name in expected:
        values = expected[name].to_numpy()
        np.testing.assert_array_equal(arrow[name].to_numpy(), values)
        np.testing.assert_array_equal(plain[name], values)
        assert (np.ma.getmaskarray(astropy[name]) == pd.isna(values)).all()
    assert arrow["meas_mag_r"].null_count == expected["meas_mag_r"].isna().sum() > 0
    assert astropy["meas_mag_r"].unit == "mag"
