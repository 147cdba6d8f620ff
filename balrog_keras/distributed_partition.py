"""One partition of a distributed catalogue emulated, by an emulator loaded once in its process."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from balrog_keras.conditions import conditions_of, row_ids_of
from balrog_keras.distributed_cache import loaded_emulator, opened_maps
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.table_kinds import columns_of
from data_prep.errors import BalrogError

if TYPE_CHECKING:
    import pandas

    from balrog_keras.emulator import Emulator

__all__ = ["PartitionDraws"]

logger = logging.getLogger(__name__)

# Maps keep what they have read, and are not made for several threads at once.
_LOOKING_UP = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class PartitionDraws:
    """What is drawn for the rows of every partition; small enough to be sent with each.

    Attributes
    ----------
    emulator : str
        Directory of the emulator, which every worker sees.
    sha256 : str
        Of its ``emulator.json``, which holds the checksums of its other files.
    plan : DrawPlan
        What is drawn for each row.
    row_id : str or None
        Column of whole numbers; None for the row number.
    keep : tuple of str
        Columns that are copied.
    maps : str or None
        Directory of survey property maps, which every worker sees.
    position : (str, str)
        Columns of right ascension and declination, degrees.
    """

    emulator: str
    sha256: str
    plan: DrawPlan
    row_id: str | None = None
    keep: tuple[str, ...] = ()
    maps: str | None = None
    position: tuple[str, str] = ("ra", "dec")

    def needed(self, columns: list[str]) -> list[str]:
        """Those of a table's columns that are used, in the table's order.

        Raises
        ------
        BalrogError
            If one is missing, or a kept one has the name of a drawn one.
        """
        schema = loaded_emulator(self.emulator, self.sha256).schema
        survey = [column.name for column in schema.survey]
        wanted = {column.name: f"({column.unit})" for column in schema.truth}
        wanted |= dict.fromkeys(self.keep, "for the output")
        wanted |= {self.row_id: "for the row id"} if self.row_id is not None else {}
        if self.maps is not None and not set(survey) <= set(columns):
            wanted |= dict.fromkeys(self.position, "(degrees) for the look-up in the maps")
        elif self.maps is None:
            wanted |= {column.name: f"({column.unit}), or maps=" for column in schema.survey}
        for name, purpose in wanted.items():
            if name not in columns:
                raise BalrogError(
                    f"the catalogue must have a column {name!r} {purpose}; it has "
                    f"{', '.join(map(str, columns))}"
                )
        return [name for name in columns if name in wanted or name in survey]

    def draw(self, frame: pandas.DataFrame, first_row: int = 0) -> pandas.DataFrame:
        """Draw rows.

        Parameters
        ----------
        frame : pandas.DataFrame
            The partition, of N rows; also one of a kind of its own, as LSDB's.
        first_row : int
            Number of its first row, where row numbers count.

        Returns
        -------
        pandas.DataFrame
            Of the same kind and index: ``row_id`` (int64), the kept columns, the drawn ones.

        Raises
        ------
        BalrogError
            If a column holds no numbers, a position is out of range, or the files are not those
            that the emulator had when this was made.
        """
        emulator = loaded_emulator(self.emulator, self.sha256)
        ids = columns_of(frame, {})[self.row_id] if self.row_id is not None else None
        row_id = row_ids_of(ids, len(frame), first_row)
        drawn = self.plan.draw(emulator, self._condition(emulator, frame), row_id)
        output = frame[list(self.keep)].iloc[drawn.source].copy()
        output.insert(0, "row_id", row_id[drawn.source])
        return output.assign(**drawn.columns)

    def _condition(self, emulator: Emulator, frame: pandas.DataFrame) -> np.ndarray:
        """Conditions of the rows, NaN where unusable, which one line of the log counts."""
        columns, unusable = columns_of(frame, {}), Counter[str]()
        absent = tuple(c.name for c in emulator.schema.survey if c.name not in columns)
        if absent:
            with _LOOKING_UP:
                maps = opened_maps(self.maps, self.emulator, self.sha256, absent)
                found = conditions_of(columns, emulator.info, maps, self.position, unusable)
        else:
            found = conditions_of(columns, emulator.info, unusable=unusable)
        if unusable:
            logger.warning(
                "%s of the %s rows of a partition have no measured values (%s)",
                f"{np.count_nonzero(np.isnan(found[:, 0])):,}", f"{len(found):,}",
                ", ".join(f"{reason}: {rows:,}" for reason, rows in unusable.items()),
            )  # fmt: skip
        return found
