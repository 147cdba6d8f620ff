"""A world whose conditional distribution is known: heteroscedastic Student-t residuals."""

import numpy as np
from scipy import stats

from balrog_keras.held_out import HeldOut
from data_prep.schema import Column, Schema

BANDS = ("r", "i", "z")
LABEL = "mini-Balrog: simulated images, realistic maps"
SCHEMA = Schema(
    "known",
    BANDS,
    (
        *(Column(f"true_mag_{b}", "mag", "truth") for b in BANDS),
        *(Column(f"fwhm_{b}", "arcsec", "survey") for b in BANDS),
        *(Column(f"meas_mag_{b}", "mag", "measured", reference=f"true_mag_{b}") for b in BANDS),
    ),
)
_CORRELATION = np.linalg.cholesky(np.array([[1, 0.5, 0.4], [0.5, 1, 0.6], [0.4, 0.6, 1]]))


def conditions(rows: int, seed: int) -> np.ndarray:
    """Truth magnitudes and FWHM, float32 (rows, 6)."""
    rng = np.random.default_rng([seed, 1])
    r = rng.uniform(19, 24.5, rows)
    i = r - rng.normal(0.4, 0.2, rows)
    z = i - rng.normal(0.25, 0.15, rows)
    seeing = 0.95 + rng.normal(0, 0.1, (rows, 1)) + rng.normal(0, 0.03, (rows, 3))
    return np.column_stack([r, i, z, seeing]).astype(np.float32)


def location_scale(condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Conditional location and scale of the measured magnitudes, (N, 3) each."""
    mag, fwhm = condition[:, :3].astype(np.float64), condition[:, 3:].astype(np.float64)
    scale = np.hypot(0.02, 0.1 * 10 ** (0.35 * (mag - 24)) * fwhm / 0.95)
    return mag - 0.03 + 0.02 * (mag - 22), scale


def measure(
    condition: np.ndarray, seed: list[int], stretch: float | np.ndarray = 1.0
) -> np.ndarray:
    """Draw the measured magnitudes; `stretch` multiplies the scatter about the location."""
    rng = np.random.default_rng(seed)
    location, scale = location_scale(condition)
    noise = rng.normal(size=location.shape) @ _CORRELATION.T
    noise /= np.sqrt(rng.chisquare(5, (len(noise), 1)) / 5)
    return (location + scale * noise * np.reshape(stretch, (-1, 1))).astype(np.float32)


def ranks(condition: np.ndarray, measured: np.ndarray, stretch: float | np.ndarray = 1.0):
    """Of measured magnitudes among infinitely many draws that :func:`measure` makes."""
    location, scale = location_scale(condition)
    return stats.t(5).cdf((measured - location) / (scale * np.reshape(stretch, (-1, 1))))


class KnownEmulator:
    """Draws the known distribution, or a stretched one; exact for `stretch` 1."""

    schema = SCHEMA
    label = LABEL

    def __init__(self, stretch: float = 1.0, broken: np.ndarray | None = None) -> None:
        self.stretch, self.broken = stretch, broken

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Independent draws; NaN for conditions whose first value is in `broken`."""
        values = measure(condition, [seed, int(row_id[0]), 7], self.stretch)
        if self.broken is not None:
            values[np.isin(condition[:, 0], self.broken)] = np.nan
        return values

    def location_scale(self, condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The exact ones."""
        return location_scale(condition)


def splits(rows: int, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Test and oracle splits as read_split gives them; nine in ten rows are in both."""
    condition = conditions(rows, seed)
    rng = np.random.default_rng([seed, 2])
    test = {
        "condition": condition,
        "measured": measure(condition, [seed, 3]),
        "row_id": 1000 + np.arange(rows),
        "region": rng.integers(0, 30, rows),
    }
    kept = rng.permutation(rows)[: int(0.9 * rows)]
    oracle = {**test, "measured": measure(condition, [seed, 4])}
    return test, {key: values[kept] for key, values in oracle.items()}


def held_out(rows: int, with_oracle: bool = True, seed: int = 0) -> HeldOut:
    """Held-out rows of the known world."""
    test, oracle = splits(rows, seed)
    return HeldOut.of(test, oracle if with_oracle else None)
