"""HTML tables of an evaluation's statistics."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

__all__ = [
    "anchor",
    "bar_table",
    "folded",
    "interval_text",
    "member_table",
    "number",
    "peer_table",
    "section",
    "statistic_rows",
    "statistics_tables",
    "table",
    "wide",
]

_TITLES = {
    "bias": "Bias: emulated minus real median residual, over the real spread",
    "spread_ratio": "Spread ratio: half the 16-84 % range, emulated over real",
    "wasserstein": "Wasserstein distance of the residuals, over the real spread",
    "colour_ks": "KS distance of colours",
    "tail_quantiles": "Tail quantiles of the residual: emulated minus real, over the real spread",
    "outlier_fraction": "Emulated rows more than 5 conditional scales from the location",
    "rank_correlation": "Rank correlation of residuals: emulated minus real",
    "worst_binned_spread": "Worst cell of the deciles: spread ratio minus 1",
    "worst_binned_bias": "Worst cell of the deciles: bias over the cell's spread",
    "pit": "PIT: KS distance from uniform; the null is the 95 % quantile of its simulations",
    "coverage": "Coverage of central intervals",
    "energy_score": "Energy score in units of the conditional scale",
    "c2st": "Classifier two-sample test: AUC",
    "non_finite_draws": "Draws with NaN or infinity",
}


def number(value: Any) -> str:
    """A number for people, an en dash for None."""
    if value is None:
        return "–"
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
    return f"{value:.3g}"


def interval_text(bounds: Any) -> str:
    """Two bounds for people, an en dash where one is None."""
    if bounds is None or None in bounds:
        return "–"
    return f"{number(bounds[0])} to {number(bounds[1])}"


def anchor(title: str) -> str:
    """Where a section is on the page."""
    return title.lower().replace(" ", "-")


def section(title: str) -> str:
    """HTML heading of a section."""
    return f'<h2 id="{anchor(title)}">{escape(title)}</h2>'


def wide(content: str, name: str) -> str:
    """HTML that scrolls sideways where the window is narrow, with the keyboard too."""
    label = escape(name, quote=True)
    return f'<div class="wide" role="region" tabindex="0" aria-label="{label}">{content}</div>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """An HTML table; the last `numbers` columns are set flush right."""
    first = len(heads) - numbers

    def cells(tag: str, entries: Sequence[str]) -> str:
        kinds = ['class="number"' if k >= first else "" for k in range(len(entries))]
        pairs = zip(kinds, entries, strict=True)
        return "".join(f"<{tag} {kind}>{escape(str(text))}</{tag}>" for kind, text in pairs)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = f"<thead><tr>{cells('th', heads)}</tr></thead>"
    return wide(
        f"<table>{head}<tbody>{body}</tbody></table>", f"table of {heads[0] or 'statistics'}"
    )


def bar_table(bars: Sequence[dict[str, Any]]) -> str:
    """The bars, one per row, with value, null, limit and verdict."""
    rows = []
    for bar in bars:
        verdict = '<td class="pass">pass</td>' if bar["passed"] else '<td class="fail">fail</td>'
        texts = [number(bar["value"]), interval_text(bar["interval"]), number(bar["null"])]
        texts.append(f"{number(bar['limit'])} (null + {number(bar['tolerance'])})")
        cells = "".join(f'<td class="number">{escape(text)}</td>' for text in texts)
        rows.append(f"<tr><td>{escape(bar['title'])}</td>{verdict}{cells}</tr>")
    heads = ("value", "95 % interval", "null", "bar: at most")
    head = "".join(f'<th class="number">{text}</th>' for text in heads)
    head = f"<thead><tr><th></th><th></th>{head}</tr></thead>"
    return wide(f"<table>{head}<tbody>{''.join(rows)}</tbody></table>", "bars")


def statistics_tables(entries: dict[str, Any]) -> Iterator[str]:
    """A folded table per kind of statistic, then those in bins.

    Parameters
    ----------
    entries : dict
        ``statistics`` of metrics.json.

    Yields
    ------
    str
        HTML.
    """
    heads = ["", "value", "95 % interval", "null", "null interval", "note"]
    for key, title in _TITLES.items():
        yield folded(title, table(heads, list(statistic_rows(entries[key], ""))), opened=True)
    yield folded("Calibration in quartile bins", _calibration_table(entries))
    yield folded("Bias and spread in deciles", _decile_table(entries["binned"]))


def statistic_rows(entry: dict[str, Any], path: str) -> Iterator[list[str]]:
    """Texts of every statistic in a nested dict: where, value, intervals, null, note."""
    if "value" in entry:
        known = ("value", "interval", "null", "null_interval")
        note = "; ".join(
            f"{key.replace('_', ' ')} {value if isinstance(value, str) else number(value)}"
            for key, value in entry.items()
            if key not in known
        )
        texts = [
            number(entry["value"]),
            interval_text(entry["interval"]),
            number(entry.get("null")),
        ]
        yield [path, *texts, interval_text(entry.get("null_interval")), note]
        return
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from statistic_rows(value, f"{path}, {key}" if path else key)


def folded(title: str, content: str, opened: bool = False) -> str:
    """HTML content that is shown on a click on its title."""
    state = " open" if opened else ""
    return f"<details{state}><summary>{escape(title)}</summary>{content}</details>"


def _calibration_table(entries: dict[str, Any]) -> str:
    rows = []
    for entry in entries["calibration_bins"]:
        for name in entry["pit_ks"]:
            texts = [entry[key][name] for key in ("pit_ks", "pit_ks_null", "coverage_68")]
            texts = [number(value) for value in (*texts, entry["coverage_95"][name])]
            bounds = interval_text([entry["low"], entry["high"]])
            rows.append([entry["condition"], bounds, name, number(entry["rows"]), *texts])
    heads = ["condition", "bin", "column", "rows", "PIT KS", "95 % null", "in 68 %", "in 95 %"]
    return table(heads, rows, numbers=5)


def _decile_table(binned: dict[str, Any]) -> str:
    rows = []
    for by, columns in binned.items():
        for name, cells in columns.items():
            for k, count in enumerate(cells["rows"]):
                texts = []
                for key in ("bias", "spread_ratio"):
                    texts += [number(cells[key][k]), interval_text(cells[f"{key}_interval"][k])]
                    texts.append(number(cells[f"null_{key}"][k]))
                bounds = interval_text(cells["edges"][k : k + 2])
                rows.append([by, bounds, name, number(count), *texts])
    heads = ["condition", "bin", "column", "rows", "bias", "95 % interval", "null"]
    return table([*heads, "spread ratio", "95 % interval", "null"], rows, numbers=7)


def member_table(members: Sequence[dict[str, float]]) -> Iterator[str]:
    """Main statistics of every member of an ensemble, their mean and standard deviation."""
    names = list(members[0])
    rows = [[str(k), *(number(member[name]) for name in names)] for k, member in enumerate(members)]
    columns = [[member[name] for member in members] for name in names]
    rows.append(["mean", *(number(statistics.fmean(column)) for column in columns)])
    rows.append(["spread (sd)", *(number(statistics.stdev(column)) for column in columns)])
    title = "Members of the ensemble, each on the same few rows"
    yield folded(title, table(["member", *names], rows, numbers=len(names)), opened=True)


def peer_table(peers: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Emulators and photometric-error models side by side: value and 95 % interval of each."""
    names = list(peers[0]["statistics"])
    rows = []
    for name in names:
        entries = [peer["statistics"][name] for peer in peers]
        texts = [f"{number(e['value'])} ({interval_text(e['interval'])})" for e in entries]
        rows.append([name, *texts])
    yield table(["statistic", *(peer["name"] for peer in peers)], rows, numbers=len(peers))
    rows_used = peers[0]["rows"]
    yield (
        f"<p>All on the same {rows_used:,} held-out rows, with 95 % intervals over sky regions and "
        "the conditional location and scale of the first. The oracle is a redraw of the same "
        "injections; the photometric-error models know the training rows alone.</p>"
    )
