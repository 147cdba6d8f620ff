"""How far the members of an ensemble lie apart: the main statistics of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.evaluation import evaluate
from balrog_keras.held_out import HeldOut

if TYPE_CHECKING:
    from balrog_keras.emulator import Emulator

__all__ = ["MAIN_STATISTICS", "MemberView", "member_spread"]

# Enough to see members that differ; the whole test split would take as long for each as for all.
_ROWS, _DRAWS, _REPLICATES = 5_000, 50, 2

MAIN_STATISTICS = {
    "C2ST AUC": ("c2st", "larger"),
    "worst PIT KS": ("pit", "worst_bin"),
    "worst spread ratio": ("worst_binned_spread",),
    "worst bias": ("worst_binned_bias",),
    "energy score": ("energy_score", "emulator"),
}


class MemberView:
    """One member of an emulator as what an evaluation asks for.

    Parameters
    ----------
    emulator : Emulator
        Of several members.
    member : int
        From 0.
    """

    def __init__(self, emulator: Emulator, member: int) -> None:
        self._emulator, self._member = emulator, member
        self.schema, self.label = emulator.schema, emulator.label

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Measured columns (N, M) that this member draws."""
        return self._emulator.draw(condition, row_id, seed, member=self._member)

    def location_scale(self, condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional location and scale of this member's standardizer, both (N, M)."""
        return self._emulator.location_scale(condition, member=self._member)


def member_spread(emulator: Emulator, held_out: HeldOut, seed: int = 0) -> list[dict[str, Any]]:
    """Main statistics of every member on the same rows.

    Parameters
    ----------
    emulator : Emulator
        Of several members.
    held_out : HeldOut
        Rows it was not trained on; 5,000 of them are used.
    seed : int
        Seed of the choice of rows, draws and folds.

    Returns
    -------
    list of dict of str to float
        Per member ``{name of a main statistic: value}``.
    """
    rows = np.random.default_rng(np.random.SeedSequence([seed, 0x3E3B])).permutation(len(held_out))
    few = held_out.subset(np.isin(np.arange(len(held_out)), rows[:_ROWS]))
    result = []
    for member in range(emulator.members):
        view = MemberView(emulator, member)
        evaluation = evaluate(
            view, few, draws=_DRAWS, seed=seed, replicates=_REPLICATES, least_draws=1
        )
        result.append(
            {name: _value(evaluation.statistics, path) for name, path in MAIN_STATISTICS.items()}
        )
    return result


def _value(statistics: dict[str, Any], path: tuple[str, ...]) -> float:
    entry = statistics
    for key in path:
        entry = entry[key]
    return float(entry["value"])
