import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.schema import Column
from data_prep.selection import (
    Selection,
    drop_bad_values,
    drop_sentinels,
    is_sentinel,
    require_plausible_unit,
    to_schema_unit,
)

MAG = Column("meas_mag_r", "mag", "measured", minimum=5.0, maximum=40.0)
SENTINELS = (37.5, 99.0, -99.0, -9999.0, 9.999e9, -9.999e9)


def test_a_row_counts_under_its_first_reason_only():
    selection = Selection(4)
    selection.drop(np.array([True, True, False, False]), "first")
    selection.drop(np.array([False, True, True, False]), "second", bad_value=True)
    selection.drop(np.array([True, False, False, False]), "third")
    assert selection.dropped == {"first": 2, "second": 1}
    assert selection.bad_values == 1
    assert selection.keep.tolist() == [False, False, False, True]


def test_every_bad_magnitude_has_its_reason():
    values = np.array(
        [22.0, np.nan, np.inf, -np.inf, 37.5, 9.999e9, -9.999e9, -9999, 99, -99, 4.9, 40.1, 40, 5],
        np.float32,
    )
    selection = Selection(values.size)
    drop_sentinels(selection, values, MAG.name, SENTINELS)
    drop_bad_values(selection, values, values, MAG)
    assert selection.dropped == {
        "meas_mag_r is not finite": 3,
        "meas_mag_r is the sentinel 37.5": 1,
        "meas_mag_r is the sentinel 99": 1,
        "meas_mag_r is the sentinel -99": 1,
        "meas_mag_r is the sentinel -9999": 1,
        "meas_mag_r is the sentinel 9.999e+09": 1,
        "meas_mag_r is the sentinel -9.999e+09": 1,
        "meas_mag_r is out of range [5, 40]": 2,
    }
    assert selection.bad_values == 11
    assert np.flatnonzero(selection.keep).tolist() == [0, 12, 13]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float16])
def test_sentinels_that_the_dtype_cannot_hold_are_no_value(dtype):
    values = np.array([37, 99, 0, 120], dtype)
    sentinels = (37.5, 99.0, -9999.0, 9.999e9, 1e300)
    assert is_sentinel(values, sentinels).tolist() == [False, True, False, False]
    selection = Selection(4)
    drop_sentinels(selection, values, "flux", sentinels)
    assert selection.dropped == {"flux is the sentinel 99": 1}
    require_plausible_unit(np.repeat(values, 10), "nJy", sentinels, "here")


def test_flux_without_magnitude():
    flux = np.array([1000.0, 0.0, -5.0], np.float32)
    mag = to_schema_unit(flux, MAG, "flux", 30.0, "here")
    assert mag.dtype == np.float32
    selection = Selection(3)
    drop_bad_values(selection, flux, mag, MAG)
    assert selection.dropped == {"meas_mag_r has a flux that is not positive": 2}
    assert mag[0] == np.float32(22.5)


ASINH = Column("m", "asinh mag", "measured", zero_point=31.4, softening=100.0)
TRUE_FLUX = np.array([-50.0, 3.0, 2e4])


@pytest.mark.parametrize("column", [
    MAG, Column("m", "flux", "measured", zero_point=22.5), Column("m", "nJy", "measured"), ASINH,
])  # fmt: skip
@pytest.mark.parametrize("unit", ["mag", "flux", "nJy", "asinh mag"])
def test_any_photometric_unit_becomes_any_other(unit, column):
    def expected(unit, zero_point):
        njy = TRUE_FLUX * 10 ** (0.4 * 1.4)
        pogson = 2.5 / np.log(10)
        with np.errstate(invalid="ignore"):
            return {
                "mag": 30 - 2.5 * np.log10(TRUE_FLUX),
                "flux": TRUE_FLUX * 10 ** (0.4 * (zero_point - 30)),
                "nJy": njy,
                "asinh mag": 31.4 - pogson * (np.arcsinh(njy / 200) + np.log(100)),
            }[unit]

    catalog = expected(unit, 30.0)
    # The softening of the catalogue is a flux at the catalogue's zero point: 100 nJy.
    softening = 100 * 10 ** (-0.4 * 1.4)
    found = to_schema_unit(catalog, column, unit, 30.0, "here", softening)
    assert found.dtype == np.float32
    wanted = expected(column.unit, column.zero_point or 30.0)
    wanted = np.where(np.isfinite(catalog), wanted, np.nan)
    np.testing.assert_allclose(found, wanted, rtol=2e-7)


def test_negative_fluxes_survive_as_asinh_magnitudes():
    flux = np.random.default_rng(3).normal(0, 100, 1000).astype(np.float32)
    found = to_schema_unit(flux, ASINH, "nJy", 31.4, "here")
    selection = Selection(1000)
    drop_bad_values(selection, flux, found, ASINH)
    assert selection.keep.all()


def test_other_units_must_be_the_same():
    size = Column("size", "arcsec", "measured")
    np.testing.assert_array_equal(
        to_schema_unit(np.array([1, 2]), size, "arcsec", 30.0, "here"), [1, 2]
    )
    with pytest.raises(BalrogError, match="here: size must be in arcsec; .* says pixel"):
        to_schema_unit(np.ones(2), size, "pixel", 30.0, "here")
    with pytest.raises(BalrogError, match="here: meas_mag_r must be in mag; .* says no unit"):
        to_schema_unit(np.ones(2), MAG, "", 30.0, "here")


@pytest.mark.parametrize(("column", "unit"), [
    (MAG, "asinh mag"), (Column("m", "asinh mag", "measured", zero_point=30.0), "flux"),
])  # fmt: skip
def test_asinh_magnitudes_need_a_softening(column, unit):
    with pytest.raises(BalrogError, match="needs the softening"):
        to_schema_unit(np.ones(2), column, unit, 30.0, "here")


def population(unit, zero_point=30.0):
    mag = np.random.default_rng(0).uniform(18, 26, 5000).astype(np.float32)
    mag[::50] = 37.5
    return mag if unit == "mag" else (10 ** (0.4 * (zero_point - mag))).astype(np.float32)


@pytest.mark.parametrize("zero_point", [30.0, 31.4, 22.5])
def test_wrong_unit_is_noticed_both_ways(zero_point):
    flux = population("flux", zero_point)
    with pytest.raises(BalrogError, match="look like fluxes; give --unit flux"):
        require_plausible_unit(flux, "mag", SENTINELS, "here")
    for unit in ("flux", "nJy"):
        require_plausible_unit(flux, unit, (), "here")
        with pytest.raises(BalrogError, match="look like magnitudes; give --unit mag"):
            require_plausible_unit(population("mag")[1:49], unit, (), "here")
    require_plausible_unit(population("mag"), "mag", SENTINELS, "here")


def test_noisy_fluxes_with_negatives_are_no_magnitudes():
    flux = np.random.default_rng(1).normal(20, 15, 1000)
    with pytest.raises(BalrogError, match="look like fluxes"):
        require_plausible_unit(flux, "mag", (), "here")


def test_other_units_and_handfuls_of_rows_are_not_judged():
    require_plausible_unit(np.full(100, 1e6), "arcsec", (), "here")
    require_plausible_unit(np.full(9, 1e6), "mag", (), "here")
