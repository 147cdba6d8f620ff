"""Painted maps -> HealSparse or HEALPix files, a figure of them, and where they came from."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.maps import PaintedMaps
from balrog_keras.output_place import require_only
from data_prep.errors import BalrogError
from data_prep.files import atomic_directory, atomic_path, write_json
from data_prep.survey_maps import write_partial_map, write_sparse_map

__all__ = ["MAP_FORMATS", "RECORD", "describe_map", "require_free", "write_maps"]

logger = logging.getLogger(__name__)

RECORD = "maps.json"
MAP_FORMATS = {"healsparse": ".hsp", "healpix": ".fits"}
_FORMAT_VERSION = 1
_KINDS = {
    "coverage": "fraction of the pixel where every survey property has a value",
    "in_domain": "fraction of the galaxies that are like the training rows",
    "completeness": "mean P(detected) of the truth galaxies",
    "selected": "fraction of the truth galaxies that are detected and pass the cuts",
    "bias": "mean measured - true magnitude of the selected galaxies",
    "scatter": "half the 16-84 % range of measured - true magnitude of the selected galaxies",
    "depth": "true magnitude at which the scatter is 0.109 mag (10 sigma)",
}
_FRACTIONS = ("coverage", "in_domain", "completeness", "selected")


def describe_map(name: str) -> tuple[str, str]:
    """What a map holds, and its unit.

    Parameters
    ----------
    name : str
        As in :attr:`balrog_keras.maps.PaintedMaps.values`, such as ``"depth_meas_mag_i_error"``.

    Returns
    -------
    description, unit : str
    """
    kind = next(kind for kind in _KINDS if name.startswith(kind))
    error = "Monte Carlo error of: " if name.endswith("_error") else ""
    return error + _KINDS[kind], "1" if kind in _FRACTIONS else "mag"


def write_maps(
    directory: Path,
    painted: PaintedMaps,
    record: dict[str, Any],
    formats: Sequence[str] = ("healsparse",),
    overwrite: bool = False,
) -> None:
    """Write a directory of maps, whole or not at all.

    Parameters
    ----------
    directory : path
        With one file for each map and format, ``maps.png`` and ``maps.json``.
    painted : PaintedMaps
        The maps.
    record : dict
        What ``maps.json`` shall say about them, with their ``label``.
    formats : sequence of str
        Of :data:`MAP_FORMATS`.
    overwrite : bool
        Whether a directory of maps that is there may be replaced.

    Raises
    ------
    BalrogError
        If the directory exists and may not be replaced, or holds something else.
    OSError
        As raised by the write; an older directory is untouched.
    """
    from balrog_keras.maps_figures import overview_figure

    require_free(directory, overwrite)
    with atomic_directory(directory) as partial:
        for name in painted.values:
            for wanted in formats:
                _write_map(partial / f"{name}{MAP_FORMATS[wanted]}", painted, name)
        with atomic_path(partial / "maps.png") as picture:
            overview_figure(painted, record["label"]).savefig(picture, dpi=130)
        described = {name: _summary(painted, name) for name in painted.values}
        write_json(
            partial / RECORD,
            {"format_version": _FORMAT_VERSION, **record, "nside": painted.nside, "nest": True,
             "formats": list(formats), "maps": described},
        )  # fmt: skip


def require_free(directory: Path, overwrite: bool) -> None:
    """Demand that a directory of maps can be put there; see :func:`write_maps`."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not (directory / RECORD).is_file():
        raise BalrogError(
            f"{directory} must be a new directory; it holds something that is no maps, which is "
            "not replaced: give another --out"
        )
    if not overwrite:
        raise BalrogError(f"{directory} holds maps already; give --overwrite to replace them")
    require_only(directory, _files_of(directory), directory / RECORD)


def _files_of(directory: Path) -> list[str]:
    """Files of a directory of maps, as its record has them; BalrogError if that is no such one."""
    try:
        record = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        endings = [MAP_FORMATS[wanted] for wanted in record["formats"]]
        maps = [f"{name}{ending}" for name in record["maps"] for ending in endings]
    except (ValueError, KeyError, TypeError):
        raise BalrogError(
            f"{directory / RECORD} must list the maps beside it, but is damaged or another "
            "program's; give another --out, or delete it"
        ) from None
    return [*maps, "maps.png", RECORD]


def _write_map(path: Path, painted: PaintedMaps, name: str) -> None:
    values = painted.values[name]
    known = np.isfinite(values)
    write = write_sparse_map if path.suffix == ".hsp" else write_partial_map
    write(
        path, painted.pixels[known], values[known], nside=painted.nside,
        unit=describe_map(name)[1],
    )  # fmt: skip


def _summary(painted: PaintedMaps, name: str) -> dict[str, Any]:
    values = painted.values[name]
    known = values[np.isfinite(values)].astype(np.float64)
    if known.size < values.size and not name.endswith("_error"):
        logger.warning(
            "%s of %s pixels have too few galaxies to tell %s", f"{values.size - known.size:,}",
            f"{values.size:,}", name,
        )  # fmt: skip
    description, unit = describe_map(name)
    found = {"description": description, "unit": unit, "pixels": int(known.size)}
    if known.size:
        levels = np.quantile(known, [0.0, 0.16, 0.5, 0.84, 1.0])
        names = ("min", "16%", "median", "84%", "max")
        found |= dict(zip(names, levels.tolist(), strict=True))
    return found
