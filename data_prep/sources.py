"""Where a schema column comes from in a survey's files, and which rows stay."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["OPERATORS", "Cut", "Extinction", "Input", "Neighbor", "Softening", "Source"]

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Input:
    """A catalogue column.

    Attributes
    ----------
    names : tuple of str
        Alternatives, the first that is present counts; ``name[r]`` or ``name[0]`` picks one
        element of a vector column.
    unit : str
        Unit in the catalogue: ``"mag"``, ``"flux"`` (at the preset's zero point), ``"nJy"``,
        or free text.
    """

    names: tuple[str, ...]
    unit: str


@dataclass(frozen=True)
class Extinction:
    """Extinction A_b added to a magnitude, so that it is as seen through the dust.

    Attributes
    ----------
    coefficient : float
        R_b of A_b = R_b E(B-V); used with a map.
    columns : tuple of str
        Catalogue columns that hold A_b in mag, the first that is present counts.
    maps : tuple of str
        File name patterns of an E(B-V) map, for catalogues without such a column.
    """

    coefficient: float
    columns: tuple[str, ...]
    maps: tuple[str, ...]


@dataclass(frozen=True)
class Neighbor:
    """What is near an injection in the truth catalogue.

    Attributes
    ----------
    statistic : {"density", "flux_ratio"}
        Objects per square arcmin within the radius; flux of the nearest one over the own.
    radius_arcsec : float
        Radius.
    names : tuple of str
        Alternatives of the brightness column, for ``"flux_ratio"``.
    unit : str
        Its unit in the catalogue.
    """

    statistic: str
    radius_arcsec: float
    names: tuple[str, ...]
    unit: str


@dataclass(frozen=True)
class Softening:
    """Softening b of asinh magnitudes: given, or the median noise of a catalogue's first rows.

    Attributes
    ----------
    value : float or None
        In flux units at the column's zero point; None: estimate it.
    inputs : dict of str to Input
        Alias -> catalogue column of the noise, in the unit of the measured flux.
    expression : str
        Noise in flux units, over the aliases; ``""`` means the only input itself.
    """

    value: float | None
    inputs: Mapping[str, Input]
    expression: str


@dataclass(frozen=True)
class Source:
    """Where a schema column comes from: catalogue columns, maps, or its neighbours.

    Attributes
    ----------
    inputs : dict of str to Input
        Alias -> catalogue column; the alias of a plain one is ``"value"``.
    maps : dict of str to tuple of str
        Alias -> file name patterns of a survey property map, the first that matches counts.
    expression : str
        Value in :attr:`unit`, over the aliases; ``""`` means the only input itself.
    zero_is_missing : bool
        Whether a 0 in a map means that there is no value.
    extinction : Extinction or None
        What to add to the magnitude.
    neighbor : Neighbor or None
        For a column about the neighbours.
    softening : Softening or None
        For a column in asinh mag.
    """

    inputs: Mapping[str, Input]
    maps: Mapping[str, tuple[str, ...]]
    expression: str = ""
    zero_is_missing: bool = False
    extinction: Extinction | None = None
    neighbor: Neighbor | None = None
    softening: Softening | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Alternatives of a plain catalogue column, else ()."""
        return self.inputs["value"].names if "value" in self.inputs else ()

    @property
    def unit(self) -> str:
        """Unit of the catalogue columns and of the expression over them, else ``""``."""
        return next((wanted.unit for wanted in self.inputs.values()), "")


@dataclass(frozen=True)
class Cut:
    """A selection: rows where ``column operator value`` stay.

    Attributes
    ----------
    columns : tuple of str
        Alternatives, the first that is present counts; () for a cut on an expression.
    operator, value : str, float
        For example ``"<"``, 2.
    table : {"detection", "matched"}
        Where the columns are.
    rows : {"all", "detected"}
        ``"all"``: depends on the position alone, so it also holds for undetected injections.
    optional : bool
        Whether a missing column is only reported.
    inputs : dict of str to tuple of str
        Alias -> alternatives, for a cut on an expression.
    expression : str
        Over the aliases, instead of a column.
    """

    columns: tuple[str, ...]
    operator: str
    value: float
    table: str
    rows: str
    optional: bool = False
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expression: str = ""

    def keeps(self, values: np.ndarray) -> np.ndarray:
        """Bool array, shape (N,): which of these values stay (NaN never does)."""
        values = np.asarray(values)
        stays: np.ndarray = OPERATORS[self.operator](values, self.value) & ~np.isnan(values)
        return stays

    def __str__(self) -> str:
        if self.expression and (self.operator, self.value) == ("!=", 0):
            return self.expression
        return f"{self.expression or self.columns[0]} {self.operator} {self.value:g}"
