"""The Parquet files of a directory: a HATS catalogue, or any directory of Parquet files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data_prep.errors import BalrogError
from data_prep.files import inside

__all__ = ["list_parquet_files"]

_SUFFIXES = (".parquet", ".pq")
_PROPERTIES = ("hats.properties", "properties")
# HATS orders partitions as their pixels lie along the NESTED curve, at this resolution.
_FINEST_ORDER = 29


def list_parquet_files(directory: Path) -> tuple[list[Path], int | None]:
    """List the files that hold the rows.

    Partitions of a HATS catalogue come in the order of their pixels on the sky, other files in
    the order of their names; hidden ones and those that begin with ``_`` do not count. Of a
    collection only the catalogue itself is read, not its margins.

    Parameters
    ----------
    directory : path
        HATS catalogue or collection (IVOA HATS 1.0), or directory of ``.parquet`` or ``.pq``
        files, sub-directories included.

    Returns
    -------
    files : list of pathlib.Path
    rows : int or None
        Number of rows that the catalogue states.

    Raises
    ------
    BalrogError
        If there is no such file or a partition is missing.
    """
    collection = _read_properties(directory / "collection.properties")
    primary = collection.get("hats_primary_table_url", "").strip("/")
    root = inside(directory, primary, "collection.properties") if primary else directory
    found = [name for name in _PROPERTIES if (root / name).is_file()]
    if found:
        rows = _read_properties(root / found[0]).get("hats_nrows", "")
        files = [file for pixel in _pixels(root) for file in _partition(root, *pixel)]
    else:
        rows, files = "", _sorted_parquet(directory)
    if not files:
        raise BalrogError(
            f"{directory} must hold Parquet files ({', '.join(_SUFFIXES)}) to be a catalogue; it "
            "holds none"
        )
    return files, int(rows) if rows.isdigit() else None


def _read_properties(path: Path) -> dict[str, str]:
    """Lines ``key = value`` of a file; nothing if there is no file."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _pixels(root: Path) -> list[tuple[int, int]]:
    """(order, pixel) of each partition, along the sky."""
    try:
        from hats.catalog import partition_info
    except ImportError:
        pixels = _pixels_on_disk(root)
    else:
        try:
            found = partition_info.PartitionInfo.read_from_dir(root).get_healpix_pixels()
            pixels = [(pixel.order, pixel.pixel) for pixel in found]
        except (OSError, ValueError, KeyError) as error:
            raise BalrogError(
                f"{root} must be a HATS catalogue; its description is damaged ({error})"
            ) from error
    return sorted(pixels, key=lambda pixel: (pixel[1] << 2 * (_FINEST_ORDER - pixel[0]), pixel))


def _pixels_on_disk(root: Path) -> list[tuple[int, int]]:
    pixels = []
    for path in (root / "dataset").glob("Norder=*/Dir=*/Npix=*"):
        order, pixel = path.parts[-3].split("=")[1], path.stem.split("=")[1]
        if order.isdigit() and pixel.isdigit():
            pixels.append((int(order), int(pixel)))
    return pixels


def _partition(root: Path, order: int, pixel: int) -> Iterable[Path]:
    """Files of one partition: one, or those of a directory."""
    place = root / "dataset" / f"Norder={order}" / f"Dir={pixel // 10_000 * 10_000}"
    for path in (place / f"Npix={pixel}.parquet", place / f"Npix={pixel}"):
        if path.is_file():
            return [path]
        if path.is_dir():
            return _sorted_parquet(path)
    raise BalrogError(
        f"{root} must hold a partition Norder={order}, Npix={pixel}, which is missing; fetch the "
        "catalogue anew"
    )


def _sorted_parquet(directory: Path) -> list[Path]:
    files = []
    for path in sorted(directory.rglob("*")):
        hidden = any(part[0] in "._" for part in path.relative_to(directory).parts)
        if path.suffix in _SUFFIXES and path.is_file() and not hidden:
            files.append(path)
    return files
