"""Inputs of the prepare benchmark: any number of injections over the whole sky, full-sky maps.

python benchmarks/prepare_parts/inputs.py DIRECTORY ROWS     (0: the maps alone)
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path

import fitsio
import numpy as np

NSIDE = 4096
MAP_FILES = {
    f"{column}_{band}": f"y3a2_{band}_o.4096_t.32768_{title}_EQU.fits"
    for column, title in (("fwhm", "FWHM.WMEAN"), ("sky_noise", "SKYVAR.UNCERTAINTY"))
    for band in "riz"
}
# Rows made at once. Each block has its own random numbers, so that any range of rows is the same
# however it is cut.
BLOCK_ROWS = 100_000
PARENTS = 50_000
_MAP_ROW_PIXELS = 1024


def injections(start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows ``start:stop`` of a merged DES Y3 SOF catalogue: 5 % flagged, 0.3 % sentinels."""
    first, last = start // BLOCK_ROWS, -(-stop // BLOCK_ROWS)
    blocks = [_block(number) for number in range(first, last)]
    skipped = first * BLOCK_ROWS
    return {
        name: np.concatenate([block[name] for block in blocks])[start - skipped : stop - skipped]
        for name in blocks[0]
    }


def _block(number: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([7, number])
    size = BLOCK_ROWS
    truth = rng.uniform(18, 25, (size, 4)).astype(np.float32)
    measured = truth + rng.normal(0, 0.1, truth.shape).astype(np.float32)
    measured[rng.random(size) < 0.003, 1] = 37.5
    zeros = np.zeros(size, np.int32)
    return {
        "bal_id": 10**14 + np.arange(number * size, (number + 1) * size),
        "true_id": rng.integers(0, PARENTS, size),
        "true_ra": rng.uniform(0, 360, size),
        "true_dec": np.degrees(np.arcsin(rng.uniform(-1, 1, size))),
        "true_bdf_mag_deredden": truth,
        "meas_cm_mag_deredden": measured,
        "flags_foreground": (rng.random(size) < 0.05).astype(np.int32),
        "flags_badregions": zeros,
        "flags_footprint": zeros + 1,
        "meas_FLAGS_GOLD_SOF_ONLY": zeros,
        "match_flag_1.5_asec": zeros,
    }


def write_catalog(path: Path, rows: int) -> None:
    """Write a FITS table of injections, block by block."""
    with fitsio.FITS(str(path), "rw", clobber=True) as file:
        for start in range(0, rows, BLOCK_ROWS):
            columns = injections(start, min(start + BLOCK_ROWS, rows))
            types = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
            table = np.empty(len(columns["bal_id"]), types)
            for name, values in columns.items():
                table[name] = values
            file[-1].append(table) if start else file.write(table)


def write_maps(directory: Path) -> None:
    """Write six full-sky maps as healpy does: NESTED, float32, 1024 pixels in a table row."""
    directory.mkdir(parents=True)
    pixels = 12 * NSIDE**2
    header = {
        "PIXTYPE": "HEALPIX",
        "ORDERING": "NESTED",
        "NSIDE": NSIDE,
        "FIRSTPIX": 0,
        "LASTPIX": pixels - 1,
        "INDXSCHM": "IMPLICIT",
        "OBJECT": "FULLSKY",
    }
    rng = np.random.default_rng(3)
    for name in MAP_FILES.values():
        with fitsio.FITS(str(directory / name), "rw", clobber=True) as file:
            for start in range(0, pixels, 2**22):
                values = rng.uniform(0.8, 1.2, min(2**22, pixels - start)).astype(np.float32)
                table = values.view([("SIGNAL", "f4", (_MAP_ROW_PIXELS,))])
                file[-1].append(table) if start else file.write(table, header=header)


def main() -> None:
    directory, rows = Path(sys.argv[1]), int(sys.argv[2])
    wanted = {directory / "maps": write_maps}
    if rows:
        wanted[directory / f"catalog-{rows}.fits"] = partial(write_catalog, rows=rows)
    for path, write in wanted.items():
        # Renamed when whole, so that what is there can be used again.
        if not path.exists():
            unfinished = path.with_name(f"unfinished-{path.name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            write(unfinished)
            unfinished.rename(path)


if __name__ == "__main__":
    main()
