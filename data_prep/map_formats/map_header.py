"""What a sky map's header says of its layout, resolution and numbering; nothing is guessed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError

__all__ = [
    "choose_column",
    "pixel_column",
    "require_equatorial",
    "resolve_nest",
    "resolve_nside",
    "split_column",
]

logger = logging.getLogger(__name__)

_PIXEL_NAMES = ("PIXEL", "PIX", "HPIX", "HPX_PIX", "HPXPIX", "HEALPIX", "IPIX")
_MOST_NSIDE = 1 << 29


def split_column(path: Path) -> tuple[Path, str | None]:
    """Split ``FILE#COLUMN`` into the file and the name or number of its value column.

    Examples
    --------
    >>> split_column(Path("maps/depth.fits#I"))
    (PosixPath('maps/depth.fits'), 'I')
    """
    name, _, column = path.name.rpartition("#")
    if not name or path.exists():
        return path, None
    return path.with_name(name), column


def pixel_column(path: Path, names: Sequence[str], header: Mapping[str, Any]) -> int | None:
    """Which column of a HEALPix table lists the pixels of its values, by healpy's own rules.

    Parameters
    ----------
    path : path
        The file, for messages.
    names : sequence of str
        Columns of the table.
    header : mapping
        Header of the table.

    Returns
    -------
    int or None
        None: the values are those of every pixel of the sky in order.

    Raises
    ------
    BalrogError
        If there is no column, or none beside the pixels.
    """
    if not names:
        raise BalrogError(f"{path}: a map's table must have columns; it has none")
    declared = {str(header.get(key, "")).strip().upper() for key in ("OBJECT", "INDXSCHM")}
    explicit = declared & {"PARTIAL", "EXPLICIT"}
    implicit = declared & {"FULLSKY", "IMPLICIT"}
    pixels = [place for place, name in enumerate(names) if name.upper() in _PIXEL_NAMES]
    if not explicit and (implicit or pixels[:1] != [0]):
        return None
    if len(names) < 2:
        raise BalrogError(
            f"{path}: a partial map has a pixel and a value column, found {list(names)}"
        )
    return pixels[0] if pixels else 0


def choose_column(path: Path, names: Sequence[str], column: str | int | None) -> int:
    """Place of the wanted value column among those there are.

    Parameters
    ----------
    path : path
        The file, for messages.
    names : sequence of str
        Value columns.
    column : str, int or None
        Name, or number from 0; None: the first, as healpy does, and the log says so.

    Returns
    -------
    int

    Raises
    ------
    BalrogError
        If there is no such column.
    """
    if column is None:
        if len(names) > 1:
            logger.warning(
                "%s holds %s; reading %s; choose another one with %s#NAME",
                path, ", ".join(names), names[0], path.name,
            )  # fmt: skip
        return 0
    if column in names:
        return list(names).index(str(column))
    if str(column).isdigit() and int(column) < len(names):
        return int(column)
    raise BalrogError(f"{path} must have the column {column!r}; it has {', '.join(names)}")


def require_equatorial(path: Path, header: Mapping[str, Any]) -> None:
    """Demand equatorial coordinates, if the header says which.

    Raises
    ------
    BalrogError
        If the map is in Galactic or ecliptic coordinates.
    """
    system = str(header.get("COORDSYS", "")).strip().upper()
    if system[:1] == "G" or system[:3] in ("E", "ECL"):
        raise BalrogError(
            f"{path} must be in equatorial coordinates (COORDSYS C), found {system}; turn it with "
            "healpy.Rotator(coord=[..., 'C']).rotate_map_pixel"
        )


def resolve_nside(path: Path, found: Any, given: int | None) -> int:
    """Resolution that the header says (`found`), or the user where it says none (`given`).

    Raises
    ------
    BalrogError
        If neither or both differ, or it is no power of two.
    """
    if found is None and given is None:
        raise BalrogError(f"{path}: the header has no NSIDE; give --map-nside")
    if found is not None and given is not None and found != given:
        raise BalrogError(f"{path}: its header says NSIDE {found}, --map-nside {given}; drop one")
    nside = found if found is not None else given
    if not isinstance(nside, int) or not 1 <= nside <= _MOST_NSIDE or nside & (nside - 1):
        raise BalrogError(
            f"{path}: NSIDE must be a power of two, found {nside} (at most {_MOST_NSIDE}); give "
            "--map-nside"
        )
    return nside


def resolve_nest(path: Path, found: str, given: bool | None) -> bool:
    """Whether numbering is NESTED: by the header (`found`), or the user where it says nothing.

    Raises
    ------
    BalrogError
        If neither says, or both differ.
    """
    orderings = {"NESTED": True, "NEST": True, "RING": False}
    if found == "NUNIQ":
        raise BalrogError(
            f"{path}: a map of one resolution is needed, found a multi-order map (ORDERING NUNIQ)"
        )
    if found not in orderings and given is None:
        raise BalrogError(
            f"{path}: the header must have ORDERING = NESTED or RING, found {found or 'none'!r}; "
            "give --map-ordering nest or ring"
        )
    if given is not None and orderings.get(found, given) != given:
        raise BalrogError(f"{path}: its header says ORDERING {found}, --map-ordering the other")
    return orderings.get(found, bool(given))
