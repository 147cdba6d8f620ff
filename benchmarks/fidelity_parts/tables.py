"""Results -> one table of systems, beside their nulls, and the bars they meet or miss."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "MEASURES",
    "Measure",
    "by_column",
    "markdown",
    "summary",
    "verdict_lines",
    "verdicts",
]

Scores = Mapping[str, Any]
# A number and its null; None where there is none.
Reading = tuple[float, float | None]


@dataclass(frozen=True)
class Measure:
    """One column of the table.

    Parameters
    ----------
    title : str
        Column heading.
    read : callable
        Statistics of one run -> value of a size and null.
    tolerance : float, optional
        The bar: value <= null + tolerance. None: no absolute bar.
    least_limit : float
        The bar is not below this.
    against_flow : bool
        Whether a bar is to be lower than the best flow's.
    """

    title: str
    read: Callable[[Scores], Reading]
    tolerance: float | None = None
    least_limit: float = 0.0
    against_flow: bool = False


def _auc(scores: Scores) -> Reading:
    return scores["c2st"]["larger"]["value"], scores["c2st"].get("oracle", {}).get("value")


def _auc_upper(scores: Scores) -> Reading:
    return scores["c2st"]["larger"]["interval"][1], _auc(scores)[1]


def _pit(scores: Scores) -> Reading:
    worst = max(scores["pit"]["overall"].values(), key=lambda entry: entry["value"])
    return worst["value"], worst["null"]


def _pit_bin(scores: Scores) -> Reading:
    return scores["pit"]["worst_bin"]["value"], scores["pit"]["worst_bin"]["null"]


def _energy(scores: Scores) -> Reading:
    return scores["energy_score"]["emulator"]["value"], None


def _distance(name: str) -> Callable[[Scores], Reading]:
    def read(scores: Scores) -> Reading:
        entry = scores["two_sample"][name]
        return abs(entry["value"]), entry["null"]

    return read


def _tail(probability: str) -> Callable[[Scores], Reading]:
    """The band whose quantile is furthest off."""

    def read(scores: Scores) -> Reading:
        chosen = [entry for name, entry in scores["two_sample"].items()
                  if name.startswith(f"tail {probability}/")]  # fmt: skip
        worst = max(chosen, key=lambda entry: abs(entry["value"]))
        return abs(worst["value"]), worst["null"]

    return read


def _correlation(scores: Scores) -> Reading:
    entry = scores["two_sample"]["worst correlation"]
    return abs(entry["value"]), entry["null"]


MEASURES = (
    Measure("C2ST AUC", _auc),
    Measure("AUC upper bound", _auc_upper, 0.005),
    Measure("PIT KS", _pit, 0.004),
    Measure("PIT KS worst bin", _pit_bin, 0.01),
    Measure("spread, worst decile", _distance("binned spread"), 0.01),
    Measure("bias/σ, worst decile", _distance("binned bias"), 0.01),
    Measure("colour KS", _distance("worst colour"), 0.004),
    Measure("correlation", _correlation, 0.0, least_limit=0.01),
    Measure("W1/σ", _distance("mean w1"), against_flow=True),
    Measure("energy score", _energy, against_flow=True),
    Measure("tails/σ", _distance("mean tail"), against_flow=True),
    Measure("1 %", _tail("1%")),
    Measure("99 %", _tail("99%")),
    Measure("99.9 %", _tail("99.9%")),
)


def summary(runs: Sequence[Scores]) -> dict[str, dict[str, float | None]]:
    """Median and worst over seeds of every measure, and the largest null.

    Parameters
    ----------
    runs : sequence of mapping
        Statistics of each seed, as :func:`fidelity_parts.scores.score` gives them.
    """
    result = {}
    for measure in MEASURES:
        readings = [_reading(measure, run) for run in runs]
        values = [value for value, _ in readings if value is not None]
        nulls = [null for _, null in readings if null is not None]
        result[measure.title] = {
            "median": statistics.median(values) if values else None,
            "worst": max(values, default=None),
            "null": statistics.median(nulls) if nulls else None,
        }
    return result


def _reading(measure: Measure, run: Scores) -> tuple[float | None, float | None]:
    """The oracle has no draws, and a schema without two bands no colours: those are missing."""
    try:
        return measure.read(run)
    except KeyError:
        return None, None


def verdicts(
    mine: Mapping[str, Any], flow: Mapping[str, Any] | None = None
) -> list[tuple[str, float, float, bool]]:
    """Every bar as (title, median, limit, met).

    Comparisons only where there is a flow; no bar of what the schema does not have.
    """
    result = []
    for measure in MEASURES:
        entry = mine[measure.title]
        if entry["median"] is None:
            continue
        if measure.tolerance is not None:
            limit = max(entry["null"] + measure.tolerance, measure.least_limit)
        elif measure.against_flow and flow is not None:
            limit = flow[measure.title]["median"]
        else:
            continue
        result.append((measure.title, entry["median"], limit, entry["median"] <= limit))
    return result


def verdict_lines(mine: Mapping[str, Any], flow: Mapping[str, Any] | None = None) -> list[str]:
    """Every bar in words."""
    return [
        *(
            f"{'PASS' if met else 'FAIL'}  {title}: {value:.4f}, bar {limit:.4f}"
            for title, value, limit, met in verdicts(mine, flow)
        ),
        *(
            f"      {measure.title}: does not apply to these measured columns"
            for measure in MEASURES
            if mine[measure.title]["median"] is None
        ),
    ]


def markdown(rows: Mapping[str, Mapping[str, Any]], extra: Mapping[str, Mapping[str, str]]) -> str:
    """Systems as rows: median (worst seed if several) and, below, the null.

    Parameters
    ----------
    rows : mapping
        Label -> what :func:`summary` gives.
    extra : mapping
        Label -> heading -> text, for speed and time.
    """
    titles = [measure.title for measure in MEASURES]
    others = list(dict.fromkeys(name for entry in extra.values() for name in entry))
    lines = [_line(["system", *titles, *others]), "|" + "---|" * (1 + len(titles) + len(others))]
    for label, row in rows.items():
        cells = [_cell(row[title]) for title in titles]
        more = [extra.get(label, {}).get(name, "") for name in others]
        lines.append(_line([label, *cells, *more]))
    nulls = [next((row[title]["null"] for row in rows.values() if row[title]["null"]), None)
             for title in titles]  # fmt: skip
    lines.append(_line(["null", *["" if n is None else f"{n:.4f}" for n in nulls],
                        *[""] * len(others)]))  # fmt: skip
    return "\n".join(lines)


def by_column(scores: Scores) -> str:
    """Markdown table of one run: every measured column's own statistics, each with its null.

    Parameters
    ----------
    scores : mapping
        Statistics of one seed, as :func:`fidelity_parts.scores.score` gives them.
    """
    keys = {"W1/σ": "w1", "bias/σ": "bias", "spread ratio - 1": "spread"}
    keys |= {f"{p} quantile, shift/σ": f"tail {p}" for p in ("0.1%", "1%", "99%", "99.9%")}
    titles = ["measured column", "PIT KS", *keys]
    lines = [_line(titles), "|" + "---|" * len(titles)]
    for name, pit in scores["pit"]["overall"].items():
        entries = [pit, *(scores["two_sample"][f"{key}/{name}"] for key in keys.values())]
        cells = [f"{entry['value']:.4f} ({entry['null']:.4f})" for entry in entries]
        lines.append(_line([name, *cells]))
    pairs = {name.split("/", 1)[1]: entry for name, entry in scores["two_sample"].items()
             if name.startswith("correlation/")}  # fmt: skip
    if pairs:
        name, entry = max(pairs.items(), key=lambda item: abs(item[1]["value"]))
        lines += ["", f"furthest correlation: {name}, {entry['value']:+.4f} ({entry['null']:.4f})"]
    lines += ["", f"worst PIT bin: {scores['pit']['worst_bin']['where']}"]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(entry: Mapping[str, Any]) -> str:
    if entry["median"] is None:
        return ""
    text = f"{entry['median']:.4f}"
    return text if entry["worst"] == entry["median"] else f"{text} ({entry['worst']:.4f})"
