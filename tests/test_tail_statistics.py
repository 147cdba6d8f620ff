import numpy as np
import pytest
from scipy.stats import t as student

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.tail_statistics import TAIL_SCALES, tail_statistics


def test_fractions_are_those_of_the_known_tails():
    rng, rows = np.random.default_rng(0), 40_000
    real, same, cut = (rng.standard_t(5, (rows, 1)) for _ in range(3))
    bootstrap = RegionBootstrap(np.arange(rows) % 50)
    exact = tail_statistics(real, same, ("a",), bootstrap)["a"]
    assert list(exact) == [f"> {scales:g}" for scales in TAIL_SCALES]
    for scales in (2.0, 3.0, 5.0):
        entry = exact[f"> {scales:g}"]
        assert entry["real"] == pytest.approx(2 * student.sf(scales, 5), rel=0.25)
        assert entry["interval"][0] < 0 < entry["interval"][1]
        assert entry["value"] == pytest.approx(entry["emulated"] - entry["real"])
    clipped = tail_statistics(real, np.clip(cut, -2.5, 2.5), ("a",), bootstrap)["a"]["> 3"]
    assert clipped["emulated"] == 0
    assert clipped["interval"][1] < 0
