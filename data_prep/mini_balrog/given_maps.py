"""Survey property maps given to the mini-Balrog: all six, or DES's i band alone; writing them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from data_prep.errors import BalrogError
from data_prep.mini_balrog.images import IMAGE_BANDS
from data_prep.mini_balrog.mock_maps import ELECTRONS_PER_COUNT, NSIDE, PropertyMaps, mock_maps
from data_prep.splits import REGION_NSIDE
from data_prep.survey_maps import SurveyMap, SurveyMaps, find_map, write_partial_map

__all__ = [
    "LABEL_DES_I",
    "LABEL_GIVEN",
    "LABEL_MOCK",
    "map_file_name",
    "read_given_maps",
    "write_maps",
]

logger = logging.getLogger(__name__)

LABEL_MOCK = "mini-Balrog: simulated images, realistic maps"
LABEL_GIVEN = "mini-Balrog: simulated images, given maps"
LABEL_DES_I = "mini-Balrog: simulated images, real DES Y3 i-band maps (r, z derived)"

_NAMES = {"fwhm": "FWHM.WMEAN", "sky_noise": "SKYVAR.UNCERTAINTY"}
_UNITS = {"fwhm": "arcsec", "sky_noise": "count"}
_I_ONLY = {name: f"y3a2_i_mangle_4096_{name}" for name in ("fwhm", "skyvar", "exptime")}
_EXPOSURE_SECONDS = 90.0


def map_file_name(name: str, band: str) -> str:
    """DES-like file name of a map, without suffix.

    Parameters
    ----------
    name : {"fwhm", "sky_noise"}
        Property.
    band : str
        Band.

    Returns
    -------
    str

    Examples
    --------
    >>> map_file_name("fwhm", "r")
    'y3a2_r_o.4096_t.32768_FWHM.WMEAN_EQU'
    """
    return f"y3a2_{band}_o.4096_t.32768_{_NAMES[name]}_EQU"


def write_maps(directory: Path, survey: PropertyMaps, label: str) -> None:
    """Write the six maps as partial-sky FITS, nside 4096, NESTED.

    Parameters
    ----------
    directory : pathlib.Path
        Where to.
    survey : PropertyMaps
        The maps.
    label : str
        Provenance, for the header keyword LABEL.
    """
    for name in _NAMES:
        for column, band in enumerate(IMAGE_BANDS):
            write_partial_map(
                directory / f"{map_file_name(name, band)}.fits",
                survey.pixels,
                getattr(survey, name)[:, column],
                nside=NSIDE,
                nest=True,
                unit=_UNITS[name],
                extra_header={"LABEL": label, "COORDSYS": "C"},
            )


def read_given_maps(directory: Path, rng: np.random.Generator) -> tuple[PropertyMaps, str]:
    """Read all six maps in DES's names, or make r and z from real DES i-band maps.

    Parameters
    ----------
    directory : pathlib.Path
        Holds FITS or HealSparse maps. Other resolutions than nside 4096 are read at the centres
        of its pixels.
    rng : numpy.random.Generator
        Draws the mock survey that lends r and z their ratios to i.

    Returns
    -------
    survey : PropertyMaps
        The pixels in which every map has a value.
    label : str
        Provenance.

    Raises
    ------
    BalrogError
        If neither set of maps is complete, or they share no pixel, or hold impossible values.
    """
    patterns = {
        f"{name}_{band}": [map_file_name(name, band)] for name in _NAMES for band in IMAGE_BANDS
    }
    found = {column: find_map(directory, tried) for column, tried in patterns.items()}
    i_only = {name: find_map(directory, [tried]) for name, tried in _I_ONLY.items()}
    if any(found.values()) or not any(i_only.values()):
        survey, label = _read_six(SurveyMaps.find(directory, patterns)), LABEL_GIVEN
    else:
        missing = [_I_ONLY[name] for name, path in i_only.items() if path is None]
        if missing:
            raise BalrogError(
                f"{directory}: DES's i-band maps can stand for all bands if {', '.join(missing)} "
                "is there too (.hsp or .fits); else give all six maps in DES's names"
            )
        survey, label = _from_i_band({k: v for k, v in i_only.items() if v}, rng), LABEL_DES_I
    _check(survey, directory)
    return survey, label


def _read_six(maps: SurveyMaps) -> PropertyMaps:
    pixels = _pixels_of(next(iter(maps.maps.values())))
    values = maps.values_at(*_centres(pixels))
    planes = [
        np.stack([values[f"{name}_{band}"] for band in IMAGE_BANDS], axis=1) for name in _NAMES
    ]
    good = np.isfinite(np.concatenate(planes, axis=1)).all(axis=1)
    return PropertyMaps(pixels[good], planes[0][good], planes[1][good])


def _from_i_band(files: dict[str, Path], rng: np.random.Generator) -> PropertyMaps:
    """Take i from DES; give r and z the ratio to i that a mock survey of that sky has.

    SKYVAR is the variance per pixel of one exposure in electrons^2, so the coadd of
    EXPTIME / 90 s exposures has the noise sqrt(SKYVAR 90 s / EXPTIME) / (electrons per count).
    """
    maps = SurveyMaps(files)
    pixels = _pixels_of(maps.maps["fwhm"])
    values = maps.values_at(*_centres(pixels))
    good = np.isfinite(np.stack(list(values.values()))).all(axis=0)
    good &= (values["skyvar"] > 0) & (values["exptime"] > 0)
    pixels, values = pixels[good], {name: column[good] for name, column in values.items()}
    exposures = values["exptime"] / _EXPOSURE_SECONDS
    sky_noise = np.sqrt(values["skyvar"] / exposures) / ELECTRONS_PER_COUNT["i"]
    mock = mock_maps(pixels, rng)
    here = np.isin(pixels, mock.pixels)
    i_band = IMAGE_BANDS.index("i")
    logger.warning(
        "only DES's i-band maps are given: r and z are derived, as i times the ratio of a mock "
        "survey's r (z) to its i, which is %s in FWHM and %s in sky noise in the median (r, z)",
        *(
            " and ".join(f"{np.median(plane[:, b] / plane[:, i_band]):.2f}" for b in (0, 2))
            for plane in (mock.fwhm, mock.sky_noise)
        ),
    )
    fwhm = values["fwhm"][here, None] * mock.fwhm / mock.fwhm[:, [i_band]]
    noise = sky_noise[here, None] * mock.sky_noise / mock.sky_noise[:, [i_band]]
    return PropertyMaps(mock.pixels, fwhm.astype(np.float32), noise.astype(np.float32))


def _pixels_of(survey_map: SurveyMap) -> np.ndarray:
    """Pixels at our nside, NESTED, ascending, whose centres can have a value in this map."""
    import healpy

    pixels, _ = survey_map.good_pixels()
    if not survey_map.nest:
        pixels = np.sort(healpy.ring2nest(survey_map.nside, pixels))
    if survey_map.nside < NSIDE:
        children = (NSIDE // survey_map.nside) ** 2
        return (pixels[:, None] * children + np.arange(children)).ravel()
    return np.unique(pixels // (survey_map.nside // NSIDE) ** 2)


def _centres(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import healpy

    ra, dec = healpy.pix2ang(NSIDE, pixels, nest=True, lonlat=True)
    return ra, dec


def _check(survey: PropertyMaps, directory: Path) -> None:
    if len(survey.pixels) == 0:
        raise BalrogError(f"{directory}: the maps must overlap; no pixel has a value in all")
    limits = {"fwhm": (0.3, 3.0, "arcsec"), "sky_noise": (0.05, 500.0, "counts at zero point 30")}
    for name, (low, high, unit) in limits.items():
        plane = getattr(survey, name)
        middle = np.median(plane, axis=0)
        if (middle < low).any() or (middle > high).any() or (plane <= 0).any():
            raise BalrogError(
                f"{directory}: {name} must be in {unit}, positive and between {low} and {high} in "
                f"the median; found medians {', '.join(f'{value:.3g}' for value in middle)} in "
                f"{', '.join(IMAGE_BANDS)} and least value {plane.min():.3g}"
            )
    regions = np.unique(survey.pixels // (NSIDE // REGION_NSIDE) ** 2)
    logger.info("maps: %s pixels in %d regions", f"{len(survey.pixels):,}", len(regions))
