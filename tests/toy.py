"""Rows from a known conditional distribution, for tests that need no images."""

import numpy as np

from data_prep.schema import Column, Schema

BANDS = ("r", "i", "z")


def toy_schema() -> Schema:
    """The default columns: r, i, z with FWHM and sky noise."""
    groups = (
        ("true_mag_{}", "mag", "truth", "", 10.0, 36.0),
        ("fwhm_{}", "arcsec", "survey", "", 0.1, 10.0),
        ("sky_noise_{}", "count", "survey", "", 0.01, 1000.0),
        ("meas_mag_{}", "mag", "measured", "true_mag_{}", 5.0, 36.0),
    )
    columns = tuple(
        Column(name.format(b), unit, group, reference.format(b), low, high)
        for name, unit, group, reference, low, high in groups
        for b in BANDS
    )
    return Schema("toy", BANDS, columns)


def toy_conditions(rows: int, seed: int) -> np.ndarray:
    """Conditions in DES-like ranges, float32 (rows, 9)."""
    rng = np.random.default_rng([seed, 0])
    bright = np.clip(24.5 - rng.exponential(1.5, (rows, 1)), 17, 25)
    mags = bright + rng.normal(0, 0.3, (rows, 3))
    fwhm = rng.uniform(0.7, 1.2, (rows, 3))
    sky = rng.uniform(3, 15, (rows, 3))
    return np.concatenate([mags, fwhm, sky], axis=1).astype("float32")


def toy_sigma(condition: np.ndarray) -> np.ndarray:
    """Scale of the measured magnitudes, (rows, 3)."""
    mags, fwhm, sky = np.split(condition.astype("float64"), 3, axis=1)
    return 0.02 + sky * fwhm * 6 * 1.0857 / 10 ** (0.4 * (30 - mags))


def toy_measured(condition: np.ndarray, seed: int) -> np.ndarray:
    """Heavy-tailed, correlated between bands, wider where the noise is: float32 (rows, 3)."""
    rng = np.random.default_rng([seed, 1])
    noise = 0.8 * rng.standard_t(4, (len(condition), 3)) + 0.4 * rng.normal(
        size=(len(condition), 1)
    )
    return (condition[:, :3] - 0.05 + toy_sigma(condition) * noise).astype("float32")


def toy_rows(rows: int, seed: int) -> dict[str, np.ndarray]:
    """One split, keyed as shards are."""
    condition = toy_conditions(rows, seed)
    rng = np.random.default_rng([seed, 2])
    return {
        "condition": condition,
        "measured": toy_measured(condition, seed),
        "row_id": np.arange(rows, dtype="int64") + 10**9 * seed,
        "parent_id": rng.integers(0, 50, rows),
        "region": rng.integers(0, 8, rows),
        "position": rng.uniform(10, 20, (rows, 2)).astype("float32"),
    }


def write_toy_shards(directory, train=8_000, validation=1_000, test=1_000, seed=0):
    """Shards of toy rows, as prepare writes them."""
    from shard_files import write_shards

    splits = {}
    for offset, (name, count) in enumerate(
        (("train", train), ("validation", validation), ("test", test))
    ):
        splits[name] = toy_rows(count, 10 * seed + offset + 1)
    content = {
        "preset": "toy",
        "label": "toy: a known distribution",
        "dropped": {},
        "rows_read": train + validation + test,
        "regions": {},
        "parents": {},
        "map_patterns": {f"fwhm_{b}": [f"{b}_fwhm"] for b in BANDS}
        | {f"sky_noise_{b}": [f"{b}_sky_noise"] for b in BANDS},
        "provenance": {"sources": [{"name": "toy", "bytes": 0, "sha256": "0" * 64}]},
    }
    directory.mkdir(parents=True)
    write_shards(directory, splits, toy_schema(), content, shards=2)
    return directory
