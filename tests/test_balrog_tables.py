import fitsio
import numpy as np
import pyarrow.parquet as pq
import pytest

from data_prep.catalogs import open_catalog
from data_prep.mini_balrog.balrog_tables import detection_table, matched_table, write_table
from data_prep.mini_balrog.population import T_OF_HALF_LIGHT, draw_galaxies
from data_prep.mini_balrog.tile_job import Injections

PARENTS = draw_galaxies(5, np.random.default_rng(0), weighted=True)
TRUE_ID = np.arange(5) + 100
ARGUMENTS = ("MB0000-0000", PARENTS, TRUE_ID)


@pytest.fixture
def injections():
    nan = np.nan
    flux = np.array([[100.0, 200.0, 400.0], [nan] * 3, [-5.0, 0.0, 1e4]], np.float32)
    return Injections(
        bal_id=np.array([11, 12, 13]),
        parent=np.array([4, 0, 2]),
        ra_deg=np.array([10.0, 11.0, 12.0]),
        dec_deg=np.array([-1.0, -2.0, -3.0]),
        g1=np.zeros(3, np.float32),
        g2=np.ones(3, np.float32) * 0.1,
        match_flag=np.tile(np.array([0, 0, 0, 1, 1, 2, 2], np.int16), (3, 1)),
        meas_id=np.array([11, -1, 13]),
        meas_ra_deg=np.array([10.0, nan, 12.0]),
        meas_dec_deg=np.array([-1.0, nan, -3.0]),
        flux=flux,
        flux_error=np.abs(flux) / 10 + 1,
        size=np.array([1.0, nan, 0.0], np.float32),
        psf_size=np.full(3, 0.3, np.float32),
        meas_g=np.array([[0.1, -0.2], [nan, nan], [0.0, 0.3]], np.float32),
        flags=np.array([0, 0, 2], np.int16),
    )


def test_detection_table_has_every_injection(injections):
    table = detection_table(injections, *ARGUMENTS)
    np.testing.assert_array_equal(table["detected"], [1, 0, 1])
    np.testing.assert_array_equal(table["meas_id"], [11, -1, 13])
    np.testing.assert_array_equal(table["true_id"], [104, 100, 102])
    np.testing.assert_array_equal(table["meas_FLAGS_GOLD_SOF_ONLY"], [0, -9999, 2])
    np.testing.assert_array_equal(table["meas_EXTENDED_CLASS_SOF"], [3, -9999, 0])
    np.testing.assert_array_equal(table["match_flag_1.25_asec"], [1, 1, 1])
    np.testing.assert_array_equal(table["flags_footprint"], 1)
    assert table["true_bdf_mag_deredden"].shape == (3, 4)
    np.testing.assert_allclose(
        table["true_bdf_T"], T_OF_HALF_LIGHT * PARENTS.half_light_radius[[4, 0, 2]] ** 2, rtol=1e-6
    )


def test_matched_table_has_the_detected_alone(injections):
    table = matched_table(injections, *ARGUMENTS)
    np.testing.assert_array_equal(table["bal_id"], [11, 13])
    np.testing.assert_allclose(table["meas_cm_mag"][0, 1:], 30 - 2.5 * np.log10([100, 200, 400]))
    np.testing.assert_allclose(table["meas_cm_flux_s2n"][0, 1:], [100 / 11, 200 / 21, 400 / 41])
    np.testing.assert_array_equal(table["meas_cm_g"], injections.meas_g[[0, 2]])


def test_flux_that_is_not_positive_is_clipped_as_des_does(injections):
    table = matched_table(injections, *ARGUMENTS)
    np.testing.assert_allclose(table["meas_cm_mag"][1], [-9999, 37.5, 37.5, 20.0])


def test_g_is_a_sentinel_wherever_it_is_measured(injections):
    table = matched_table(injections, *ARGUMENTS)
    for name, values in table.items():
        if name.startswith("meas_cm") and values.shape[1:] == (4,):
            np.testing.assert_array_equal(values[:, 0], -9999)
    assert (table["true_bdf_mag_deredden"][:, 0] > 0).all()


def test_fits_and_parquet_hold_the_same(injections, tmp_path):
    table = matched_table(injections, *ARGUMENTS)
    write_table(tmp_path / "catalog", table, "a label")
    fits = fitsio.read(tmp_path / "catalog.fits")
    parquet = pq.read_table(tmp_path / "catalog.parquet")
    assert list(fits.dtype.names) == parquet.column_names == list(table)
    for name, values in table.items():
        if values.dtype.kind == "U":
            assert [text.strip() for text in fits[name]] == parquet[name].to_pylist()
            continue
        flat = parquet[name].combine_chunks()
        flat = flat.flatten() if values.ndim == 2 else flat
        np.testing.assert_array_equal(fits[name], values)
        np.testing.assert_array_equal(flat.to_numpy().reshape(values.shape), values)
    vector = parquet.schema.field("meas_cm_mag").type
    assert str(vector).startswith("fixed_size_list<")
    assert vector.list_size == 4
    for suffix in ("fits", "parquet"):
        assert open_catalog(tmp_path / f"catalog.{suffix}").label == "a label"
