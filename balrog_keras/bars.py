"""Bars: what a statistic of an evaluation must not exceed, its null plus a tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["BARS", "DETECTION_BARS", "SCIENCE_BARS", "Bar"]


@dataclass(frozen=True)
class Bar:
    """A limit on one statistic: its null plus a tolerance.

    Parameters
    ----------
    name : str
        Short name, as in metrics.json.
    title : str
        What is required, in words.
    path : tuple of str
        Where the statistic is in the nested statistics.
    tolerance : float
        Allowed excess over the null.
    """

    name: str
    title: str
    path: tuple[str, ...]
    tolerance: float

    def judge(self, statistics: dict[str, Any]) -> dict[str, Any]:
        """Value, null, limit and whether the bar is met, for metrics.json."""
        entry = statistics
        for key in self.path:
            entry = entry[key]
        limit = entry["null"] + self.tolerance
        return {
            "name": self.name,
            "title": self.title,
            "value": entry["value"],
            "interval": entry["interval"],
            "null": entry["null"],
            "tolerance": self.tolerance,
            "limit": limit,
            "passed": bool(entry["value"] <= limit),
        }


BARS = (
    Bar("c2st_auc", "Classifier two-sample AUC", ("c2st", "larger"), 0.05),
    Bar("worst_pit_ks", "Worst PIT KS over quartile bins", ("pit", "worst_bin"), 0.03),
    Bar("non_finite_draws", "Draws with NaN or infinity", ("non_finite_draws",), 0.0),
)

DETECTION_BARS = (
    Bar("detection_ece", "Detection: calibration error", ("ece",), 0.003),
    Bar(
        "detection_completeness",
        "Detection: worst completeness error in a bin",
        ("worst_completeness",),
        0.005,
    ),
    Bar("detection_counts", "Detection: χ² per bin of counts, 1 % level", ("counts",), 0.0),
)

SCIENCE_BARS = (
    Bar(
        "quartile_spread",
        "Worst spread error in a quartile of a condition",
        ("worst_quartile_spread",),
        0.02,
    ),
    Bar(
        "quartile_bias",
        "Worst bias / spread in a quartile of a condition",
        ("worst_quartile_bias",),
        0.02,
    ),
    Bar(
        "selected_fraction", "Worst error of counts after a selection", ("selected_fraction",), 0.02
    ),
)
