import numpy as np
import pytest
from toy import toy_conditions, toy_schema

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.detection_statistics import DetectionSample
from balrog_keras.sky_statistics import (
    density_statistics,
    scatter_between_pixels,
    sky_pixels,
    sky_statistics,
)

ROWS = 12_000


@pytest.fixture(scope="module")
def sky():
    rng = np.random.default_rng(0)
    position = np.column_stack([rng.uniform(40, 50, ROWS), rng.uniform(-30, -20, ROWS)])
    return position, rng.normal(size=(ROWS, 1)), rng.normal(size=(ROWS, 1))


def test_pixels_hold_enough_rows(sky):
    nside, pixel = sky_pixels(sky[0])
    assert np.median(np.unique(pixel, return_counts=True)[1]) >= 100
    assert nside == 64
    assert sky_pixels(sky[0][:50])[0] == 1


def test_a_biased_corner_is_found_where_it_is(sky):
    position, real, emulated = sky
    corner = (position > [47, -23]).all(axis=1)
    wrong = emulated + 1.0 * corner[:, None]
    found = sky_statistics(position, real, wrong, ("a",))
    assert found["rows"].sum() == ROWS
    worst = np.argmax(found["bias"]["a"] * np.sqrt(found["rows"]))
    assert found["ra"][worst] > 46
    assert found["dec"][worst] > -24
    exact = scatter_between_pixels(sky_statistics(position, real, emulated, ("a",)))["a"]
    # The noise of a difference of two medians of normal values in pixels of unequal rows.
    rows = np.unique(sky_pixels(position)[1], return_counts=True)[1]
    expected = 1.2533 * np.sqrt(2 * len(rows) / ROWS)
    assert exact["value"] == pytest.approx(expected, rel=0.25)
    assert scatter_between_pixels(found)["a"]["value"] > exact["interval"][1]


def test_the_null_of_fewer_rows_is_in_the_same_pixels(sky):
    position, real, emulated = (values[: ROWS // 3] for values in sky)
    coarse = sky_statistics(position, real, emulated, ("a",))
    found = sky_statistics(position, real, emulated, ("a",), nside=64)
    assert (coarse["nside"], found["nside"]) == (32, 64)
    rows = np.unique(sky_pixels(sky[0])[1])
    assert len(found["rows"]) == pytest.approx(len(rows), rel=0.02)
    values = (scatter_between_pixels(each)["a"]["value"] for each in (coarse, found))
    assert next(values) < 0.7 * next(values)


def sample(condition, probability, true):
    rng = np.random.default_rng(3)
    detected = (rng.random(len(true)) < true).astype(np.float64)
    bootstrap = RegionBootstrap(np.arange(len(true)) % 40, 100)
    weight = np.ones(len(true))
    return DetectionSample(probability, detected, weight, bootstrap, simulations=100)


@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_detection_that_ignores_the_seeing_is_found(drift):
    condition = toy_conditions(ROWS, 1)
    place = toy_schema().condition_names.index("fwhm_i")
    constant = np.full(ROWS, 0.6)
    true = constant + drift * (condition[:, place] - 0.95)
    found = density_statistics(toy_schema(), condition, sample(condition, constant, true))
    assert set(found["curves"]) == {c.name for c in toy_schema().survey}
    worst, curve = found["worst"], found["curves"]["fwhm_i"]
    assert curve["rows"].sum() == ROWS
    np.testing.assert_allclose(curve["emulated"], 1.0)
    if drift:
        assert worst["where"].startswith("fwhm_i in ")
        assert worst["p_value"] < 0.02
        assert curve["real"][-1] > 1.1 > 0.9 > curve["real"][0]
        assert curve["interval"][0, 0] > 0
    else:
        assert worst["value"] < 1.3 * worst["null"]
        inside = (curve["interval"][:, 0] < 0) & (curve["interval"][:, 1] > 0)
        assert inside.sum() >= 7
