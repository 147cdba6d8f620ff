"""Held-out rows, their oracle, and what an evaluation asks of an emulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from data_prep.errors import BalrogError
from data_prep.schema import Schema

__all__ = ["EmulatorLike", "HeldOut"]


class EmulatorLike(Protocol):
    """The part of an emulator that an evaluation uses."""

    schema: Schema
    label: str

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Measured columns (N, M), a pure function of condition (N, C), row id (N,) and seed."""

    def location_scale(self, condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional location and scale of the transformed measured columns, both (N, M)."""


@dataclass(frozen=True)
class HeldOut:
    """Detected test rows, and for some of them a second measurement of the same injection.

    Parameters
    ----------
    condition : float array, shape (N, C)
        Truth and survey properties.
    measured : float array, shape (N, M)
        Measured columns.
    row_id : int64 array, shape (N,)
        Identity of each row.
    region : int64 array, shape (N,)
        Sky region, the unit of the bootstrap.
    paired : int array, shape (P,)
        Rows of which the oracle, a redraw of the same injection, was detected too.
    oracle : float array, shape (P, M), or None
        The oracle's measured columns; None if the shards hold no redraw.
    position : float array, shape (N, 2), or None
        Right ascension and declination, deg; None if it is not known.
    redshift : float array, shape (N,), or None
        True redshift, NaN where it is not known; None if it is not known at all.
    """

    condition: np.ndarray
    measured: np.ndarray
    row_id: np.ndarray
    region: np.ndarray
    paired: np.ndarray
    oracle: np.ndarray | None
    position: np.ndarray | None = None
    redshift: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        test: dict[str, np.ndarray],
        oracle: dict[str, np.ndarray] | None = None,
        max_rows: int | None = None,
        seed: int = 0,
    ) -> HeldOut:
        """Join the test and oracle splits on their row ids.

        Parameters
        ----------
        test, oracle : dict of arrays
            As ``data_prep.shards.read_split`` gives them.
        max_rows : int, optional
            Use this many rows, chosen at random.
        seed : int
            Seed of that choice.

        Returns
        -------
        HeldOut

        Raises
        ------
        BalrogError
            No rows, values that are not finite, or row ids that repeat.
        """
        for name, split in (("test", test), ("oracle", oracle)):
            if split is not None:
                _check_split(name, split)
        rows = np.arange(len(test["row_id"]))
        if max_rows is not None and max_rows < len(rows):
            rng = np.random.default_rng(np.random.SeedSequence([seed, 0x2085]))
            rows = np.sort(rng.permutation(len(rows))[:max_rows])
        condition, measured, row_id, region = (
            test[key][rows] for key in ("condition", "measured", "row_id", "region")
        )
        paired, redraw = np.arange(0), None
        if oracle is not None:
            _, paired, other = np.intersect1d(
                row_id, oracle["row_id"], assume_unique=True, return_indices=True
            )
            paired, other = paired[np.argsort(paired)], other[np.argsort(paired)]
            redraw = oracle["measured"][other] if len(paired) else None
        position = test["position"][rows] if "position" in test else None
        return cls(condition, measured, row_id, region, paired, redraw, position)

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.row_id)

    def subset(self, keep: np.ndarray) -> HeldOut:
        """The rows where the boolean mask `keep`, shape (N,), holds."""
        kept_pairs = keep[self.paired]
        position = np.cumsum(keep) - 1
        return HeldOut(
            self.condition[keep],
            self.measured[keep],
            self.row_id[keep],
            self.region[keep],
            position[self.paired[kept_pairs]],
            None if self.oracle is None else self.oracle[kept_pairs],
            None if self.position is None else self.position[keep],
            None if self.redshift is None else self.redshift[keep],
        )


def _check_split(name: str, split: dict[str, np.ndarray]) -> None:
    row_id = split["row_id"]
    if len(row_id) == 0:
        raise BalrogError(f"the {name} split must hold rows, found none: prepare the shards again")
    if len(np.unique(row_id)) != len(row_id):
        raise BalrogError(
            f"the {name} split must hold each row_id once, found {len(np.unique(row_id)):,} "
            f"distinct of {len(row_id):,}: the catalogue's injection ids repeat"
        )
    for key in ("condition", "measured"):
        bad = np.argwhere(~np.isfinite(split[key]))
        if len(bad):
            row, column = bad[0]
            raise BalrogError(
                f"the {name} split must hold finite values, found {split[key][row, column]} in "
                f"{key} column {column} of row {row} ({len(bad):,} in all): prepare again"
            )
