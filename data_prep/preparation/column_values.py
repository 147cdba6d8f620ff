"""A schema column from catalogue columns: sentinels, expression, unit, extinction, range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data_prep.expressions import evaluate
from data_prep.photometry import redden
from data_prep.preset import Preset
from data_prep.selection import (
    Selection,
    drop_bad_values,
    drop_sentinels,
    require_plausible_unit,
    to_schema_unit,
)

__all__ = ["EXTINCTION", "catalog_unit", "column_values", "require_plausible_column"]

EXTINCTION = "extinction"


def catalog_unit(name: str, preset: Preset, unit: str | None) -> str:
    """Unit of a column in the catalogue: the preset's, or `unit` for magnitudes and fluxes."""
    said = preset.sources[name].unit
    return unit if unit and said in ("mag", "flux", "nJy", "asinh mag") else said


def column_values(
    inputs: Mapping[str, tuple[np.ndarray, str]],
    name: str,
    preset: Preset,
    unit: str | None,
    bad: Selection,
    where: str,
) -> np.ndarray:
    """Values of a schema column, in its unit; rows with bad values are dropped.

    Parameters
    ----------
    inputs : mapping of str to (array, str)
        Alias -> values, shape (N,), and the name of the catalogue column. The alias
        ``extinction`` is A_b in magnitudes, added to the magnitude.
    name : str
        Schema column.
    preset : Preset
        Expression, units, sentinels, range.
    unit : str or None
        Unit of magnitudes and fluxes, if not what the preset says.
    bad : Selection
        Changed in place.
    where : str
        The catalogue, for messages.

    Returns
    -------
    float32 array, shape (N,)

    Raises
    ------
    BalrogError
        If the expression or the conversion is impossible.
    """
    column = {column.name: column for column in preset.schema.columns}[name]
    source, said = preset.sources[name], catalog_unit(name, preset, unit)
    sentinels = preset.sentinels.get(said, ())
    plain = {alias: values for alias, (values, _) in inputs.items() if alias != EXTINCTION}
    many = len(plain) > 1
    for alias, values in plain.items():
        drop_sentinels(bad, values, f"{name} ({alias})" if many else name, sentinels)
    where = f"{where}: column {', '.join(label for _, label in inputs.values())}"
    if source.expression:
        values = evaluate(source.expression, plain, f"{where}: {name}")
    else:
        values = next(iter(plain.values()))
    with np.errstate(over="ignore", invalid="ignore"):
        given = source.softening.value if source.softening else None
        converted = to_schema_unit(values, column, said, preset.zero_point, where, given)
        if EXTINCTION in inputs:
            extinction = np.asarray(inputs[EXTINCTION][0], np.float32)
            drop_sentinels(bad, extinction, f"{name} (extinction)", preset.sentinels.get("mag", ()))
            converted = redden(converted, extinction, column.unit).astype(np.float32)
    drop_bad_values(bad, values, converted, column)
    return converted


def require_plausible_column(
    inputs: Mapping[str, tuple[np.ndarray, str]],
    name: str,
    preset: Preset,
    unit: str | None,
    where: str,
) -> None:
    """Raise BalrogError if a sample of a column is plainly in another unit than said."""
    said = catalog_unit(name, preset, unit)
    if preset.sources[name].expression or said not in ("mag", "flux", "nJy"):
        return
    for alias, (values, label) in inputs.items():
        if alias != EXTINCTION:
            sentinels = preset.sentinels.get(said, ())
            require_plausible_unit(values, said, sentinels, f"{where}: column {label}")
