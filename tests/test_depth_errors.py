import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions

from balrog_keras.depth_errors import DepthErrors, noise_to_signal
from balrog_keras.metrics import spread
from data_prep.photometry import flux_to_asinh_mag, mag_to_flux
from data_prep.schema import Column, Schema

ROWS, SYSTEMATIC, SEEING_SLOPE = 40_000, 0.012, -2.5
DEPTH = {"r": 24.6, "i": 24.2, "z": 23.5}


def made_by_the_formula(condition, seed):
    """Magnitudes of point sources, deeper where the seeing is good; not detected: not there."""
    rng = np.random.default_rng(seed)
    mag, fwhm = condition[:, :3].astype("float64"), condition[:, 3:6].astype("float64")
    m5 = np.array([*DEPTH.values()]) + SEEING_SLOPE * np.log10(fwhm / np.median(fwhm, axis=0))
    x = 10 ** (0.4 * (mag - m5))
    nsr = np.sqrt(SYSTEMATIC**2 + 0.001 * x + 0.039 * x**2)
    ratio = 1 + nsr * rng.normal(size=mag.shape)
    detected = (ratio > 0).all(axis=1) & (mag[:, 1] < 25.0)
    with np.errstate(invalid="ignore"):
        measured = mag - 2.5 * np.log10(ratio)
    return condition[detected], measured[detected].astype("float32")


TRAIN = made_by_the_formula(conditions(ROWS, 1), 2)
TEST = made_by_the_formula(conditions(30_000, 3), 4)


@pytest.fixture(scope="module")
def model():
    return DepthErrors(SCHEMA, *TRAIN)


def test_formula_by_hand():
    """Table 2 of Ivezic et al. 2019: 0.2 at the depth; sky noise ten times it 2.5 mag fainter."""
    assert noise_to_signal(np.array(24.0), 24.0, 0.0) == pytest.approx(0.2)
    assert noise_to_signal(np.array(26.5), 24.0, 0.0) == pytest.approx(10 * np.sqrt(0.0391))
    assert noise_to_signal(np.array(10.0), 24.0, 0.01) == pytest.approx(0.01, rel=1e-3)
    assert np.isfinite(noise_to_signal(np.array(500.0), 24.0, 0.01))


def test_depth_of_rows_made_by_the_formula_is_recovered(model):
    for place, depth in enumerate(DEPTH.values()):
        fit = model.fits[place]
        assert fit.m5 == pytest.approx(depth, abs=0.03)
        # The seeing of the bands goes together: their slopes are not known one by one.
        assert fit.slopes.sum() == pytest.approx(SEEING_SLOPE, abs=0.5)
        assert fit.systematic == pytest.approx(SYSTEMATIC, rel=0.15)


def test_heavy_tails_do_not_move_the_depth():
    condition, measured = TRAIN[0], TRAIN[1].copy()
    measured[::20] += np.random.default_rng(5).normal(0, 2, measured[::20].shape)
    fits = DepthErrors(SCHEMA, condition, measured).fits
    for place, depth in enumerate(DEPTH.values()):
        # One row in twenty is wild: the median error grows by 5 %, 0.07 mag of depth.
        assert fits[place].m5 == pytest.approx(depth, abs=0.1)


def test_draws_are_those_of_the_formula_bright_and_faint(model):
    condition, measured = TEST
    drawn = model.draw(condition, np.arange(len(condition)), 7)
    np.testing.assert_array_equal(model.draw(condition[::-1], np.arange(len(condition))[::-1], 7),
                                  drawn[::-1])  # fmt: skip
    assert (model.draw(condition, np.arange(len(condition)), 8) != drawn).any()
    assert np.isfinite(drawn).all()
    for low, high in ((19, 21), (22, 23), (23.3, 24.5)):
        rows = (condition[:, 2] > low) & (condition[:, 2] < high)
        real, made = (values[rows, 2] - condition[rows, 2] for values in (measured, drawn))
        assert spread(made) == pytest.approx(spread(real), rel=0.1)
        # Gaussian in flux: faint magnitudes have a tail to the faint side alone.
        for level in (0.05, 0.95):
            error = 0.2 * spread(real)
            assert np.quantile(made, level) == pytest.approx(np.quantile(real, level), abs=error)


def test_asinh_magnitudes_have_negative_fluxes_and_other_columns_gaussian_errors():
    columns = (
        Column("true_mag", "mag", "truth"), Column("true_size", "arcsec", "truth"),
        Column("fwhm", "arcsec", "survey"),
        Column("meas_mag", "asinh mag", "measured", "true_mag", zero_point=30.0, softening=30.0),
        Column("meas_size", "arcsec", "measured", "true_size"),
    )  # fmt: skip
    rng = np.random.default_rng(6)
    mag, size = rng.uniform(20, 27, 20_000), rng.uniform(0.2, 1, 20_000)
    condition = np.column_stack([mag, size, rng.uniform(0.8, 1.2, 20_000)]).astype("float32")
    nsr = noise_to_signal(mag, 24.0, 0.01)
    flux = mag_to_flux(mag, 30.0) * (1 + nsr * rng.normal(size=20_000))
    measured = np.column_stack([
        flux_to_asinh_mag(flux, 30.0, 30.0), size + rng.normal(0, 0.1, 20_000)
    ]).astype("float32")  # fmt: skip
    model = DepthErrors(Schema("x", ("r",), columns), condition, measured)
    assert list(model.fits) == [0]
    assert model.fits[0].m5 == pytest.approx(24.0, abs=0.04)
    drawn = model.draw(condition, np.arange(20_000), 1)
    zero = float(flux_to_asinh_mag(0.0, 30.0, 30.0))
    negative = [np.mean(values[:, 0] > zero) for values in (measured, drawn)]
    assert negative[1] == pytest.approx(negative[0], abs=0.01)
    assert negative[0] > 0.05
    assert spread(drawn[:, 1] - size) == pytest.approx(0.1, rel=0.1)
