"""Positions of the rows of a catalogue, and survey property maps looked up there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from balrog_keras.stated_units import Conversion, conversion
from data_prep.catalogs import Catalog, Element
from data_prep.map_formats.map_file import require_positions

__all__ = ["CatalogPositions", "looked_up"]


@dataclass(frozen=True)
class CatalogPositions:
    """Where a catalogue has right ascension and declination.

    Attributes
    ----------
    elements : (Element, Element)
        Columns.
    conversions : (Conversion, Conversion)
        From the units of the file to degrees.
    """

    elements: tuple[Element, ...]
    conversions: tuple[Conversion, ...]

    @classmethod
    def of(
        cls, catalog: Catalog, names: Sequence[Sequence[str]], vector_bands: Sequence[str] = ()
    ) -> CatalogPositions:
        """Find the columns.

        Parameters
        ----------
        catalog : Catalog
            Opened.
        names : (sequence of str, sequence of str)
            Names of each, of which the first present counts.
        vector_bands : sequence of str
            Order of the bands in vector columns.

        Raises
        ------
        BalrogError
            If one is missing, or in a unit that is no angle.
        """
        elements = [catalog.require(each, "the position", vector_bands) for each in names]
        conversions = [
            conversion(catalog.units.get(each.column, ""), "deg", f"{catalog.path}: column {each}")
            for each in elements
        ]
        return cls(tuple(elements), tuple(conversions))

    def degrees(
        self, batch: Mapping[str, np.ndarray], first_row: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination of a batch's rows.

        Parameters
        ----------
        batch : mapping of str to array
            Columns of the catalogue.
        first_row : int
            Number of the batch's first row, for messages.

        Returns
        -------
        ra, dec : float64 array, shape (N,)
            Degrees; both NaN where one is no finite number.

        Raises
        ------
        BalrogError
            If a number is out of range; names the first such row.
        """
        ra, dec = (
            convert(np.asarray(element.values(batch), np.float64))
            for element, convert in zip(self.elements, self.conversions, strict=True)
        )
        known = np.isfinite(ra) & np.isfinite(dec)
        ra, dec = (np.where(known, values, 0.0) for values in (ra, dec))
        require_positions(ra, dec, first_row)
        return np.where(known, ra, np.nan), np.where(known, dec, np.nan)


def looked_up(maps: Any, ra: np.ndarray, dec: np.ndarray) -> dict[str, np.ndarray]:
    """Survey properties at positions as :meth:`CatalogPositions.degrees` gives them.

    Parameters
    ----------
    maps : SurveyMaps
        Opened.
    ra, dec : float64 array, shape (N,)
        Degrees.

    Returns
    -------
    dict of str to float32 array, shape (N,)
        NaN where there is no position or no value.
    """
    known = np.isfinite(ra)
    if known.all():
        return dict(maps.values_at(ra, dec))
    found = maps.values_at(np.where(known, ra, 0.0), np.where(known, dec, 0.0))
    return {name: np.where(known, values, np.float32(np.nan)) for name, values in found.items()}
