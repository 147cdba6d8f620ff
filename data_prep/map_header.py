"""What a sky map's header says of its layout, resolution and numbering; nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError

__all__ = ["layout", "resolve_nest", "resolve_nside"]


def layout(path: Path, hdus: Any, header: Mapping[str, Any]) -> tuple[str, int]:
    """Layout and value column of a HEALPix table, by healpy's own rules.

    Parameters
    ----------
    path : path
        The file, for messages.
    hdus : fitsio.FITS
        Open file.
    header : mapping
        Header of its first table.

    Returns
    -------
    ({"full", "partial"}, int)

    Raises
    ------
    BalrogError
        If there is no table, or a partial one without values.
    """
    names = hdus[1].get_colnames() if len(hdus) > 1 and hdus[1].get_exttype() != "IMAGE_HDU" else []
    if not names:
        raise BalrogError(
            f"{path} must hold a HEALPix map in its first table; it has no table; is it truncated?"
        )
    declared = {str(header.get(key, "")).strip().upper() for key in ("OBJECT", "INDXSCHM")}
    explicit = declared & {"PARTIAL", "EXPLICIT"}
    implicit = declared & {"FULLSKY", "IMPLICIT"}
    if explicit or (not implicit and names[0].upper() in ("PIXEL", "PIX")):
        if len(names) < 2:
            raise BalrogError(
                f"{path}: a partial map has a pixel and a value column, found {names}"
            )
        return "partial", 1
    return "full", 0


def resolve_nside(path: Path, found: Any, given: int | None) -> int:
    """Resolution that the header says (`found`), or the user where it says none (`given`).

    Raises
    ------
    BalrogError
        If neither or both differ, or it is no power of two.
    """
    if found is None and given is None:
        raise BalrogError(f"{path}: the header has no NSIDE; give --map-nside")
    if found is not None and given is not None and int(found) != given:
        raise BalrogError(f"{path}: its header says NSIDE {found}, --map-nside {given}; drop one")
    nside = int(found if found is not None else given or 0)
    if nside < 1 or nside & (nside - 1):
        raise BalrogError(f"{path}: NSIDE must be a power of two, found {nside}; give --map-nside")
    return nside


def resolve_nest(path: Path, found: str, given: bool | None) -> bool:
    """Whether numbering is NESTED: by the header (`found`), or the user where it says nothing.

    Raises
    ------
    BalrogError
        If neither says, or both differ.
    """
    orderings = {"NESTED": True, "NEST": True, "RING": False}
    if found not in orderings and given is None:
        raise BalrogError(
            f"{path}: the header must have ORDERING = NESTED or RING, found {found or 'none'!r}; "
            "give --map-ordering nest or ring"
        )
    if given is not None and orderings.get(found, given) != given:
        raise BalrogError(f"{path}: its header says ORDERING {found}, --map-ordering the other")
    return orderings.get(found, bool(given))
