from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from analytic_emulator import (
    BIAS,
    NSIDE,
    AnalyticEmulator,
    open_world,
    probability,
    sigma,
    truth_sample,
    write_maps,
)
from scipy.optimize import brentq
from scipy.stats import norm

from balrog_keras.emulator import Emulator
from balrog_keras.map_statistics import TARGET_SCATTER
from balrog_keras.maps import MapSettings, paint_maps
from balrog_keras.measured_cuts import read_cuts
from data_prep.errors import BalrogError
from data_prep.survey_maps import SurveyMaps

ROOT = Path(__file__).parents[1]

PIXELS = np.arange(1_000, 1_024)
SETTINGS = MapSettings(nside=NSIDE, draws=1_500, seed=4)
LIMIT = 22.0


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Emulator, truth, maps, and every (truth, sub-pixel) condition of each pixel's known map."""
    place = tmp_path_factory.mktemp("maps")
    properties = write_maps(place, PIXELS)
    emulator, truth = AnalyticEmulator(), truth_sample(2_000)
    return emulator, truth, open_world(place, emulator), properties


@pytest.fixture(scope="module")
def painted(world):
    emulator, truth, maps, _ = world
    cuts = read_cuts([f"meas_mag_i < {LIMIT}"], emulator.schema)
    return paint_maps(emulator, truth, maps, SETTINGS, cuts), paint_maps(
        emulator, truth, maps, SETTINGS
    )


@pytest.fixture(scope="module")
def expected(world):
    """The maps by sums over all pairs of a truth galaxy and a sub-pixel: no draws."""
    _, truth, _, properties = world
    maps = {name: [] for name in ("completeness", "selected", "scatter", "depth")}
    for survey in properties:
        few = truth.values[::4]
        condition = np.concatenate(
            [np.repeat(few, len(survey), axis=0), np.tile(survey, (len(few), 1))], axis=1
        )
        p, width = probability(condition), sigma(condition)[:, 1]
        passes = norm.cdf((LIMIT - condition[:, 1] - BIAS[1]) / width)
        maps["completeness"].append(p.mean())
        maps["selected"].append((p * passes).mean())

        def share(difference, p=p, width=width):
            return (p * norm.cdf(difference / width)).sum() / p.sum()

        maps["scatter"].append(brentq(lambda x, f=share: f(x) - norm.cdf(1), 0.001, 2))
        maps["depth"].append(20 + 2.5 * np.log10(TARGET_SCATTER / (0.004 * survey[0, 4])))
    return {name: np.array(values) for name, values in maps.items()}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("completeness", "completeness"),
        ("bias_meas_mag_i", None),
        ("scatter_meas_mag_i", "scatter"),
        ("depth_meas_mag_i", "depth"),
    ],
)
def test_maps_are_the_analytic_ones_within_their_errors(painted, expected, name, key):
    _, maps = painted
    np.testing.assert_array_equal(maps.pixels, PIXELS)
    truth = BIAS[1] if key is None else expected[key]
    pulls = (maps.values[name] - truth) / maps.values[f"{name}_error"]
    assert np.isfinite(pulls).all()
    assert abs(pulls.mean()) < 0.75
    assert 0.5 < pulls.std() < 1.6
    assert np.abs(maps.values[name] - truth).max() < 0.2


def test_completeness_is_sharper_than_independent_draws(painted, expected):
    """The systematic sample leaves the scatter of the galaxies' brightness out of it."""
    _, maps = painted
    independent = np.sqrt(0.2 / SETTINGS.draws)
    assert np.abs(maps.values["completeness"] - expected["completeness"]).max() < independent
    assert expected["completeness"].std() > 0.3 * independent


def test_a_cut_selects_by_measured_magnitude(painted, expected):
    cut, uncut = painted
    pulls = (cut.values["selected"] - expected["selected"]) / cut.values["selected_error"]
    assert abs(pulls.mean()) < 0.75
    assert 0.5 < pulls.std() < 1.6
    np.testing.assert_array_equal(cut.values["completeness"], uncut.values["completeness"])
    assert (cut.values["scatter_meas_mag_i"] < uncut.values["scatter_meas_mag_i"]).all()
    assert "selected" not in uncut.values


def test_batches_change_no_bit_and_seeds_do(world, painted):
    emulator, truth, maps, _ = world
    few = paint_maps(emulator, truth, maps, SETTINGS, batch_rows=1)
    other = paint_maps(emulator, truth, maps, replace(SETTINGS, seed=5), batch_rows=7_000)
    assert few.values.keys() == painted[1].values.keys()
    for name, values in painted[1].values.items():
        np.testing.assert_array_equal(few.values[name], values)
    assert (few.values["bias_meas_mag_r"] != other.values["bias_meas_mag_r"]).all()


def test_batches_change_no_bit_of_a_trained_emulator(tmp_path):
    emulator = Emulator.load(ROOT / "saved_models" / "mini-balrog")
    write_maps(tmp_path, PIXELS[:3])
    sources = AnalyticEmulator().info["map_patterns"]
    few = MapSettings(nside=NSIDE, draws=60)
    one, three = (
        paint_maps(emulator, truth_sample(), SurveyMaps.find(tmp_path, sources), few,
                   batch_rows=rows)
        for rows in (60, 180)
    )  # fmt: skip
    for name, values in one.values.items():
        np.testing.assert_array_equal(values, three.values[name])
    assert ((one.values["completeness"] > 0.1) & (one.values["completeness"] < 0.9)).all()


def test_masked_parts_lower_the_coverage_and_nothing_else(tmp_path):
    write_maps(tmp_path, PIXELS[:4], hole=48)
    emulator = AnalyticEmulator(has_domain=True)
    maps = paint_maps(emulator, truth_sample(), open_world(tmp_path, emulator), SETTINGS)
    np.testing.assert_allclose(maps.values["coverage"], 0.75, atol=0.01)
    assert np.isfinite(maps.values["depth_meas_mag_r"]).all()
    bright = (truth_sample().values[:, 1] < 22).mean()
    np.testing.assert_allclose(maps.values["in_domain"], bright, atol=0.01)


def test_values_at_positions(painted):
    import healpy

    maps = painted[1]
    ra, dec = healpy.pix2ang(NSIDE, [PIXELS[3], 7, PIXELS[-1]], nest=True, lonlat=True)
    found = maps.values_at("completeness", ra, dec)
    assert np.isnan(found[1])
    np.testing.assert_array_equal(found[[0, 2]], maps.values["completeness"][[3, -1]])


def test_survey_properties_out_of_the_schemas_range(tmp_path):
    write_maps(tmp_path, PIXELS[:2])
    schema = AnalyticEmulator().schema
    columns = tuple(replace(c, maximum=0.5) if c.name == "fwhm_r" else c for c in schema.columns)
    emulator = AnalyticEmulator(replace(schema, columns=columns))
    with pytest.raises(BalrogError, match="at none of 3,000 points"):
        paint_maps(emulator, truth_sample(), open_world(tmp_path, emulator), SETTINGS)


def test_an_emulator_without_magnitudes_and_too_few_draws(world):
    _, truth, maps, _ = world
    schema = AnalyticEmulator().schema
    columns = tuple(replace(c, reference="") for c in schema.columns)
    with pytest.raises(BalrogError, match="there is none"):
        paint_maps(AnalyticEmulator(replace(schema, columns=columns)), truth, maps, SETTINGS)
    with pytest.raises(BalrogError, match="at least 20, found 19"):
        MapSettings(nside=16, draws=19)
    with pytest.raises(BalrogError, match="64-bit"):
        MapSettings(nside=16, seed=10**20)
