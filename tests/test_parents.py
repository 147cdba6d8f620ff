from pathlib import Path

import fitsio
import numpy as np
import pandas as pd
import pytest

from data_prep.errors import BalrogError
from data_prep.mini_balrog.parents import make_parents
from data_prep.mini_balrog.population import T_OF_HALF_LIGHT
from data_prep.splits import SPLITS

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
BUZZARD = Path(__file__).parents[2] / "shared" / "data" / "buzzard_truth_100k.parquet"


def make(count=200, path=None, seed=0):
    return make_parents(count, SHARES, np.random.default_rng(seed), path)


def frame(rows=500, seed=1):
    rng = np.random.default_rng(seed)
    i_mag = rng.uniform(19, 24, rows)
    return pd.DataFrame(
        {"mag_r": i_mag + 0.5, "mag_i": i_mag, "mag_z": i_mag - 0.3}, dtype=np.float32
    )


def write(directory, table, name="truth.parquet"):
    path = directory / name
    table.to_parquet(path)
    return path


def test_pools_are_disjoint_and_hold_every_parent_in_the_given_shares():
    made = make(1000)
    assert set(made.pools) == set(SPLITS)
    everyone = np.concatenate(list(made.pools.values()))
    assert len(np.unique(everyone)) == len(everyone) == 1000
    assert {split: len(pool) for split, pool in made.pools.items()} == {
        "train": 700,
        "validation": 100,
        "test": 200,
    }
    assert len(np.unique(made.true_id)) == 1000


def test_pools_cover_the_same_magnitudes():
    made = make(6000)
    medians = [np.median(made.sources.mag[pool, 2]) for pool in made.pools.values()]
    assert np.ptp(medians) < 0.2


def test_same_seed_same_parents():
    np.testing.assert_array_equal(make(50).sources.mag, make(50).sources.mag)
    assert not np.array_equal(make(50).sources.mag, make(50, seed=1).sources.mag)


def test_too_few_parents_for_every_split():
    with pytest.raises(BalrogError, match="more --parents"):
        make(3)


def test_truth_file_gives_the_magnitudes_and_draws_the_rest(tmp_path):
    table = frame()
    made = make(200, write(tmp_path, table))
    np.testing.assert_allclose(made.sources.mag[:, 1:], table.to_numpy()[made.true_id], rtol=1e-6)
    assert (made.sources.half_light_radius > 0).all()
    assert np.std(made.sources.g1) > 0.1
    assert any("drawn: mag_g, T, bulge_fraction, g1" in note for note in made.notes)


def test_truth_file_in_des_columns_keeps_sizes_shapes_and_ids(tmp_path):
    rows = 100
    rng = np.random.default_rng(0)
    i_mag = rng.uniform(19, 23, rows)
    mag = np.stack([i_mag + 1, i_mag + 0.5, i_mag, i_mag - 0.3], axis=1)
    table = {
        "true_id": np.arange(rows) + 7_000,
        "true_bdf_mag_deredden": mag,
        "true_bdf_T": rng.uniform(0.1, 2.0, rows),
        "true_bdf_fracdev": rng.random(rows),
        "true_bdf_g": rng.uniform(-0.3, 0.3, (rows, 2)),
    }
    fitsio.write(tmp_path / "truth.fits", list(table.values()), names=list(table))
    made = make(60, tmp_path / "truth.fits")
    row = made.true_id - 7_000
    np.testing.assert_allclose(made.sources.mag, mag[row])
    size = T_OF_HALF_LIGHT * made.sources.half_light_radius**2
    np.testing.assert_allclose(size, table["true_bdf_T"][row])
    np.testing.assert_allclose(made.sources.g2, table["true_bdf_g"][row, 1])
    np.testing.assert_allclose(made.sources.bulge_fraction, table["true_bdf_fracdev"][row])


def test_rows_without_finite_magnitudes_never_become_parents(tmp_path):
    table = frame()
    table.loc[::2, "mag_z"] = np.nan
    table.loc[1::4, "mag_r"] = np.inf
    made = make(500, write(tmp_path, table))
    assert np.isfinite(made.sources.mag).all()
    assert len(made.true_id) == 125


def test_sentinels_are_outside_the_magnitude_range(tmp_path):
    table = frame()
    table.loc[:99, "mag_i"] = 37.5
    table.loc[100:199, "mag_i"] = -9.999e9
    assert make(500, write(tmp_path, table)).true_id.min() >= 200


def test_missing_band_is_named_with_what_is_there(tmp_path):
    path = write(tmp_path, frame().rename(columns={"mag_z": "magz"}))
    with pytest.raises(BalrogError, match="true z magnitude.*magz"):
        make(50, path)


def test_useless_catalogue_is_refused(tmp_path):
    with pytest.raises(BalrogError, match="at least 30 galaxies"):
        make(50, write(tmp_path, frame() + 10))


def test_missing_file(tmp_path):
    with pytest.raises(BalrogError, match="does not exist"):
        make(50, tmp_path / "none.parquet")


@pytest.mark.skipif(not BUZZARD.is_file(), reason="the Buzzard catalogue is not there")
def test_buzzard_catalogue_serves_as_truth():
    made = make(2000, BUZZARD)
    table = pd.read_parquet(BUZZARD)
    expected = table.loc[made.true_id, ["mag_g", "mag_r", "mag_i", "mag_z"]]
    np.testing.assert_allclose(made.sources.mag, expected, rtol=1e-6)
    assert made.sources.mag[:, 2].max() < 25.5
