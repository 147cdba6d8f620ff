"""Open injection catalogues of any format: only the columns needed are read, in batches of rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from data_prep.catalog_formats.catalog_base import Catalog, Element
from data_prep.catalog_formats.catalog_csv import CsvCatalog
from data_prep.catalog_formats.catalog_fits import FitsCatalog
from data_prep.catalog_formats.catalog_hdf5 import Hdf5Catalog
from data_prep.catalog_formats.catalog_lsdb import LsdbCatalog
from data_prep.catalog_formats.catalog_parquet import ParquetCatalog
from data_prep.catalog_formats.catalog_pickle import PickleCatalog
from data_prep.errors import BalrogError

__all__ = ["Catalog", "Element", "LsdbCatalog", "open_catalog"]

logger = logging.getLogger(__name__)

_FORMATS: dict[tuple[str, ...], Callable[[Path], Catalog]] = {
    (".fits", ".fit", ".fits.gz", ".fit.gz", ".fits.fz"): FitsCatalog,
    (".hdf5", ".h5", ".hf5", ".hdf"): Hdf5Catalog,
    (".parquet", ".pq"): ParquetCatalog,
    (".csv", ".csv.gz"): CsvCatalog,
}
_PICKLES = (".pkl", ".pickle", ".pkl.gz")


def open_catalog(path: str | os.PathLike[str], allow_pickle: bool = False) -> Catalog:
    """Open an injection catalogue.

    Only headers are read, but of CSV and pickles, which do not say what is in them, and of FITS
    tables with a checksum, which is verified.

    Parameters
    ----------
    path : path
        ``.fits``, ``.fits.gz``, ``.hdf5``, ``.h5``, ``.hf5``, ``.parquet``, ``.pq``, ``.csv``,
        ``.csv.gz``, ``.pkl``, or a directory: a HATS catalogue or Parquet files.
    allow_pickle : bool
        Whether a pickle may be opened, which runs any code that is in it.

    Returns
    -------
    Catalog

    Raises
    ------
    BalrogError
        If the file is missing, of another format, damaged, has no rows, or is a pickle that was
        not allowed.
    """
    path = Path(path)
    if not path.exists():
        raise BalrogError(f"a catalogue is needed; {path} does not exist")
    if path.is_file() and path.name.lower().endswith(_PICKLES):
        catalog = _open_pickle(path, allow_pickle)
    else:
        catalog = _open(path)
    if catalog.rows == 0:
        raise BalrogError(f"{path} must hold at least one row; the catalogue is empty")
    return catalog


def _open(path: Path) -> Catalog:
    if path.is_dir():
        return ParquetCatalog(path)
    for suffixes, kind in _FORMATS.items():
        if path.name.lower().endswith(suffixes):
            return kind(path)
    known = ", ".join(suffix for suffixes in _FORMATS for suffix in suffixes)
    raise BalrogError(
        f"a catalogue must be one of {known}, a pickle, or a directory of Parquet files; found "
        f"{path.name}"
    )


def _open_pickle(path: Path, allow_pickle: bool) -> Catalog:
    if not allow_pickle:
        raise BalrogError(
            f"{path} is a pickle, and opening a pickle runs any code that is in it; if you trust "
            "whoever wrote it give --allow-pickle, else ask for it as Parquet or FITS"
        )
    logger.warning("%s is a pickle: opening it runs any code that is in it", path)
    return PickleCatalog(path)
