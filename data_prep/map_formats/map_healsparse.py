"""A HealSparse map: FITS file or Parquet data set, of which only the wanted parts are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.map_formats.fits_stream import (
    Hdu,
    is_gzipped,
    parse_header,
    require_checksums,
    whole,
)
from data_prep.map_formats.map_header import choose_column
from data_prep.map_formats.map_values import Encoding

__all__ = ["SparseMap"]

_BATCH_PIXELS = 1 << 20


@dataclass(frozen=True)
class SparseMap:
    """A HealSparse map on disk; NESTED by definition.

    Attributes
    ----------
    path : path
        FITS file or directory of a Parquet data set.
    nside : int
        Resolution of the values.
    fields : tuple of str
        Fields of a record map; () for a map of plain numbers or bools.
    column : int
        Which field holds the values.
    unit : str
        Its unit, ``""`` if the header does not say.
    length : int or None
        Pixels that the file stores, with the overflow part; None if unknown.

    Notes
    -----
    As in healsparse, a pixel of a boolean map has the value 1 if it is set and none if it is
    not; of an integer map, the declared sentinel is no value.
    """

    path: Path
    nside: int
    fields: tuple[str, ...]
    column: int
    unit: str
    length: int | None

    @classmethod
    def of_fits(cls, path: Path, hdus: list[Hdu], column: str | int | None) -> SparseMap:
        """Open a FITS file by its headers.

        Raises
        ------
        BalrogError
            If it is gzipped, a wide mask, or the field is not said or not there.
        """
        if is_gzipped(path):
            raise BalrogError(f"{path}: a HealSparse map must not be gzipped; run gunzip on it")
        header = hdus[1].header
        _require_plain(path, header.get("WIDEMASK"))
        compressed = bool(header.get("ZIMAGE"))
        prefix = "ZNAXIS" if compressed else "NAXIS"
        axes = [int(header[f"{prefix}{axis + 1}"]) for axis in range(int(header[prefix]))]
        is_table = header.get("XTENSION") == "BINTABLE" and not compressed
        count = int(header["TFIELDS"]) if is_table else 0
        fields = tuple(str(header[f"TTYPE{number + 1}"]).strip() for number in range(count))
        length = axes[1] if is_table else math.prod(axes) * (8 if header.get("BITPACK") else 1)
        place = _choose_field(path, fields, column)
        unit = header.get(f"TUNIT{place + 1}" if is_table else "TUNIT", "")
        return cls(path, header["NSIDE"], fields, place, str(unit).strip(), length)

    @classmethod
    def of_parquet(cls, path: Path, column: str | int | None) -> SparseMap:
        """Open a Parquet data set by its metadata.

        Raises
        ------
        BalrogError
            If the directory is none, or as for :meth:`of_fits`.
        """
        from pyarrow import dataset

        schema = dataset.dataset(path, format="parquet", partitioning="hive").schema
        metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        if metadata.get("healsparse::filetype") != "healsparse":
            raise BalrogError(f"{path}: a directory must be a HealSparse map in Parquet; it is not")
        _require_plain(path, metadata["healsparse::widemask"] == "True")
        names = [name for name in schema.names if name not in ("iopix", "cov_pix")]
        fields = tuple(names) if metadata["healsparse::primary"] else ()
        place = _choose_field(path, fields, column)
        header = parse_header(metadata.get("healsparse::header", "").encode())
        unit = str(header.get("TUNIT", "")).strip()
        return cls(path, int(metadata["healsparse::nside_sparse"]), fields, place, unit, None)

    def require_sound(self) -> None:
        """Demand the checksums that the file states, if any; BalrogError if they differ."""
        if self.path.is_file():
            with whole(self.path):
                require_checksums(self.path)

    def blocks(
        self, area_nside: int | None = None, area: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the map, or only the coverage pixels that touch an area, in bounded memory.

        Parameters
        ----------
        area_nside, area : int, int64 array, optional
            NESTED pixels of the area.

        Yields
        ------
        pixels, values : int64 array, float32 array, shape (P,)
            All pixels of some coverage pixels, ascending.

        Raises
        ------
        BalrogError
            If the file is damaged.
        """
        import healsparse

        with whole(self.path):
            coverage = healsparse.HealSparseCoverage.read(str(self.path))
            size = self._pixels_per_part(coverage)
            parts = np.flatnonzero(coverage.coverage_mask)
            if area is not None and area_nside is not None:
                near = _change_nside(area, area_nside, coverage.nside_coverage)
                parts = parts[np.isin(parts, near)]
            batch = max(1, _BATCH_PIXELS // size)
            for start in range(0, len(parts), batch):
                some = parts[start : start + batch]
                sparse = healsparse.HealSparseMap.read(str(self.path), pixels=some.tolist())
                pixels = (some[:, None] * size + np.arange(size)).ravel()
                yield pixels, self._values(sparse, pixels)

    def _pixels_per_part(self, coverage: Any) -> int:
        """Pixels of a coverage pixel, after a look at the index that says where they are."""
        size = int(coverage.nfine_per_cov)
        index = coverage[:] + np.arange(len(coverage[:])) * size
        if self.length is not None and (
            self.length % size or (index % size).any() or not self._holds(index, size)
        ):
            raise ValueError("its coverage index points outside of its values")
        return size

    def _holds(self, index: np.ndarray, size: int) -> bool:
        return bool(index.min() >= 0 and index.max() + size <= (self.length or 0))

    def _values(self, sparse: Any, pixels: np.ndarray) -> np.ndarray:
        valid = sparse.get_values_pix(pixels, valid_mask=True)
        if self.fields:
            sparse = sparse.get_single(self.fields[self.column])
            valid &= sparse.get_values_pix(pixels, valid_mask=True)
        values = Encoding().clean(sparse.get_values_pix(pixels))
        values[~valid] = np.nan
        return values


def _choose_field(path: Path, fields: tuple[str, ...], column: str | int | None) -> int:
    if len(fields) > 1 and column is None:
        raise BalrogError(
            f"{path} must be told which field to read: give {path.name}#FIELD with one of "
            f"{', '.join(fields)}"
        )
    return choose_column(path, fields or ("SPARSE",), column)


def _require_plain(path: Path, wide: Any) -> None:
    if wide:
        raise BalrogError(
            f"{path} must hold one number per pixel; it is a wide mask, of which healsparse's "
            "as_bit_packed_map or check_bits makes a boolean map"
        )


def _change_nside(pixels: np.ndarray, nside: int, to_nside: int) -> np.ndarray:
    """NESTED pixels of another resolution that cover these, distinct."""
    if to_nside <= nside:
        return np.unique(pixels // (nside // to_nside) ** 2)
    children = (to_nside // nside) ** 2
    return (np.unique(pixels)[:, None] * children + np.arange(children)).ravel()
