"""Tell maps, catalogues, shards and emulators apart, by their names and headers."""

from __future__ import annotations

from pathlib import Path

from data_prep.errors import BalrogError
from data_prep.manifest import MANIFEST_NAME
from data_prep.map_formats.fits_stream import Hdu, read_hdus, whole
from data_prep.map_formats.map_cells import table_cells
from data_prep.map_formats.map_header import pixel_column

__all__ = ["HATS_NAMES", "kind_of"]

_SPARSE_SUFFIXES = (".hsp", ".hs")
_FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
_PARQUET_SUFFIXES = (".parquet", ".pq")
_CATALOG_SUFFIXES = (
    *_FITS_SUFFIXES, *_PARQUET_SUFFIXES, ".fits.fz", ".hdf5", ".h5", ".hf5", ".hdf", ".csv",
    ".csv.gz", ".pkl", ".pickle", ".pkl.gz",
)  # fmt: skip
# One of these is in a HATS catalogue.
HATS_NAMES = ("hats.properties", "collection.properties", "properties")


def kind_of(path: Path, as_map: bool = False) -> str:
    """What a file or directory is.

    Parameters
    ----------
    path : path
        Exists.
    as_map : bool
        Whether a FITS file is a map even if nothing in it says so.

    Returns
    -------
    {"map", "catalogue", "shards", "emulator", "directory", "other"}
        A file that cannot be read is what its name says.
    """
    if path.is_dir():
        return _kind_of_directory(path)
    name = path.name.lower()
    if name.endswith(_SPARSE_SUFFIXES) or (
        name.endswith(_FITS_SUFFIXES) and (as_map or _is_map(path))
    ):
        return "map"
    return "catalogue" if name.endswith(_CATALOG_SUFFIXES) else "other"


def _kind_of_directory(path: Path) -> str:
    if (path / "emulator.json").is_file():
        return "emulator"
    if (path / MANIFEST_NAME).is_file():
        return "shards"
    # Partitions of a HealSparse map in Parquet.
    if any(path.glob("iopix=*")):
        return "map"
    if any((path / name).is_file() for name in HATS_NAMES):
        return "catalogue"
    shown = [entry for entry in path.iterdir() if not entry.name.startswith((".", "_"))]
    parquet = shown and all(entry.name.endswith(_PARQUET_SUFFIXES) for entry in shown)
    return "catalogue" if parquet else "directory"


def _is_map(path: Path) -> bool:
    """Whether the header of a FITS file, or the size of its only column, is that of a map."""
    try:
        with whole(path):
            hdus = read_hdus(path)
            return len(hdus) > 1 and _is_map_table(path, hdus)
    except BalrogError:
        return False


def _is_map_table(path: Path, hdus: list[Hdu]) -> bool:
    header = hdus[1].header
    if hdus[0].header.get("PIXTYPE") or {"PIXTYPE", "NSIDE", "ORDERING"} & set(header):
        return True
    columns = table_cells(path, hdus[1])
    if len(columns) == 1:
        pixels, rest = divmod(next(iter(columns.values())).size, 12)
        return not rest and pixels > 0 and pixels.bit_count() == 1 and pixels.bit_length() % 2 == 1
    return pixel_column(path, list(columns), header) is not None
