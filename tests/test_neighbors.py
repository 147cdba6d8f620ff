import healpy
import numpy as np
import pytest
from astropy.coordinates import angular_separation

from data_prep.errors import BalrogError
from data_prep.neighbors import (
    SELF_ARCSEC,
    neighbor_density,
    neighbor_flux_ratio,
    neighbor_values,
    sky_cells,
)
from data_prep.sources import Neighbor

ARCSEC = 1 / 3600
NEIGHBORS = [
    Neighbor("density", 200.0, (), "mag"),
    Neighbor("flux_ratio", 90.0, ("m",), "mag"),
    Neighbor("density", 500.0, (), "mag"),
    Neighbor("flux_ratio", 400.0, ("n",), "mag"),
]
# Poles, ra = 0, the plane, corners where three base pixels meet, and an ordinary place.
PLACES = [(0, 90), (12, -90), (0, 0), (359.99, 30), (45, 41.8103), (90, -41.8103), (123, -52)]


def offset(ra, dec, distance_deg, angle):
    """Unit vectors at a distance and position angle from each position."""
    center = healpy.ang2vec(ra, dec, lonlat=True)
    east = np.stack([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0 * ra], axis=1)
    north = np.cross(center, east)
    side = np.sin(angle)[:, None] * east + np.cos(angle)[:, None] * north
    distance = np.radians(distance_deg)[:, None]
    return np.cos(distance) * center + np.sin(distance) * side


def around(ra, dec, rows, radius_arcsec, rng):
    """Positions within a radius of a place, evenly spread."""
    distance = radius_arcsec * ARCSEC * np.sqrt(rng.uniform(0, 1, rows))
    angle = rng.uniform(0, 2 * np.pi, rows)
    found_ra, found_dec = healpy.vec2ang(
        offset(np.full(rows, ra), np.full(rows, dec), distance, angle), lonlat=True
    )
    return found_ra % 360, found_dec


def separation_arcsec(ra, dec, other_ra, other_dec):
    angles = (np.radians(values) for values in (ra[:, None], dec[:, None], other_ra, other_dec))
    return np.degrees(angular_separation(*angles)) / ARCSEC


def brute_density(ra, dec, other_ra, other_dec, radius, exclude_self):
    separation = separation_arcsec(ra, dec, other_ra, other_dec)
    near = (separation <= radius) & (separation > (SELF_ARCSEC if exclude_self else -1))
    return near.sum(axis=1) / (np.pi * (radius / 60) ** 2)


def brute_ratio(ra, dec, mag, other_ra, other_dec, other_mag, radius, exclude_self):
    separation = separation_arcsec(ra, dec, other_ra, other_dec)
    wrong = (separation > radius) | (separation <= (SELF_ARCSEC if exclude_self else -1))
    separation[wrong] = np.inf
    nearest = separation.argmin(axis=1)
    ratio = 10 ** (0.4 * (mag - other_mag[nearest]))
    return np.where(np.isfinite(separation.min(axis=1)), ratio, 0)


def crowd(ra, dec, rows=600, seed=1):
    rng = np.random.default_rng(seed)
    return (*around(ra, dec, rows, 1500, rng), rng.uniform(18, 26, rows))


@pytest.mark.parametrize("exclude_self", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_equal_to_brute_force(place, exclude_self):
    ra, dec, mag = crowd(*place)
    others = (ra, dec, mag) if exclude_self else crowd(*place, rows=500, seed=2)
    density = neighbor_density(ra, dec, *others[:2], 130, exclude_self)
    expected = brute_density(ra, dec, *others[:2], 130, exclude_self)
    assert density.dtype == np.float32
    assert expected.max() > 5 * expected.min()
    np.testing.assert_allclose(density, expected, rtol=1e-6)
    ratio = neighbor_flux_ratio(ra, dec, mag, *others, 60, exclude_self)
    expected = brute_ratio(ra, dec, mag, *others, 60, exclude_self)
    assert ratio.dtype == np.float32
    assert 0.1 < np.mean(expected == 0) < 0.9
    np.testing.assert_allclose(ratio, expected, rtol=2e-5)


def test_density_of_an_even_sky():
    """The mean is the number per area, also where the radius crosses ra = 0."""
    rng, rows = np.random.default_rng(3), 40_000
    ra = rng.uniform(-1, 1, rows) % 360
    dec = np.degrees(np.arcsin(rng.uniform(-0.02, 0.02, rows)))
    inside = (np.abs((ra + 180) % 360 - 180) < 0.9) & (np.abs(dec) < 1.04)
    area = np.radians(2) * 0.04 * np.degrees(60) ** 2
    density = neighbor_density(ra[inside], dec[inside], ra, dec, 300)
    assert density.mean() == pytest.approx(rows / area, rel=0.01)


def test_what_lies_at_the_same_place_is_the_object_itself():
    near = SELF_ARCSEC * ARCSEC
    ra, dec, mag = np.array([10, 10, 10 + 0.5 * near, 10 + 50 * near]), np.zeros(4), np.arange(4.0)
    density = neighbor_density(ra, dec, ra, dec, 60) * np.pi
    np.testing.assert_allclose(density, [1, 1, 1, 3], rtol=1e-6)
    ratio = neighbor_flux_ratio(ra, dec, mag, ra, dec, mag, 60)
    np.testing.assert_allclose(ratio[:3], 10 ** (0.4 * (mag[:3] - 3)), rtol=1e-6)
    # Two are nearest to the last within rounding of the third's offset: the third is nearest.
    assert ratio[3] == pytest.approx(10**0.4)
    assert neighbor_flux_ratio(ra, dec, mag, ra, dec, mag, 60, exclude_self=False)[3] == 1


def test_of_equally_near_neighbors_the_brightest_counts():
    ra, dec = np.array([20.0, 20, 20, 20, 20, 20]), np.array([0, 1, 1, 1, 1, 1]) * 0.001
    mag = np.array([20, 25, 24, 21, 22, 23.0])
    for order in (slice(None), slice(None, None, -1)):
        found = neighbor_flux_ratio(ra[:1], dec[:1], mag[:1], ra[order], dec[order], mag[order], 10)
        assert found[0] == pytest.approx(10**-0.4)


def test_without_magnitude():
    ra, dec, mag = np.array([5.0, 5.001, 5.002]), np.zeros(3), np.array([20, np.nan, 22.5])
    found = neighbor_flux_ratio(ra, dec, mag, ra, dec, mag, 60)
    np.testing.assert_allclose(found, [0.1, np.nan, 10], rtol=1e-6)


def test_no_neighbors_and_no_objects():
    empty = np.empty(0)
    assert neighbor_density([1.0], [2.0], empty, empty, 10).tolist() == [0]
    assert neighbor_flux_ratio([1.0], [2.0], [3.0], empty, empty, empty, 10).tolist() == [0]
    assert neighbor_density(empty, empty, [1.0], [2.0], 10).shape == (0,)
    assert neighbor_flux_ratio(empty, empty, empty, [1.0], [2.0], [3.0], 10).shape == (0,)
    assert [part.size for part in sky_cells(empty, empty, 10, 8)] == [0, 0, 0]


@pytest.mark.parametrize("position", [(np.nan, 0), (360, 0), (-1, 0), (0, 91)])
def test_bad_position(position):
    ra, dec = [[value] for value in position]
    with pytest.raises(BalrogError, match="positions must have ra"):
        neighbor_density([0.0], [0.0], ra, dec, 10)
    with pytest.raises(BalrogError, match="positions must have ra"):
        sky_cells(ra, dec, 10, 8)


def many_places():
    """Objects near the places where cells meet, and all over the sky."""
    rng = np.random.default_rng(4)
    corners = healpy.vec2ang(
        healpy.boundaries(8, np.arange(768), nest=True).transpose(0, 2, 1).reshape(-1, 3),
        lonlat=True,
    )
    places = [*PLACES, *np.array(corners).T[::97]]
    crowds = [around(*place, 60, 900, rng) for place in places]
    ra, dec = (np.concatenate(part) for part in zip(*crowds, strict=True))
    return ra, dec, rng.uniform(18, 26, (ra.size, 2))


@pytest.mark.parametrize(("margin", "nside"), [(600, 8), (5, 8), (100, 64), (3000, 1), (1e-3, 8)])
def test_every_cell_within_the_margin_is_found(margin, nside):
    ra, dec, _ = many_places()
    index, cell, is_own = sky_cells(ra, dec, margin, nside)
    own = healpy.ang2pix(nside, ra, dec, nest=True, lonlat=True)
    np.testing.assert_array_equal(index[: ra.size], np.arange(ra.size))
    np.testing.assert_array_equal(cell[is_own], own)
    assert is_own[: ra.size].all()
    assert not (cell == own[index])[~is_own].any()
    pairs = set(zip(index.tolist(), cell.tolist(), strict=True))
    assert len(pairs) == len(index)
    # Rings of points at most the margin away: their cells must be there.
    rng = np.random.default_rng(5)
    rows = np.repeat(rng.choice(ra.size, 300), 60)
    angle = rng.uniform(0, 2 * np.pi, rows.size)
    reach = margin * ARCSEC * rng.choice([0.5, 0.999999], rows.size)
    tip = offset(ra[rows], dec[rows], reach, angle)
    reached = healpy.vec2pix(nside, *tip.T, nest=True)
    assert (reached != own[rows]).any() or margin < 1
    assert set(zip(rows.tolist(), reached.tolist(), strict=True)) <= pairs


def test_far_cells_are_left_out():
    """Reach costs little: a margin of 5 arcsec doubles few objects."""
    rng = np.random.default_rng(6)
    ra, dec = rng.uniform(0, 360, 100_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 100_000)))
    index, _, _ = sky_cells(ra, dec, 5, 8)
    assert 0 < len(index) - ra.size < 0.01 * ra.size


def test_cells_too_small():
    with pytest.raises(BalrogError, match="take a smaller nside"):
        sky_cells([0.0], [0.0], 600, 512)


@pytest.mark.parametrize("exclude_self", [True, False])
def test_cell_by_cell_equals_the_whole_sky(exclude_self):
    ra, dec, mag = many_places()
    others = (ra, dec, mag) if exclude_self else (ra[::2], dec[::2], mag[::2])
    whole = neighbor_values(ra, dec, mag, *others, NEIGHBORS, exclude_self)
    own = healpy.ang2pix(8, ra, dec, nest=True, lonlat=True)
    index, cell, _ = sky_cells(*others[:2], 500, 8)
    pieced = np.full_like(whole, np.nan)
    for number in np.unique(own):
        rows, here = own == number, index[cell == number][::-1]
        near = (values[here] for values in others)
        pieced[rows] = neighbor_values(
            ra[rows], dec[rows], mag[rows], *near, NEIGHBORS, exclude_self
        )
    np.testing.assert_array_equal(pieced, whole)
    for column, expected in (
        (0, neighbor_density(ra, dec, *others[:2], 200, exclude_self)),
        (
            3,
            neighbor_flux_ratio(
                ra, dec, mag[:, 1], others[0], others[1], others[2][:, 1], 400, exclude_self
            ),
        ),
    ):
        np.testing.assert_array_equal(whole[:, column], expected)
