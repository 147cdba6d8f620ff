"""Rows of any bands, with or without sizes and shapes, from a known distribution."""

import numpy as np

from data_prep.preset import load_preset
from data_prep.schema import Column, Schema


def band_schema(bands: str) -> Schema:
    """Magnitudes alone, in any bands."""
    columns = (
        *(Column(f"true_mag_{b}", "mag", "truth", "", 10.0, 36.0) for b in bands),
        *(Column(f"fwhm_{b}", "arcsec", "survey", "", 0.1, 10.0) for b in bands),
        *(Column(f"meas_mag_{b}", "mag", "measured", f"true_mag_{b}", 5.0, 40.0) for b in bands),
    )
    return Schema(bands, tuple(bands), columns)


def shapes_schema() -> Schema:
    """Nine measured columns: magnitudes, flux errors, size, two ellipticities."""
    return load_preset("mini-balrog-shapes").schema


def band_rows(schema: Schema, rows: int, seed: int) -> dict[str, np.ndarray]:
    """One split, keyed as shards are; every column of `schema` gets plausible values."""
    rng = np.random.default_rng([seed, 20])
    mag = np.clip(24.5 - rng.exponential(1.5, rows), 17, 25)
    sky = 10 * rng.uniform(0.8, 1.2, rows)
    values = {"true_T": 10 ** rng.normal(-0.5, 0.4, rows)}
    for band in schema.bands:
        values[f"true_mag_{band}"] = mag + rng.normal(0, 0.3, rows)
        values[f"fwhm_{band}"] = rng.uniform(0.7, 1.2, rows)
        values[f"sky_noise_{band}"] = sky
        error = 6 * sky * values[f"fwhm_{band}"]
        noise = error / 10 ** (0.4 * (30 - values[f"true_mag_{band}"]))
        values[f"meas_flux_err_{band}"] = error * 10 ** rng.normal(0, 0.03, rows)
        values[f"meas_mag_{band}"] = values[f"true_mag_{band}"] + noise * rng.normal(size=rows)
    values["meas_T"] = values["true_T"] + 0.1 * rng.normal(size=rows)
    for name in ("g1", "g2"):
        values[f"true_{name}"] = np.clip(rng.normal(0, 0.2, rows), -0.8, 0.8)
        values[f"meas_{name}"] = 0.7 * values[f"true_{name}"] + 0.05 * rng.normal(size=rows)

    def group(names):
        return np.stack([values[name] for name in names], axis=1).astype(np.float32)

    return {
        "condition": group(schema.condition_names),
        "measured": group(schema.measured_names),
        "row_id": np.arange(rows, dtype=np.int64) + 10**9 * seed,
        "parent_id": rng.integers(0, 50, rows),
        "region": rng.integers(0, 8, rows),
        "position": rng.uniform(10, 20, (rows, 2)).astype(np.float32),
    }
