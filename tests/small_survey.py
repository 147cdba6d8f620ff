"""A survey of a few plain columns and one map, with a preset of its own that tests can change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import healpy
import numpy as np
import yaml
from survey_files import write_table

from data_prep.preset import Preset, load_preset

NSIDE = 64
BASE: dict[str, Any] = {
    "name": "small",
    "bands": ["r", "i"],
    "zero_point": 30.0,
    "id": "id",
    "parent": "parent",
    "position": ["ra", "dec"],
    "detected": "found",
    "columns": [
        {
            "name": "true_{band}",
            "group": "truth",
            "unit": "mag",
            "source": ["t_{band}"],
            "minimum": 10,
            "maximum": 35,
        },
        {"name": "seeing", "group": "survey", "unit": "arcsec", "map": ["seeing"]},
        {
            "name": "meas_{band}",
            "group": "measured",
            "unit": "mag",
            "source": ["m_{band}"],
            "reference": "true_{band}",
            "minimum": 5,
            "maximum": 40,
        },
    ],
    "sentinels": {"mag": [99], "flux": [-9999]},
}
ASINH = {
    "unit": "asinh mag",
    "source_unit": "flux",
    "softening": {"error": ["e_{band}"]},
    "minimum": None,
    "maximum": None,
}


def preset_content(
    truth: dict[str, Any] | None = None, measured: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """The base preset, with keys of the preset, its truth and its measured columns changed."""
    first, second, third = BASE["columns"]
    columns = [first | (truth or {}), second, third | (measured or {})]
    plain = [{k: v for k, v in entry.items() if v is not None} for entry in columns]
    content = BASE | {"columns": plain} | changes
    return {key: value for key, value in content.items() if value is not None}


def write_preset(directory: Path, **changes: Any) -> str:
    """Path of the preset's YAML; see :func:`preset_content`."""
    directory.mkdir(exist_ok=True)
    path = directory / "small.yaml"
    path.write_text(yaml.safe_dump(preset_content(**changes)))
    return str(path)


def make_preset(directory: Path, **changes: Any) -> Preset:
    return load_preset(write_preset(directory, **changes))


def make_injections(rows: int = 600, seed: int = 1) -> dict[str, np.ndarray]:
    """Every injection over ra 10-20, dec -6..6; measured values are NaN where not found."""
    rng = np.random.default_rng(seed)
    columns = {
        "id": 10**12 + rng.permutation(rows).astype(np.int64),
        "parent": rng.integers(1, 60, rows),
        "ra": rng.uniform(10, 20, rows),
        "dec": rng.uniform(-6, 6, rows),
        "found": (rng.random(rows) < 0.7).astype(np.int32),
        "weight": rng.uniform(0.5, 2, rows).astype(np.float32),
        "flag": (rng.random(rows) < 0.05).astype(np.int32),
    }
    for band in "ri":
        truth = rng.uniform(19, 25, rows)
        noise = np.where(columns["found"] == 1, rng.normal(0, 0.1, rows), np.nan)
        columns[f"t_{band}"] = truth.astype(np.float32)
        columns[f"m_{band}"] = (truth + noise).astype(np.float32)
    return columns


def found_of(columns: dict[str, np.ndarray], *without: str) -> dict[str, np.ndarray]:
    """The detected rows, in order."""
    rows = columns["found"] == 1
    return {name: values[rows] for name, values in columns.items() if name not in without}


def write_map(directory: Path, name: str = "seeing", seed: int = 3) -> np.ndarray:
    """A whole-sky map; its values, NESTED."""
    directory.mkdir(exist_ok=True)
    sky = np.random.default_rng(seed).uniform(0.5, 1.5, 12 * NSIDE**2).astype(np.float32)
    healpy.write_map(directory / f"{name}.fits", sky, nest=True, dtype=np.float32, overwrite=True)
    return sky


def sky_values(sky: np.ndarray, columns: dict[str, np.ndarray]) -> np.ndarray:
    return sky[healpy.ang2pix(NSIDE, columns["ra"], columns["dec"], nest=True, lonlat=True)]


def write_columns(path: Path, columns: dict[str, np.ndarray]) -> Path:
    return write_table(path, columns, label="small survey")
