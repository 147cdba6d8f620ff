"""Rows of every kind of column: asinh magnitudes, sizes, fluxes, errors, with transforms."""

import numpy as np

from data_prep.photometry import flux_to_asinh_mag, mag_to_flux
from data_prep.schema import Column, Schema

BANDS = ("r", "i")
ZERO_POINT, SOFTENING = 30.0, 25.0


def mixed_schema() -> Schema:
    """Truth in mag and arcsec; measured in asinh mag, arcsec, nJy and without a unit."""
    asinh = {"unit": "asinh mag", "zero_point": ZERO_POINT, "softening": SOFTENING}
    columns = (
        *(Column(f"true_mag_{b}", "mag", "truth", "", 15.0, 30.0) for b in BANDS),
        Column("true_size", "arcsec", "truth", "", 0.01, 20.0, transform="log10"),
        Column("fwhm", "arcsec", "survey", "", 0.1, 10.0),
        Column("stellar_density", "arcmin-2", "survey", "", 0.0, transform="log1p"),
        *(Column(f"meas_{b}", group="measured", reference=f"true_mag_{b}", **asinh) for b in BANDS),
        *(Column(f"meas_{b}_err", group="measured", **asinh) for b in BANDS),
        Column("meas_size", "arcsec", "measured", "true_size", 0.001, transform="log10"),
        Column("meas_flux", "nJy", "measured", "true_mag_r"),
        Column("meas_ellipticity", "", "measured"),
        Column("meas_snr", "sigma", "measured", transform="asinh"),
    )
    return Schema("mixed", BANDS, columns)


def mixed_conditions(rows: int, seed: int) -> np.ndarray:
    """Conditions, float32 (rows, 5)."""
    rng = np.random.default_rng([seed, 10])
    mag = np.clip(25 - rng.exponential(1.5, (rows, 1)), 18, 25) + rng.normal(0, 0.2, (rows, 2))
    size = 10 ** rng.normal(-0.3, 0.25, rows)
    density = rng.exponential(3, rows)
    return np.column_stack([mag, size, rng.uniform(0.7, 1.2, rows), density]).astype(np.float32)


def mixed_measured(condition: np.ndarray, seed: int) -> np.ndarray:
    """Measured columns, float32 (rows, 8); some fluxes are negative, sizes are log-normal."""
    rng = np.random.default_rng([seed, 11])
    mag, size, fwhm = condition[:, :2], condition[:, 2], condition[:, 3]
    noise = 40 * fwhm[:, None]
    flux = mag_to_flux(mag, ZERO_POINT) + noise * rng.normal(size=mag.shape)
    asinh = flux_to_asinh_mag(flux, ZERO_POINT, SOFTENING)
    error = 1.0857 * noise / np.hypot(flux, 2 * SOFTENING)
    wide = np.hypot(size, 0.3 * fwhm) * 10 ** (0.05 * rng.normal(size=len(size)))
    njy = 10**0.56 * flux[:, 0]
    shape = 0.2 * rng.normal(size=len(size))
    snr = flux[:, 0] / noise[:, 0]
    return np.column_stack([asinh, error, wide, njy, shape, snr]).astype(np.float32)


def mixed_rows(rows: int, seed: int) -> dict[str, np.ndarray]:
    """One split with injection weights, keyed as shards are."""
    condition = mixed_conditions(rows, seed)
    rng = np.random.default_rng([seed, 12])
    return {
        "condition": condition,
        "measured": mixed_measured(condition, seed),
        "row_id": np.arange(rows, dtype=np.int64) + 10**9 * seed,
        "parent_id": rng.integers(0, 50, rows),
        "region": rng.integers(0, 8, rows),
        "position": rng.uniform(10, 20, (rows, 2)).astype(np.float32),
        "weight": rng.uniform(0.5, 2, rows).astype(np.float32),
    }
