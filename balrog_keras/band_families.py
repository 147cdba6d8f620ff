"""Measured columns that are one quantity in several bands."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from balrog_keras.transforms import reference_indices
from data_prep.schema import Column, Schema

__all__ = ["band_families", "link_indices"]


def band_families(schema: Schema, wanted: Callable[[Column], bool]) -> list[dict[str, int]]:
    """Measured columns whose names differ in their band alone, as ``meas_mag_r``, ``meas_mag_i``.

    Parameters
    ----------
    schema : Schema
        Names of the bands and columns.
    wanted : callable
        Which measured columns to look at.

    Returns
    -------
    list of dict of str to int
        Band -> place among the measured columns, in the order of the schema's bands; at least
        two bands each.
    """
    families: dict[str, dict[str, int]] = {}
    for index, column in enumerate(schema.measured):
        if not wanted(column):
            continue
        for band in schema.bands:
            for match in re.finditer(re.escape(band), column.name):
                others = column.name[: match.start()], column.name[match.end() :]
                families.setdefault("{band}".join(others), {})[band] = index
    return [
        {band: members[band] for band in schema.bands if band in members}
        for members in families.values()
        if len(members) > 1
    ]


def link_indices(schema: Schema) -> list[int]:
    """Which earlier measured column each is learned as a difference from; -1 for none.

    What has no reference among the conditions (see
    :func:`~balrog_keras.transforms.reference_indices`), as flux errors and their like, is linked
    to the column before it of the same quantity in another band, if unit and transform agree.

    Parameters
    ----------
    schema : Schema
        Names of the bands and columns.

    Returns
    -------
    list of int
        For each measured column the place of an earlier one, or -1.
    """
    columns, links = schema.measured, [-1] * len(schema.measured)
    alone = {
        column.name
        for column, reference in zip(columns, reference_indices(schema), strict=True)
        if reference < 0
    }
    for family in band_families(schema, lambda column: column.name in alone):
        for before, place in pairwise(sorted(family.values())):
            if links[place] < 0 and _scale(columns[before]) == _scale(columns[place]):
                links[place] = before
    return links


def _scale(column: Column) -> tuple[object, ...]:
    return column.unit, column.transform, column.zero_point, column.softening
