"""What is drawn for each row: realizations, members, detection; and how it becomes columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from balrog_keras.brightness_units import in_units, unit_columns
from balrog_keras.draw_keys import whole_number
from data_prep.errors import BalrogError

if TYPE_CHECKING:
    from balrog_keras.emulator import Emulator

__all__ = ["LAYOUTS", "DrawPlan", "DrawnRows"]

LAYOUTS = ("long", "wide")

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class DrawnRows:
    """Rows of output.

    Attributes
    ----------
    source : int64 array, shape (R,)
        Which input row each is a draw of; ascending.
    columns : dict of str to array, shape (R,)
        ``member``, ``realization``, the measured columns, ``p_detect``, ``detected``,
        ``in_domain``: those that the plan asks for.
    undetected : int
        Rows of output that were left out because they are not detected.
    outside : int
        Input rows that are usable but not like those the emulator was trained on, if asked for.
    """

    source: np.ndarray
    columns: Columns
    undetected: int = 0
    outside: int = 0


@dataclass(frozen=True, kw_only=True)
class DrawPlan:
    """What is drawn for each row.

    Attributes
    ----------
    seed : int
        Another seed is another realization.
    realizations : int
        Draws of each row, numbered from 0; the first is what is drawn without this.
    layout : {"long", "wide"}
        Several draws of a row become rows, one after the other, with the columns ``realization``
        and ``member``; or columns, as ``meas_mag_r_0``, with members ``meas_mag_r_member1_0``.
    member : int or None
        Which member of an ensemble draws; None for all.
    detected : bool
        Draw whether each row is detected.
    detected_only : bool
        Leave out rows that are not (in the wide layout: not in any draw).
    in_domain : bool
        Add a column that says whether a row is like those the emulator was trained on.
    units : tuple of {"mag", "flux", "nJy", "asinh mag"}
        Give measured brightnesses in these units too, as ``meas_mag_r_flux``; see
        :mod:`balrog_keras.brightness_units`.

    Raises
    ------
    BalrogError
        If a value is not allowed.
    """

    seed: int = 0
    realizations: int = 1
    layout: str = "long"
    member: int | None = 0
    detected: bool = False
    detected_only: bool = False
    in_domain: bool = False
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise BalrogError(f"layout must be {' or '.join(LAYOUTS)}, found {self.layout!r}")
        whole_number("realizations", self.realizations, 1)
        whole_number("seed", self.seed)

    @property
    def with_detection(self) -> bool:
        """Whether detection is drawn."""
        return self.detected or self.detected_only

    def draws(self, members: int) -> list[tuple[int, int]]:
        """(member, realization) of each draw of a row, for an emulator of so many members."""
        chosen = range(members) if self.member is None else (self.member,)
        return [(member, number) for member in chosen for number in range(self.realizations)]

    def draw(self, emulator: Emulator, condition: np.ndarray, row_id: np.ndarray) -> DrawnRows:
        """Draw rows.

        Parameters
        ----------
        emulator : Emulator
            Loaded.
        condition : float32 array, shape (N, C)
            Physical units; NaN gives NaN.
        row_id : int64 array, shape (N,)
            Identity of each row.

        Raises
        ------
        BalrogError
            If the emulator has no such member, realization, detection, domain or unit.
        """
        draws = self.draws(emulator.members)
        more = unit_columns(emulator.schema, self.units)
        drawn = [
            in_units(
                emulator.drawn_columns(
                    condition, row_id, self.seed, member, self.with_detection, draw
                ),
                more,
            )
            for member, draw in draws
        ]
        long = self.layout == "long"
        columns = self._as_rows(draws, drawn) if long else self._as_columns(draws, drawn)
        repeats = len(draws) if long else 1
        outside = 0
        if self.in_domain:
            score, inside = emulator.in_domain(condition)
            columns["in_domain"] = np.repeat(inside, repeats)
            outside = int(np.count_nonzero(~inside & ~np.isnan(score)))
        source = np.repeat(np.arange(len(condition)), repeats)
        if not self.detected_only:
            return DrawnRows(source, columns, outside=outside)
        found = [each["detected"] for each in drawn]
        keep = columns["detected"] if long else np.any(found, axis=0)
        kept = {name: values[keep] for name, values in columns.items()}
        return DrawnRows(source[keep], kept, int(np.count_nonzero(~keep)), outside)

    def _as_rows(self, draws: Sequence[tuple[int, int]], drawn: Sequence[Columns]) -> Columns:
        """The draws of a row one after the other."""
        members, numbers = np.array(draws, np.int32).T
        rows = len(next(iter(drawn[0].values())))
        columns = {"member": np.tile(members, rows)} if self.member is None else {}
        if self.realizations > 1:
            columns["realization"] = np.tile(numbers, rows)
        for name in drawn[0]:
            several = [each[name] for each in drawn]
            columns[name] = several[0] if len(drawn) == 1 else np.stack(several, axis=1).ravel()
        return columns

    def _as_columns(self, draws: Sequence[tuple[int, int]], drawn: Sequence[Columns]) -> Columns:
        """The draws of a row beside each other."""
        columns = {}
        for ending, each in zip(self._endings(draws), drawn, strict=True):
            for name, values in each.items():
                # p_detect is of the condition alone: the same in every draw.
                columns[name if name == "p_detect" else f"{name}{ending}"] = values
        return columns

    def _endings(self, draws: Sequence[tuple[int, int]]) -> list[str]:
        """What follows the names of the columns of each draw."""
        if self.layout == "long":
            return [""]
        of_members = ["" if self.member is not None else f"_member{each}" for each, _ in draws]
        of_draws = ["" if self.realizations == 1 else f"_{number}" for _, number in draws]
        return [first + second for first, second in zip(of_members, of_draws, strict=True)]

    def column_units(self, emulator: Emulator) -> dict[str, str]:
        """Unit of each measured column of the output."""
        schema, endings = emulator.schema, self._endings(self.draws(emulator.members))
        units = {column.name: column.unit for column in schema.measured}
        units |= {name: unit for name, (_, unit) in unit_columns(schema, self.units).items()}
        return {f"{name}{ending}": unit for ending in endings for name, unit in units.items()}
