"""The part of the report about detection: text and tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from balrog_keras.report_tables import folded, interval_text, number, statistic_rows, table

__all__ = ["detection_tables", "detection_text"]

_SCORES = {
    "brier": "Brier score",
    "log_loss": "log-loss [nat]",
    "auc": "area under the ROC curve",
    "ece": "calibration error; the null is the 95 % quantile of simulated draws",
    "worst_completeness": "worst completeness error; the null likewise",
    "counts": "χ² per bin of counts, rows of one parent dependent; the null is the 99 % quantile",
    "counts_binomial": "χ² per bin of counts, all rows independent; the null likewise",
}


def detection_text(detection: dict[str, Any]) -> str:
    """One paragraph for the top of the report.

    Parameters
    ----------
    detection : dict
        ``detection`` of metrics.json.

    Returns
    -------
    str
        HTML.
    """
    rows, factor = detection["rows"], detection["statistics"]["clustering"]
    return (
        f"<p>Detection: {rows['test']:,} held-out injections of {rows['parents']:,} parents in "
        f"{rows['regions']:,} sky regions, {rows['detected']:,} detected. Nulls draw each row on "
        "its own with its probability; injections of one parent share its size and shape, which "
        "are no conditions, and the variance of counts is "
        f"{number(factor['parent'])} times the binomial one for that "
        f"({number(factor['region'])} times for what a region shares).</p>"
    )


def detection_tables(detection: dict[str, Any]) -> Iterator[str]:
    """Folded tables of the scores, of completeness and of magnitude x seeing.

    Parameters
    ----------
    detection : dict
        ``detection`` of metrics.json.

    Yields
    ------
    str
        HTML.
    """
    statistics = detection["statistics"]
    heads = ["", "value", "95 % interval", "null", "null interval", "note"]
    rows = [row for key, title in _SCORES.items() for row in statistic_rows(statistics[key], title)]
    yield folded("Detection", table(heads, rows), opened=True)
    yield folded("Completeness in bins", _completeness_table(statistics["completeness"]))
    if statistics["joint"]:
        title = "Calibration error of detection in bins of magnitude and seeing"
        yield folded(title, _joint_table(statistics["joint"]))


def _completeness_table(curves: dict[str, Any]) -> str:
    rows = []
    for name, bins in curves.items():
        for k, count in enumerate(bins["rows"]):
            real, emulated = bins["detected"][k], bins["expected"][k]
            texts = [number(count), number(real), interval_text(bins["interval"][k])]
            texts += [number(emulated), number(real - emulated)]
            texts += [interval_text(bins["error_interval"][k]), number(bins["null"][k])]
            bounds = interval_text([bins["low"][k], bins["high"][k]])
            rows.append([name, bounds, *texts, "yes" if bins["judged"][k] else "no"])
    heads = ["column", "bin", "rows", "detected", "95 % (Wilson)", "emulated", "difference"]
    return table([*heads, "95 % (regions)", "95 % null", "judged"], rows, numbers=8)


def _joint_table(tables: dict[str, Any]) -> str:
    rows = []
    for name, cells in tables.items():
        across, along = cells["edges"]
        for i, line in enumerate(cells["rows"]):
            for j, count in enumerate(line):
                bounds = [interval_text(across[i : i + 2]), interval_text(along[j : j + 2])]
                texts = [number(count)]
                texts += [number(cells[key][i][j]) for key in ("ece", "null", "excess")]
                rows.append([name, *bounds, *texts])
    heads = ["columns", "first in", "second in", "rows", "calibration error", "95 % null"]
    return table([*heads, "(detected - expected) / σ"], rows, numbers=4)
