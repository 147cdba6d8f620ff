"""Cuts on measured columns: given as expressions, or those of a survey's preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from data_prep.errors import BalrogError, did_you_mean
from data_prep.expressions import evaluate, names_in
from data_prep.photometry import convert
from data_prep.preset import Preset
from data_prep.schema import PHOTOMETRIC_UNITS, Column, Schema
from data_prep.sources import Cut

__all__ = ["MeasuredCut", "passes", "preset_cuts", "read_cuts"]


@dataclass(frozen=True)
class _Input:
    """A measured column in the unit that a cut was written for."""

    column: Column
    unit: str
    zero_point: float

    def values(self, measured: np.ndarray) -> np.ndarray:
        column = self.column
        if self.unit == column.unit and self.unit != "flux":
            return measured
        own = self.zero_point if column.zero_point is None else column.zero_point
        return convert(
            measured,
            column.unit,
            self.unit,
            zero_point=own,
            to_zero_point=self.zero_point,
            softening=column.softening,
        )


@dataclass(frozen=True)
class MeasuredCut:
    """A selection by measured columns.

    Attributes
    ----------
    text : str
        As it was written.
    inputs : mapping of str to _Input
        Name in the expression -> measured column.
    cut : Cut
        What is kept of the expression's values.
    """

    text: str
    inputs: Mapping[str, _Input] = field(repr=False)
    cut: Cut = field(repr=False)

    def keeps(self, measured: Mapping[str, np.ndarray]) -> np.ndarray:
        """Bool array, shape (N,): which rows stay; none of which a column is NaN.

        Parameters
        ----------
        measured : mapping of str to array, shape (N,)
            Measured columns, in the schema's units.

        Raises
        ------
        BalrogError
            If the expression cannot be computed, or says no yes or no.
        """
        values = {
            name: wanted.values(measured[wanted.column.name])
            for name, wanted in self.inputs.items()
        }
        found = evaluate(self.cut.expression, values, "cut") if self.cut.expression else None
        if found is None:
            (found,) = values.values()
        known = np.all([np.isfinite(each) for each in values.values()], axis=0)
        kept: np.ndarray = self.cut.keeps(found) & known
        return kept


def passes(cuts: Sequence[MeasuredCut], names: Sequence[str], measured: np.ndarray) -> np.ndarray:
    """Bool array, shape (N,): rows that every cut keeps.

    Parameters
    ----------
    cuts : sequence of MeasuredCut
        Maybe none.
    names : sequence of str
        Columns of `measured`.
    measured : float array, shape (N, M)
        In the schema's units.
    """
    columns = dict(zip(names, measured.T, strict=True))
    kept = [cut.keeps(columns) for cut in cuts]
    passing: np.ndarray = np.all([np.ones(len(measured), bool), *kept], axis=0)
    return passing


def read_cuts(texts: Sequence[str], schema: Schema) -> list[MeasuredCut]:
    """Cuts as they are typed, such as ``"meas_mag_i < 22.5"``.

    Parameters
    ----------
    texts : sequence of str
        Comparisons over measured columns, see :func:`data_prep.expressions.evaluate`.
    schema : Schema
        Of the emulator.

    Raises
    ------
    BalrogError
        If one is malformed, is no comparison, or names what is no measured column.
    """
    columns = {column.name: column for column in schema.measured}
    cuts = []
    for text in texts:
        names = names_in(text, "--cut")
        unknown = [name for name in names if name not in columns]
        if unknown:
            raise BalrogError(
                f"--cut {text!r} may use the measured columns {', '.join(columns)}; found "
                f"{', '.join(unknown)}{did_you_mean(unknown[0], columns)}"
            )
        if evaluate(text, {name: np.ones(1) for name in names}, "--cut").dtype != bool:
            raise BalrogError(f"--cut must be a comparison, as 'meas_mag_i < 22'; found {text!r}")
        inputs = {name: _Input(columns[name], columns[name].unit, np.nan) for name in names}
        cuts.append(MeasuredCut(text, inputs, Cut((), "!=", 0, "", "detected", expression=text)))
    return cuts


def preset_cuts(preset: Preset, schema: Schema) -> tuple[list[MeasuredCut], list[str]]:
    """Those cuts of a preset that drawn columns can pass or fail.

    Parameters
    ----------
    preset : Preset
        Whose cuts on detected rows are wanted; its measured columns must have the names of the
        schema's.
    schema : Schema
        Of the emulator.

    Returns
    -------
    cuts : list of MeasuredCut
        In the units of the preset's catalogue.
    others : list of str
        Cuts on positions or on columns that are not drawn. An emulator that was trained with
        such a cut has it in what "detected" means.
    """
    drawn = _drawn_sources(preset, schema)
    cuts, others = [], []
    for cut in preset.cuts:
        aliases = cut.inputs or {"value": cut.columns}
        found = {
            alias: next((drawn[name] for name in names if name in drawn), None)
            for alias, names in aliases.items()
        }
        inputs = {alias: wanted for alias, wanted in found.items() if wanted is not None}
        if cut.rows == "detected" and len(inputs) == len(aliases):
            cuts.append(MeasuredCut(str(cut), inputs, cut))
        else:
            others.append(str(cut))
    return cuts, others


def _drawn_sources(preset: Preset, schema: Schema) -> dict[str, _Input]:
    """Catalogue column of the preset -> measured column that an emulator draws for it."""
    inputs: dict[str, _Input] = {}
    for column in schema.measured:
        source = preset.sources.get(column.name)
        if source is not None and not source.expression and _convertible(column, source.unit):
            wanted = _Input(column, source.unit, preset.zero_point)
            inputs |= dict.fromkeys(source.columns, wanted)
    return inputs


def _convertible(column: Column, unit: str) -> bool:
    return unit == column.unit or {unit, column.unit} <= set(PHOTOMETRIC_UNITS)
