"""Emulate a table in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from balrog_keras.conditions import conditions_of, row_ids_of
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.table_kinds import columns_of, same_kind
from balrog_keras.training_range import TrainingRange

if TYPE_CHECKING:
    from balrog_keras.emulator import Emulator

__all__ = ["emulate_table"]


def emulate_table(
    emulator: Emulator,
    table: Any,
    plan: DrawPlan,
    row_id: Any = None,
    maps: Any = None,
    position: tuple[str, str] = ("ra", "dec"),
) -> Any:
    """Draw rows for a table of truth; :meth:`balrog_keras.emulator.Emulator.emulate` has more.

    Parameters
    ----------
    emulator : Emulator
        Loaded.
    table : pandas.DataFrame, pyarrow.Table, astropy.table.Table or dict of arrays
        Truth columns, and either the survey properties or positions (degrees) with `maps`.
    plan : DrawPlan
        What is drawn for each row.
    row_id : array_like of int64, shape (N,), optional
        Identity of each row; the row number if not given.
    maps : path or SurveyMaps, optional
        Where the survey properties are looked up.
    position : (str, str)
        Columns of right ascension and declination.

    Returns
    -------
    of the same kind as `table`

    Raises
    ------
    BalrogError
        If a column is missing, is not a number or has the wrong unit, or ids are not whole
        numbers.
    """
    schema = emulator.schema
    wanted = {column.name: column.unit for column in schema.truth + schema.survey}
    wanted |= dict.fromkeys(position, "deg")
    condition = conditions_of(columns_of(table, wanted), emulator.info, maps, position)
    usual = TrainingRange(emulator.info)
    usual.log(usual.outside(condition), len(condition))
    drawn = plan.draw(emulator, condition, row_ids_of(row_id, len(condition)))
    return same_kind(table, drawn.columns, drawn.source, plan.column_units(emulator))
