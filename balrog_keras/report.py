"""An evaluation as files: metrics.json, and report.html, one page that needs nothing else."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from balrog_keras.evaluation import Evaluation
from balrog_keras.evaluation_figures import evaluation_figures
from balrog_keras.report_detection import detection_tables, detection_text
from balrog_keras.report_science import science_tables
from balrog_keras.report_style import STYLE
from balrog_keras.report_tables import (
    anchor,
    bar_table,
    member_table,
    peer_table,
    section,
    statistics_tables,
    table,
    wide,
)
from data_prep.files import atomic_path, discard_partials, sync_file, write_json
from data_prep.locks import locked

__all__ = ["metrics_document", "only_writer", "report_page", "write_report"]

_DOTS_PER_INCH = 110
_METRICS, _PAGE = "metrics.json", "report.html"


def metrics_document(evaluation: Evaluation, provenance: dict[str, Any]) -> dict[str, Any]:
    """Content of metrics.json: plain values, None for what is not defined.

    Parameters
    ----------
    evaluation : Evaluation
        From :func:`balrog_keras.evaluation.evaluate`.
    provenance : dict
        What was evaluated with what.

    Returns
    -------
    dict
    """
    document: dict[str, Any] = _plain(
        {
            "format_version": 1,
            "label": evaluation.label,
            "passed": evaluation.passed,
            "bars": evaluation.all_bars,
            "null": evaluation.null_kind,
            "rows": evaluation.rows,
            "statistics": evaluation.statistics,
            **_parts(evaluation),
            "provenance": provenance,
        }
    )
    return document


def _parts(evaluation: Evaluation) -> dict[str, Any]:
    """What only some evaluations have: a detection model, members, peers."""
    parts: dict[str, Any] = {}
    if evaluation.detection is not None:
        parts["detection"] = {
            "rows": evaluation.detection.rows,
            "statistics": evaluation.detection.statistics,
        }
    if evaluation.members is not None:
        parts["members"] = evaluation.members
    if evaluation.science is not None:
        parts["science"] = evaluation.science.statistics
    if evaluation.peers is not None:
        parts["peers"] = evaluation.peers
    return parts


def _plain(value: Any) -> Any:
    """Lists, dicts and Python numbers only; NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Keep other evaluations off a report's directory, and clear away what killed ones left.

    Parameters
    ----------
    directory : pathlib.Path
        Need not exist yet.

    Raises
    ------
    BalrogError
        If another process is writing there.
    """
    with locked(directory, "give another --out"):
        for name in (_METRICS, _PAGE):
            discard_partials(directory / name)
        yield


def write_report(evaluation: Evaluation, provenance: dict[str, Any], directory: Path) -> Path:
    """Write ``metrics.json`` and ``report.html``; both are finished before either is replaced.

    Parameters
    ----------
    evaluation : Evaluation
        From :func:`balrog_keras.evaluation.evaluate`.
    provenance : dict
        What was evaluated with what.
    directory : pathlib.Path
        Made if missing.

    Returns
    -------
    pathlib.Path
        The report.
    """
    document = metrics_document(evaluation, provenance)
    page = directory / _PAGE
    with atomic_path(page) as partial:
        partial.write_text(report_page(evaluation, document), encoding="utf-8")
        sync_file(partial)
        write_json(directory / _METRICS, document)
    return page


def report_page(evaluation: Evaluation, document: dict[str, Any]) -> str:
    """The page: verdict, figures, tables; inline style and images, no script.

    Parameters
    ----------
    evaluation : Evaluation
        Gives the figures.
    document : dict
        From :func:`metrics_document`; gives the numbers.

    Returns
    -------
    str
        HTML.
    """
    name = escape(str(document["provenance"].get("emulator", {}).get("name", "emulator")))
    figures, heads = list(_figures(evaluation)), ["Tables", "Provenance"]
    heads = [*dict.fromkeys(head for head, _ in figures), *heads]
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Evaluation of {name}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>Evaluation of {name}</h1>",
        f'<p class="label">{escape(document["label"])}</p>',
        *_verdict(document),
        *(peer_table(document["peers"]) if "peers" in document else ()),
        _contents(heads),
        *(html for _, html in figures),
        section("Tables"),
        *statistics_tables(document["statistics"]),
        *(science_tables(document["science"]) if "science" in document else ()),
        *(detection_tables(document["detection"]) if "detection" in document else ()),
        *(member_table(document["members"]) if "members" in document else ()),
        section("Provenance"),
        *_provenance(document["provenance"]),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _contents(heads: list[str]) -> str:
    """Links to the sections."""
    links = (f'<a href="#{anchor(head)}">{escape(head)}</a>' for head in heads)
    return f'<nav aria-label="Sections">{"".join(links)}</nav>'


def _verdict(document: dict[str, Any]) -> Iterator[str]:
    rows, oracle = document["rows"], document["null"] == "oracle"
    failed = sum(not bar["passed"] for bar in document["bars"])
    if failed:
        yield f'<p class="verdict fail">{failed} of {len(document["bars"])} bars not met.</p>'
    else:
        yield f'<p class="verdict pass">All {len(document["bars"])} bars are met.</p>'
    yield bar_table(document["bars"])
    chosen = ""
    if rows.get("in_shards", rows["test"]) > rows["test"]:
        chosen = (
            f", chosen at random of {rows['in_shards']:,} (intervals contain the error of that)"
        )
    yield (
        f"<p>{rows['used']:,} held-out detected rows{chosen} in {rows['regions']} sky regions, "
        f"{rows['draws_per_row']} draws per row. What is tested is "
        "p(measured | detected, truth, survey properties).</p>"
    )
    if oracle:
        yield (
            f"<p>Null: the oracle, a redraw of the same injections (a perfect emulator), of which "
            f"{rows['paired_with_oracle']:,} were detected again; for calibration, each draw in "
            "turn in the place of the measured value. A redraw is of the same galaxy, with its "
            "size and shape, which are no conditions: row by row (the energy score's excess) it "
            "knows more than any emulator can.</p>"
        )
    else:
        yield (
            "<p>Null: there is no oracle in these shards, so a second realization of the emulator "
            "is compared with its first; for calibration, each draw in turn takes the place of the "
            "measured value.</p>"
        )
    if "detection" in document:
        yield detection_text(document["detection"])
    yield "<p>Intervals are 95 % of a bootstrap over sky regions.</p>"
    if rows["regions"] < 10:
        yield f"<p>Only {rows['regions']} regions: the intervals are too narrow.</p>"
    if rows["dropped_non_finite"]:
        yield (
            f'<p class="fail">{rows["dropped_non_finite"]:,} of {rows["test"]:,} rows have draws '
            "with NaN or infinity and are left out of all other statistics.</p>"
        )


def _figures(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Section and HTML of every figure; the first of a section has its heading."""
    last = ""
    for named in evaluation_figures(evaluation):
        head = section(named.section) if named.section != last else ""
        last = named.section
        buffer = io.BytesIO()
        named.figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, facecolor="white")
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        text = escape(named.text, quote=True)
        small = ' class="small"' if named.figure.get_figwidth() < 8 else ""
        image = wide(f'<img{small} src="data:image/png;base64,{data}" alt="{text}">', last)
        yield last, f"{head}<figure>{image}<figcaption>{text}</figcaption></figure>"


def _provenance(provenance: dict[str, Any]) -> Iterator[str]:
    for key, value in provenance.items():
        if isinstance(value, dict):
            rows = [[name, _short_text(entry)] for name, entry in value.items()]
            yield table([key.replace("_", " "), ""], rows)
        else:
            yield f"<p>{escape(key)}: {escape(str(value))}</p>"


def _short_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
