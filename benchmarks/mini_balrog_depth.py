"""How hard a mini-Balrog is: depth, completeness, scatter, tails, as the docs' tables show them.

python benchmarks/mini_balrog_depth.py demo/sim
"""

from __future__ import annotations

import argparse
from pathlib import Path

import machine  # noqa: F401  (first, so that data_prep is the package)
import numpy as np
import pandas as pd
import pyarrow.parquet

from data_prep.mini_balrog.given_maps import map_file_name
from data_prep.survey_maps import SurveyMap

BANDS = ("r", "i", "z")
PIXEL_SCALE = 0.263
# 10 sigma in a 2 arcsec aperture, as DES's MAGLIM maps.
APERTURE_PIXELS = np.pi / PIXEL_SCALE**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("simulation", type=Path, help="output directory of data_prep simulate")
    directory = parser.parse_args().simulation
    every = read(directory / "balrog_detection_catalog.parquet")
    matched = read(directory / "balrog_matched_catalog.parquet")
    gold = every[every.match_flag_15 < 2]
    print_depth(matched, directory / "maps")
    print_completeness(every)
    print_tails(matched)
    print_colours(matched)
    for name, rows in (("all detected", matched), ("gold cuts", select(matched, gold.bal_id))):
        print_scatter(name, rows)


def read(path: Path) -> pd.DataFrame:
    """Flat columns of a catalogue."""
    table = pyarrow.parquet.read_table(path)
    frame = pd.DataFrame({"bal_id": table["bal_id"].to_numpy()})
    for name in ("true_ra", "true_dec", "detected"):
        frame[name] = table[name].to_numpy()
    vectors = {"true": "true_bdf_mag_deredden", "meas": "meas_cm_mag", "s2n": "meas_cm_flux_s2n"}
    vectors |= {"flux": "meas_cm_flux", "flux_err": "meas_cm_flux_err"}
    for short, name in vectors.items():
        if name in table.column_names:
            values = table[name].combine_chunks().flatten().to_numpy().reshape(-1, 4)
            for column, band in enumerate(BANDS, 1):
                frame[f"{short}_{band}"] = values[:, column]
    if "match_flag_1.5_asec" in table.column_names:
        frame["match_flag_15"] = table["match_flag_1.5_asec"].to_numpy()
    return frame


def select(matched: pd.DataFrame, bal_id: pd.Series) -> pd.DataFrame:
    return matched[matched.bal_id.isin(bal_id)]


def print_depth(matched: pd.DataFrame, maps: Path) -> None:
    """Where the measured signal-to-noise is 10, and where the maps say a 2" aperture has it."""
    print("\n| band | FWHM 5/50/95 % | sky noise 5/50/95 % | 10 sigma in 2 arcsec | S/N = 10 at |")
    print("|---|---|---|---|---|")
    for band in BANDS:
        survey = {
            name: SurveyMap.open(maps / f"{map_file_name(name, band)}.fits").values_at(
                matched.true_ra, matched.true_dec
            )
            for name in ("fwhm", "sky_noise")
        }
        limit = 30 - 2.5 * np.log10(10 * np.sqrt(APERTURE_PIXELS) * np.median(survey["sky_noise"]))
        near = matched[(matched[f"s2n_{band}"] > 9) & (matched[f"s2n_{band}"] < 11)]
        ranges = [
            "/".join(f"{value:.2f}" for value in np.percentile(values, [5, 50, 95]))
            for values in survey.values()
        ]
        print(
            f"| {band} | {ranges[0]} | {ranges[1]} | {limit:.2f} | "
            f"{near[f'true_{band}'].median():.2f} |"
        )


def print_completeness(every: pd.DataFrame) -> None:
    print(f"\n{len(every):,} injections, {every.detected.mean():.1%} detected")
    print("\n| true i | injections | detected |\n|---|---|---|")
    edges = np.arange(18.0, 25.6, 0.5)
    for low, rows in every.groupby(pd.cut(every.true_i, edges, labels=edges[:-1]), observed=True):
        print(f"| {low:.1f} - {low + 0.5:.1f} | {len(rows):,} | {rows.detected.mean():.3f} |")


def print_tails(matched: pd.DataFrame) -> None:
    """Share of rows whose flux is off by many of its own errors, after the median loss."""
    print("\n| band | beyond 5 sigma | beyond 10 | beyond 20 | worst |\n|---|---|---|---|---|")
    for band in BANDS:
        truth = 10 ** (0.4 * (30 - matched[f"true_{band}"]))
        flux, error = matched[f"flux_{band}"], matched[f"flux_err_{band}"]
        pull = np.abs(flux - truth * np.median(flux / truth)) / error
        shares = " | ".join(f"{(pull > limit).mean():.2%}" for limit in (5, 10, 20))
        print(f"| {band} | {shares} | {pull.max():.0f} |")


def print_colours(matched: pd.DataFrame) -> None:
    """Median error of the colours of galaxies with true 19 < i < 22."""
    rows = matched[(matched.true_i > 19) & (matched.true_i < 22)]
    for blue, red in (("r", "i"), ("i", "z")):
        measured = rows[f"meas_{blue}"] - rows[f"meas_{red}"]
        error = measured - (rows[f"true_{blue}"] - rows[f"true_{red}"])
        low, middle, high = np.percentile(error, [16, 50, 84])
        print(f"{blue} - {red}: bias {middle:+.3f}, half of 16-84 % {(high - low) / 2:.3f}")


def print_scatter(name: str, rows: pd.DataFrame) -> None:
    """Bias and robust spread of measured - true, and how far the tails reach."""
    print(f"\n{name}: {len(rows):,} rows")
    print("\n| true mag | bias r, i, z | half of 16-84 % r, i, z | worst over that r, i, z |")
    print("|---|---|---|---|")
    for low in range(18, 25):
        bias, spread, tail = [], [], []
        for band in BANDS:
            truth = rows[f"true_{band}"]
            inside = rows[(truth >= low) & (truth < low + 1)]
            residual = inside[f"meas_{band}"] - inside[f"true_{band}"]
            residual = residual[inside[f"meas_{band}"] < 37]
            lower, middle, upper = np.percentile(residual, [16, 50, 84])
            half = (upper - lower) / 2
            bias.append(f"{middle:+.3f}")
            spread.append(f"{half:.3f}")
            tail.append(f"{np.abs(residual - middle).max() / half:.0f}")
        print(
            f"| {low} - {low + 1} | {', '.join(bias)} | {', '.join(spread)} | {', '.join(tail)} |"
        )


if __name__ == "__main__":
    main()
