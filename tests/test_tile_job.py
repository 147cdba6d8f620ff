import numpy as np
import pytest
from test_tile_image import PARENTS, make_job

from data_prep.mini_balrog.tile_image import TileImage
from data_prep.mini_balrog.tile_job import MARGIN, MATCH_RADII, Injections, run_tile

pytest.importorskip("galsim")
pytest.importorskip("sep")


def run(**options):
    return Injections.concatenate(run_tile(make_job(**options), PARENTS))


@pytest.fixture(scope="module")
def result():
    return run(pixels=512, realizations=4)


@pytest.fixture(scope="module")
def replicate():
    return run(pixels=512, realizations=4, draw=1)


def test_every_array_has_a_row_for_every_injection(result):
    count = len(result.bal_id)
    assert count > 140
    assert len(np.unique(result.bal_id)) == count
    assert {len(getattr(result, name)) for name in vars(result)} == {count}
    assert result.match_flag.shape == (count, len(MATCH_RADII))
    assert result.flux.shape == result.flux_error.shape == (count, 3)
    assert result.meas_g.shape == (count, 2)


def test_undetected_injections_have_no_measurement(result):
    detected = result.meas_id >= 0
    assert 0.4 < detected.mean() < 1.0
    assert np.isnan(result.flux[~detected]).all()
    assert np.isnan(result.meas_ra_deg[~detected]).all()
    assert np.isnan(result.meas_g[~detected]).all()
    assert (np.hypot(*result.meas_g[detected].T) < 1).all()
    assert np.isfinite(result.flux[detected]).all()
    assert (result.flux_error[detected] > 0).all()


def test_matches_lie_within_half_an_arcsecond(result):
    detected = result.meas_id >= 0
    east = (result.meas_ra_deg - result.ra_deg) * np.cos(np.radians(result.dec_deg))
    distance = 3600 * np.hypot(east, result.meas_dec_deg - result.dec_deg)[detected]
    assert distance.max() < 0.5
    assert np.median(distance) < 0.15


def test_bright_injections_are_found_near_their_true_magnitude(result):
    truth = PARENTS.mag[result.parent, 1:]
    bright = (truth[:, 1] < 22) & (result.meas_id >= 0) & (result.match_flag[:, -1] == 0)
    residual = 30 - 2.5 * np.log10(result.flux[bright]) - truth[bright]
    assert bright.sum() > 10
    assert (np.abs(np.median(residual, axis=0)) < 0.3).all()


def test_measured_shapes_follow_the_injected_ones(result):
    truth = np.stack([result.g1, result.g2], axis=1)
    bright = (PARENTS.mag[result.parent, 2] < 22.5) & (result.meas_id >= 0)
    for component in range(2):
        correlation = np.corrcoef(truth[bright, component], result.meas_g[bright, component])
        assert correlation[0, 1] > 0.5


def test_faint_injections_are_missed_more_often(result):
    i_mag = PARENTS.mag[result.parent, 2]
    detected = result.meas_id >= 0
    assert detected[i_mag < 22.5].mean() > detected[i_mag > 23.5].mean() + 0.2


def test_match_flags_agree_with_the_distance_to_every_real_object(result):
    job = make_job(pixels=512, realizations=4)
    image = TileImage(job)
    ra, dec = job.tile.to_sky(*image.real_position.T, image.dither)
    i_flux = 10 ** (0.4 * (30 - PARENTS.mag[result.parent, 2]))
    for row in range(len(result.bal_id)):
        east = (ra - result.ra_deg[row]) * np.cos(np.radians(dec))
        distance = 3600 * np.hypot(east, dec - result.dec_deg[row])
        for column, radius in enumerate(MATCH_RADII):
            near = distance < radius
            brighter = near & (image.real_flux > i_flux[row])
            expected = 2 if brighter.any() else int(near.any())
            assert result.match_flag[row, column] == expected
    assert (np.diff(result.match_flag, axis=1) >= 0).all()
    assert (result.match_flag[:, -1] > 0).any()


def test_same_job_same_result(result):
    again = run(pixels=512, realizations=4)
    for name in vars(result):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))


def test_replicate_injects_the_same_and_measures_anew(result, replicate):
    for name in ("bal_id", "parent", "ra_deg", "dec_deg", "g1", "g2"):
        np.testing.assert_array_equal(getattr(replicate, name), getattr(result, name))
    both = (result.meas_id >= 0) & (replicate.meas_id >= 0)
    assert both.mean() > 0.3
    assert (result.flux[both] != replicate.flux[both]).all()
    ratio = np.median(result.flux[both] / replicate.flux[both], axis=0)
    np.testing.assert_allclose(ratio, 1.0, atol=0.05)


def test_no_injection_where_a_map_has_no_value():
    whole, holed = run(), run(holes=True)
    assert 0 < len(holed.bal_id) < len(whole.bal_id)
    assert np.isin(holed.bal_id, whole.bal_id).all()


def test_injections_stay_off_the_edge(result):
    x = (result.ra_deg - 30.0) * np.cos(np.radians(38.0)) * 3600 / 0.263
    assert np.abs(x).max() < 256 - MARGIN + 1
