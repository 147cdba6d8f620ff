"""An emulator whose completeness, bias, scatter and depth are known, and maps for it."""

import json
from types import SimpleNamespace

import healpy
import numpy as np
import pandas as pd
from scipy.special import expit
from toy import BANDS, toy_schema

from balrog_keras.numpy_noise import keyed_normals, keyed_uniform
from balrog_keras.truth_sample import TruthSample
from data_prep.survey_maps import SurveyMaps, write_partial_map

BIAS = np.array([0.05, 0.1, -0.02])
MAP_NSIDE, NSIDE = 128, 16
PATTERNS = {f"{kind}_{b}": [f"{b}_{kind}"] for kind in ("fwhm", "sky_noise") for b in BANDS}


def sigma(condition):
    """Scatter of the measured magnitudes, (N, 3): sky noise alone."""
    mags, sky = condition[:, :3].astype("float64"), condition[:, 6:9].astype("float64")
    return 0.004 * sky * 10 ** (0.4 * (mags - 20))


def probability(condition):
    """P(detected): logistic in i; the limit is brighter in bad seeing."""
    limit = 23.0 - 3 * (condition[:, 4].astype("float64") - 1)
    return expit((limit - condition[:, 1]) / 0.3)


class AnalyticEmulator:
    """Normal noise of :func:`sigma` about truth + BIAS, independent of the detection."""

    def __init__(self, schema=None, has_domain=False):
        self.schema, self.label, self.members = schema or toy_schema(), "analytic", 1
        self.has_detection, self.has_domain = True, has_domain
        self.info = {
            "name": "analytic", "schema": self.schema.to_dict(),
            "map_patterns": {name: {"maps": {"value": found}, "expression": "",
                                    "zero_is_missing": False}
                             for name, found in PATTERNS.items()},
        }  # fmt: skip

    def p_detect(self, condition):
        return probability(condition).astype("float32")

    def draw(self, condition, row_id, seed, member=0, draw=0):
        noise = keyed_normals(seed, row_id, 3, draw)
        return (condition[:, :3] + BIAS + sigma(condition) * noise).astype("float32")

    def draw_detected(self, condition, row_id, seed, member=0, draw=0):
        p_detect = self.p_detect(condition)
        found = keyed_uniform(seed, row_id, draw) < p_detect
        measured = self.draw(condition, row_id, seed, member, draw)
        return np.where(found[:, None], measured, np.float32(np.nan)), p_detect, found

    def in_domain(self, condition):
        return condition[:, 0], condition[:, 1] < 22.0


def power_law(rows, seed=0, bright=18.0, faint=24.5, slope=0.4):
    """Truth magnitudes with counts ~ 10^(slope m) in i, and colours: float32 (rows, 3)."""
    rng = np.random.default_rng(seed)
    low, high = 10 ** (slope * bright), 10 ** (slope * faint)
    i = np.log10(rng.uniform(low, high, rows)) / slope
    return np.stack([i + 0.4, i, i - 0.3], axis=1).astype("float32")


def truth_sample(rows=4_000):
    """A sample of :func:`power_law`."""
    schema = toy_schema()
    columns = tuple(column for column in schema.columns if column.group != "survey")
    return TruthSample.of(type(schema)("truth", BANDS, columns), power_law(rows))


def write_maps(directory, pixels, hole=None):
    """Maps of some pixels of nside 16: sky noise the same within each, seeing not.

    Returns the survey properties of each of their sub-pixels, (P, S, 6), NaN in the hole (a
    sub-pixel's number within its pixel, and after).
    """
    rng = np.random.default_rng(5)
    inside = (MAP_NSIDE // NSIDE) ** 2
    values = np.empty((len(pixels), inside, 6))
    values[..., :3] = rng.uniform(0.8, 1.3, (len(pixels), inside, 3))
    values[..., 3:] = rng.uniform(3, 6, (len(pixels), 1, 3))
    if hole is not None:
        values[:, hole:] = np.nan
    fine = (np.asarray(pixels)[:, None] * inside + np.arange(inside)).ravel()
    for place, name in enumerate(PATTERNS):
        each = values[..., place].ravel()
        known = np.isfinite(each)
        kind, band = name.rsplit("_", 1)
        write_partial_map(directory / f"{band}_{kind}.fits", fine[known], each[known],
                          nside=MAP_NSIDE, unit="")  # fmt: skip
    return values


def open_world(directory, emulator):
    """The maps in a directory."""
    return SurveyMaps.find(directory, emulator.info["map_patterns"])


def command_world(place, monkeypatch, rows=3_000):
    """Directory with a bundle's description, a truth catalogue and maps, for the commands."""
    emulator = AnalyticEmulator()
    pixels = np.arange(700, 712)
    (place / "maps").mkdir()
    write_maps(place / "maps", pixels)
    (place / "bundle").mkdir()
    (place / "bundle" / "emulator.json").write_text(json.dumps(emulator.info))
    rng = np.random.default_rng(3)
    sub = pixels[rng.integers(0, len(pixels), rows)] * 64 + rng.integers(0, 64, rows)
    ra, dec = healpy.pix2ang(MAP_NSIDE, sub, nest=True, lonlat=True)
    table = pd.DataFrame(power_law(rows), columns=[f"MAG_{b.upper()}" for b in BANDS])
    table.assign(ra=ra, dec=dec).to_parquet(place / "truth.parquet")
    monkeypatch.setattr("balrog_keras.emulator.Emulator.load", lambda directory: emulator)
    names = [f"true_mag_{b}=MAG_{b.upper()}" for b in BANDS]
    options = [str(place / "bundle"), "--catalog", str(place / "truth.parquet"),
               "--maps", str(place / "maps"), "--columns", *names]  # fmt: skip
    return SimpleNamespace(place=place, options=options, pixels=pixels, emulator=emulator)
