"""Tables of the science statistics in the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from balrog_keras.report_tables import folded, interval_text, number, statistic_rows, table

__all__ = ["science_tables"]

_HEADS = ["", "value", "95 % interval", "null", "null interval", "note"]
_WORST = {
    "worst_quartile_bias": "bias in a quartile of any condition, over its spread, by ranks",
    "worst_quartile_spread": "spread ratio - 1 in a quartile of any condition, by ranks",
    "worst_grid_bias": "bias in a cell of magnitude x seeing, over its spread, by ranks",
    "worst_grid_spread": "spread ratio - 1 in a cell of magnitude x seeing, by ranks",
    "selected_fraction": "counts after a selection, emulated / real - 1",
}
_TITLES = {
    "tails": "Tails: fraction beyond some conditional scales, emulated minus real",
    "selections": "Counts after a selection: emulated over real, minus 1",
    "catalogue": "Counts after detection and a selection: emulated over real, minus 1",
    "redshift_shift": "Mean true redshift of what is selected: emulated minus real",
    "sky_scatter": "Root mean square of the bias over pixels of the sky, over the spread",
}


def science_tables(science: dict[str, Any]) -> Iterator[str]:
    """Folded tables, the worst cells first.

    Parameters
    ----------
    science : dict
        ``science`` of metrics.json.

    Yields
    ------
    str
        HTML.
    """
    rows: list[list[str]] = []
    for key, title in _WORST.items():
        if key in science:
            rows += statistic_rows(science[key], f"worst {title}")
    title = "Worst cells; the null is the 95 % quantile of exchanging real and emulated"
    yield folded(title, table(_HEADS, rows), opened=True)
    for key, title in _TITLES.items():
        if science.get(key):
            yield folded(title, table(_HEADS, list(statistic_rows(science[key], ""))))
    yield from _telling(science["telling"])
    if science["grids"]:
        title = "Bias, spread, PIT and coverage in magnitude x seeing"
        yield folded(title, _grids(science["grids"]))
    if science["counts"]:
        yield folded("Number counts in measured magnitudes", _counts(science["counts"]))
    if science.get("density"):
        yield folded("N/<N> against survey properties", _density(science["density"]["curves"]))


def _telling(telling: dict[str, Any]) -> Iterator[str]:
    heads = ["feature", "fall of the AUC", "95 % interval", "null", "null interval"]
    for key, title in (("groups", "columns in all their forms"), ("features", "single features")):
        rows = [
            [
                name,
                number(entry["value"]),
                interval_text(entry["interval"]),
                number(entry["null"]),
                interval_text(entry["null_interval"]),
            ]
            for name, entry in telling[key].items()
        ]
        yield folded(f"What gives emulated rows away: {title}", table(heads, rows, numbers=4))
    rows = [
        [
            entry["condition"],
            interval_text([entry["low"], entry["high"]]),
            number(entry["rows"]),
            number(entry["value"]),
            interval_text(entry["interval"]),
        ]
        for entry in telling["bins"]
    ]
    heads = ["condition", "bin", "rows", "AUC", "95 % interval"]
    yield folded("Classifier test in quartiles of every condition", table(heads, rows, numbers=3))


def _grids(grids: dict[str, Any]) -> str:
    rows = []
    for name, cells in grids.items():
        across, along = cells["edges"]
        for i, line in enumerate(cells["rows"]):
            for k, count in enumerate(line):
                bounds = [interval_text(across[i : i + 2]), interval_text(along[k : k + 2])]
                texts = [number(count)]
                for key in ("bias", "spread_ratio"):
                    texts.append(number(cells[key][i][k]))
                    texts.append(interval_text(cells[f"{key}_interval"][i][k]))
                    texts.append(number(cells[f"null_{key}"][i][k]))
                keys = ("pit_ks", "pit_ks_null", "coverage_68", "coverage_95")
                texts += [number(cells[key][i][k]) for key in keys]
                rows.append([name, *bounds, *texts])
    heads = ["column", "true magnitude", "seeing", "rows", "bias / spread", "95 % interval", "null"]
    heads += ["spread ratio", "95 % interval", "null", "PIT KS", "95 % null", "in 68 %", "in 95 %"]
    return table(heads, rows, numbers=11)


def _counts(counts: dict[str, Any]) -> str:
    rows = []
    for name, cells in counts.items():
        for k, real in enumerate(cells["real"]):
            texts = [number(real), number(cells["emulated"][k]), number(cells["excess"][k])]
            texts += [interval_text(cells["excess_interval"][k]), number(cells["null_excess"][k])]
            rows.append([name, interval_text(cells["edges"][k : k + 2]), *texts])
    heads = ["column", "bin", "real", "emulated", "emulated / real - 1", "95 % interval", "null"]
    return table(heads, rows, numbers=5)


def _density(curves: dict[str, Any]) -> str:
    rows = []
    for name, curve in curves.items():
        for k, count in enumerate(curve["rows"]):
            real, emulated = curve["real"][k], curve["emulated"][k]
            texts = [number(count), number(real), number(emulated), number(emulated - real)]
            texts += [interval_text(curve["interval"][k]), number(curve["null"][k])]
            rows.append([name, interval_text(curve["edges"][k : k + 2]), *texts])
    heads = ["survey property", "bin", "injections", "N/<N> real", "emulated", "difference"]
    return table([*heads, "95 % interval", "95 % null"], rows, numbers=6)
