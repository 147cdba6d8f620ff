"""The galaxies and stars of the mini-Balrog's sky: joint magnitudes, colours, sizes and shapes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

__all__ = [
    "BANDS",
    "T_OF_HALF_LIGHT",
    "Sources",
    "detectability",
    "draw_field",
    "draw_galaxies",
    "draw_morphology",
    "galaxy_density",
]

BANDS = ("g", "r", "i", "z")
I_BAND = BANDS.index("i")
# T = <x^2> + <y^2> of an exponential disk, in units of its half-light radius squared.
T_OF_HALF_LIGHT = 6 / 1.67835**2

# Galaxies per square arcminute brighter than i = 24, and the slopes of log10 counts per
# magnitude on either side of i = 22 (COSMOS-like; Laigle et al. 2016, fig. 12).
_DENSITY_24, _BRIGHT_SLOPE, _FAINT_SLOPE, _BREAK = 21.0, 0.40, 0.30, 22.0
_GALAXY_RANGE, _STAR_RANGE = (17.0, 25.5), (17.0, 24.0)
_STAR_DENSITY, _STAR_SLOPE = 1.6, 0.12

# Where an injection stops being worth its place: half weight at this i magnitude, and how fast.
_HALF_WEIGHT, _WEIGHT_WIDTH = 24.0, 0.35

# Observed colours of passive and star-forming galaxies against redshift (read off the tracks of
# standard templates to about 0.1 mag; the scatter below is wider than that error).
_REDSHIFT = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.2, 1.5, 2.0, 3.0])
_RED = {
    "g-r": np.array([0.70, 0.85, 1.40, 1.65, 1.70, 1.60, 1.30, 1.10, 1.00, 1.00]),
    "r-i": np.array([0.35, 0.40, 0.50, 0.75, 1.05, 1.15, 1.00, 0.80, 0.60, 0.50]),
    "i-z": np.array([0.25, 0.28, 0.32, 0.36, 0.45, 0.65, 0.80, 0.75, 0.60, 0.40]),
}
_BLUE = {
    "g-r": np.array([0.30, 0.40, 0.60, 0.75, 0.70, 0.45, 0.30, 0.20, 0.15, 0.30]),
    "r-i": np.array([0.12, 0.17, 0.22, 0.35, 0.48, 0.45, 0.30, 0.20, 0.10, 0.10]),
    "i-z": np.array([0.03, 0.06, 0.12, 0.16, 0.25, 0.36, 0.35, 0.24, 0.12, 0.05]),
}
_COLOUR_SCATTER = {"g-r": 0.10, "r-i": 0.07, "i-z": 0.06}
_BRIGHT_TO_FAINT = np.array([17.0, 18.0, 20.0, 22.0, 24.0, 26.0])
_MEDIAN_REDSHIFT = np.array([0.10, 0.15, 0.30, 0.55, 0.85, 1.10])
_RED_FRACTION = np.array([0.60, 0.58, 0.48, 0.32, 0.18, 0.10])


@dataclass(frozen=True)
class Sources:
    """Galaxies or stars, before any survey looks at them.

    Attributes
    ----------
    mag : float64 array, shape (N, 4)
        True AB magnitude in g, r, i, z.
    half_light_radius : float64 array, shape (N,)
        Half-light radius of bulge and disk alike, arcsec; 0 for a star.
    bulge_fraction : float64 array, shape (N,)
        Share of the light in the bulge (n = 4); the rest is in the disk (n = 1).
    g1, g2 : float64 array, shape (N,)
        Reduced shear of the isophotes, |g| = (1 - q) / (1 + q).
    """

    mag: np.ndarray
    half_light_radius: np.ndarray
    bulge_fraction: np.ndarray
    g1: np.ndarray
    g2: np.ndarray

    def __len__(self) -> int:
        return len(self.mag)

    def take(self, index: np.ndarray) -> Sources:
        """Rows picked by an index or mask."""
        return Sources(*(getattr(self, field.name)[index] for field in fields(self)))

    def rotated(self, angle: np.ndarray) -> Sources:
        """Turn each source by an angle (rad), shape (N,)."""
        turned = (self.g1 + 1j * self.g2) * np.exp(2j * angle)
        parts = (self.mag, self.half_light_radius, self.bulge_fraction)
        return Sources(*parts, turned.real, turned.imag)

    @staticmethod
    def concatenate(parts: list[Sources]) -> Sources:
        """Stack several, in order."""
        names = [field.name for field in fields(Sources)]
        return Sources(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def detectability(i_mag: np.ndarray) -> np.ndarray:
    """Weight of a galaxy when parents are chosen: near 1 if bright, falling to 0 beyond the limit.

    Parameters
    ----------
    i_mag : array, shape (N,)
        True i magnitude.

    Returns
    -------
    float64 array, shape (N,)

    Notes
    -----
    DES Y6 Balrog weights its injections likewise (Anbajagane et al. 2025, arXiv:2501.05683): by
    number most galaxies lie beyond the limit and would teach nothing but that.
    """
    weight = 1.0 / (1.0 + np.exp((np.asarray(i_mag) - _HALF_WEIGHT) / _WEIGHT_WIDTH))
    return np.where(np.asarray(i_mag) < _GALAXY_RANGE[1], weight, 0.0)


def galaxy_density() -> float:
    """Galaxies per square arcminute in the field, to the faintest drawn (i = 25.5)."""
    grid, counts = _galaxy_counts()
    density: float = _DENSITY_24 * counts.sum() / counts[grid < 24.0].sum()
    return density


def draw_galaxies(count: int, rng: np.random.Generator, weighted: bool) -> Sources:
    """Draw galaxies from the joint population.

    Parameters
    ----------
    count : int
        How many.
    rng : numpy.random.Generator
        Source of randomness.
    weighted : bool
        True: magnitudes follow counts times :func:`detectability` (parents); False: counts alone
        (field).

    Returns
    -------
    Sources
    """
    grid, counts = _galaxy_counts()
    if weighted:
        counts = counts * detectability(grid)
    i_mag = _draw_from(grid, counts, count, rng)
    redshift = np.interp(i_mag, _BRIGHT_TO_FAINT, _MEDIAN_REDSHIFT)
    redshift = redshift * rng.gamma(4.0, 1 / 3.67, count)
    red = rng.random(count) < np.interp(i_mag, _BRIGHT_TO_FAINT, _RED_FRACTION)
    passive = np.where(red, rng.beta(8.0, 1.5, count), rng.beta(1.5, 6.0, count))
    colour = {
        name: passive * np.interp(redshift, _REDSHIFT, _RED[name])
        + (1 - passive) * np.interp(redshift, _REDSHIFT, _BLUE[name])
        + rng.normal(0.0, scatter, count)
        for name, scatter in _COLOUR_SCATTER.items()
    }
    r_mag = i_mag + colour["r-i"]
    mag = np.stack([r_mag + colour["g-r"], r_mag, i_mag, i_mag - colour["i-z"]], axis=1)
    return draw_morphology(mag, passive, rng)


def draw_morphology(mag: np.ndarray, passive: np.ndarray, rng: np.random.Generator) -> Sources:
    """Give galaxies sizes, bulge fractions and shapes.

    Parameters
    ----------
    mag : float64 array, shape (N, 4)
        True griz magnitudes.
    passive : float64 array, shape (N,)
        0 for a blue, 1 for a red galaxy, in between in the green valley.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Sources
    """
    count = len(mag)
    # 0.45" at i = 22.5, shrinking 0.11 dex per magnitude, log-normal; red ones 15 % smaller.
    log_radius = np.log10(0.45) - 0.11 * (mag[:, I_BAND] - 22.5) + np.log10(1 - 0.15 * passive)
    radius = np.clip(10 ** (log_radius + rng.normal(0.0, 0.17, count)), 0.05, 4.0)
    bulge = rng.beta(0.5 + 2.5 * passive, 3.0 - 2.2 * passive)
    shear = rng.normal(0.0, 0.22, count) + 1j * rng.normal(0.0, 0.22, count)
    shear *= np.minimum(1.0, 0.75 / np.maximum(np.abs(shear), 1e-12))
    return Sources(mag, radius, bulge, shear.real, shear.imag)


def draw_field(area_arcmin2: float, rng: np.random.Generator) -> Sources:
    """Draw the galaxies and stars of one field, their numbers Poisson.

    Parameters
    ----------
    area_arcmin2 : float
        Area of the field.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Sources
    """
    galaxies = draw_galaxies(int(rng.poisson(galaxy_density() * area_arcmin2)), rng, weighted=False)
    stars = _draw_stars(int(rng.poisson(_STAR_DENSITY * area_arcmin2)), rng)
    return Sources.concatenate([galaxies, stars])


def _draw_stars(count: int, rng: np.random.Generator) -> Sources:
    grid = np.arange(*_STAR_RANGE, 0.01)
    i_mag = _draw_from(grid, 10 ** (_STAR_SLOPE * grid), count, rng)
    dwarf = rng.random(count) < np.interp(i_mag, _STAR_RANGE, (0.2, 0.7))
    r_i = np.where(dwarf, rng.normal(1.1, 0.35, count), rng.normal(0.2, 0.1, count))
    g_r = np.where(dwarf, rng.normal(1.45, 0.1, count), 0.1 + 2.2 * r_i)
    i_z = 0.55 * r_i - 0.05 + rng.normal(0.0, 0.03, count)
    mag = np.stack([i_mag + r_i + g_r, i_mag + r_i, i_mag, i_mag - i_z], axis=1)
    zero = np.zeros(count)
    return Sources(mag, zero, zero, zero, zero)


def _galaxy_counts() -> tuple[np.ndarray, np.ndarray]:
    """I magnitudes and relative counts there."""
    grid = np.arange(*_GALAXY_RANGE, 0.01)
    slope = np.where(grid < _BREAK, _BRIGHT_SLOPE, _FAINT_SLOPE)
    return grid, 10 ** (slope * (grid - _BREAK))


def _draw_from(
    grid: np.ndarray, density: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    cumulative = np.cumsum(density)
    drawn: np.ndarray = np.interp(rng.random(count) * cumulative[-1], cumulative, grid)
    return drawn
