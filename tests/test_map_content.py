import healpy
import numpy as np
import pytest

from data_prep.inspection.map_content import MapContent
from data_prep.inspection.preset_fit import load_presets
from data_prep.map_formats.map_file import SurveyMap

NSIDE = 128


@pytest.fixture
def sky():
    rng = np.random.default_rng(1)
    sky = rng.normal(4, 0.2, 12 * NSIDE**2).astype(np.float32)
    sky[healpy.pix2ang(NSIDE, np.arange(sky.size), lonlat=True)[1] < 10] = healpy.UNSEEN
    return sky


@pytest.mark.parametrize(("nest", "partial"), [(True, False), (False, False), (False, True)])
def test_equal_to_numpy_on_the_whole(tmp_path, sky, nest, partial):
    values = healpy.reorder(sky, r2n=True) if nest else sky
    path = tmp_path / "map.fits"
    healpy.write_map(path, values, nest=nest, partial=partial, dtype=np.float32)
    content = MapContent.read(SurveyMap.open(path))
    good = sky[sky > 0]
    found = content.statistics.describe()[0]
    assert content.valid == found["count"] == good.size
    assert content.stored == (good.size if partial else sky.size)
    assert (found["min"], found["max"]) == (good.min(), good.max())
    assert found["mean"] == pytest.approx(good.mean(dtype=float), abs=1e-6)
    assert found["quantiles"]["0.5"] == pytest.approx(np.median(good), abs=0.002)
    occupied = np.flatnonzero(healpy.reorder(sky, r2n=True) > 0)
    np.testing.assert_array_equal(np.flatnonzero(content.footprint.counts), occupied)


def test_sentinels_and_values_out_of_range_are_counted(tmp_path, sky):
    sky[-30:-20], sky[-20:-13], sky[-13:] = 37.5, 0, -91
    healpy.write_map(tmp_path / "map.fits", sky, dtype=np.float32)
    y6, sof = load_presets("des-y6")[0], load_presets("des-y3-sof")[0]
    served = [(y6, "fwhm_r"), (sof, "fwhm_r"), (sof, "sky_noise_i"), (y6, "ebv")]
    content = MapContent.read(SurveyMap.open(tmp_path / "map.fits"), [0.0, 37.5, 99.0], served)
    assert content.odd == {0.0: 7, 37.5: 10, 99.0: 0}
    # 0.263 * 37.5 lies out of 0.1 to 5 too; the last column needs no range of its own.
    wide = int(np.count_nonzero((sky > 5) & (sky != 37.5)))
    assert content.outside == {
        "fwhm_r of des-y6": 30,
        "fwhm_r of des-y3-sof": 30 + wide,
        "sky_noise_i of des-y3-sof": 13,
        "ebv of des-y6": 0,
    }


def test_map_without_values(tmp_path, sky):
    healpy.write_map(tmp_path / "map.fits", np.full_like(sky, healpy.UNSEEN), dtype=np.float32)
    content = MapContent.read(SurveyMap.open(tmp_path / "map.fits"), [0.0])
    assert (content.valid, content.stored) == (0, sky.size)
    assert content.footprint.bounds() is None
