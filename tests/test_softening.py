import numpy as np
import pytest
from memory_catalog import MemoryCatalog
from small_survey import ASINH, make_injections, make_preset

from data_prep.errors import BalrogError
from data_prep.preparation.softening import softening_of, with_softening

NJY_PER_FLUX = 10 ** (0.4 * (31.4 - 30.0))


def catalog_with_errors(sigma=50.0, dtype=np.float32):
    columns = make_injections(2000)
    rng = np.random.default_rng(0)
    for band in "ri":
        columns[f"e_{band}"] = (sigma * rng.uniform(0.5, 1.5, 2000)).astype(dtype)
    columns["e_r"][:5] = [np.nan, np.inf, -9999, 0, -1]
    return MemoryCatalog(columns)


def softenings(preset):
    return {column.name: column.softening for column in preset.schema.measured}


def test_is_the_median_of_the_usable_noise_to_four_digits():
    noise = np.array([3.0, 1.0, 2.0, np.nan, -5.0, 0.0, np.inf])
    assert softening_of(noise) == pytest.approx(1.042 * 2, rel=1e-3)
    assert softening_of(np.array([123.456])) == 128.6
    assert np.isnan(softening_of(np.array([0.0, np.nan])))


def test_is_filled_in_from_the_catalogue(tmp_path):
    catalog = catalog_with_errors()
    preset = make_preset(tmp_path, measured=ASINH)
    assert softenings(preset) == {"meas_r": None, "meas_i": None}
    filled = with_softening(preset, catalog)
    for band in "ri":
        noise = catalog.columns[f"e_{band}"].astype(float)
        noise = noise[np.isfinite(noise) & (noise > 0)]
        found = softenings(filled)[f"meas_{band}"]
        assert found == pytest.approx(1.042 * np.median(noise), rel=1e-3)
    assert filled.schema.truth == preset.schema.truth
    assert with_softening(filled, MemoryCatalog({"none": np.zeros(3)})) == filled


def test_noise_in_whole_numbers_with_sentinels_that_they_cannot_hold(tmp_path):
    catalog = catalog_with_errors()
    for band in "ri":
        catalog.columns[f"e_{band}"] = np.arange(2000, dtype=np.uint16) % 100
    sentinels = {"flux": [-9999, 9.999e9, 37.5]}
    filled = with_softening(make_preset(tmp_path, measured=ASINH, sentinels=sentinels), catalog)
    assert softenings(filled)["meas_r"] == pytest.approx(1.042 * 50, rel=1e-3)


def test_expression_and_vector_columns(tmp_path):
    catalog = catalog_with_errors()
    plain = with_softening(make_preset(tmp_path, measured=ASINH), catalog)
    errors = np.stack([catalog.columns["e_r"], catalog.columns["e_i"]], axis=1)
    vectors = MemoryCatalog({"variance": np.where(errors > 0, errors, np.nan) ** 2})
    softening = {"error": ["variance[{band}]"], "expression": "sqrt(error)"}
    preset = make_preset(tmp_path, measured=ASINH | {"softening": softening})
    found = softenings(with_softening(preset, vectors))
    for name, expected in softenings(plain).items():
        assert found[name] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("source_unit", "unit"), [("nJy", None), ("flux", "nJy")])
def test_is_in_flux_of_the_columns_zero_point_whatever_the_catalogues(tmp_path, source_unit, unit):
    plain = with_softening(make_preset(tmp_path, measured=ASINH), catalog_with_errors(50.0))
    preset = make_preset(tmp_path, measured=ASINH | {"source_unit": source_unit})
    found = with_softening(preset, catalog_with_errors(50.0 * NJY_PER_FLUX), unit)
    for name, expected in softenings(plain).items():
        assert softenings(found)[name] == pytest.approx(expected, rel=1e-3)


def test_given_numbers_stand(tmp_path):
    softening = {"softening": {"r": 10.0, "i": 20.0}}
    preset = make_preset(tmp_path, measured=ASINH | softening)
    filled = with_softening(preset, MemoryCatalog({"none": np.zeros(3)}))
    assert softenings(filled) == {"meas_r": 10.0, "meas_i": 20.0}


def test_no_usable_noise(tmp_path):
    catalog = catalog_with_errors()
    catalog.columns["e_i"][:] = -9999
    with pytest.raises(BalrogError, match="softening of meas_i.*must be positive.*give a number"):
        with_softening(make_preset(tmp_path, measured=ASINH), catalog)


def test_errors_of_magnitudes_are_no_softening(tmp_path):
    preset = make_preset(tmp_path, measured=ASINH)
    with pytest.raises(BalrogError, match="softening of meas_r.*errors of fluxes, found the unit"):
        with_softening(preset, catalog_with_errors(), "mag")


def test_missing_column_of_errors(tmp_path):
    preset = make_preset(tmp_path, measured=ASINH)
    with pytest.raises(BalrogError, match="softening of meas_r needs the column e_r"):
        with_softening(preset, MemoryCatalog(make_injections(10)))
