"""The kept results as text: systems beside nulls, bars met and missed, time to an AUC."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fidelity_parts import tables
from fidelity_parts.reference import Reference
from fidelity_parts.runner import SCREEN, Runner
from fidelity_parts.spec import BudgetTooShortError, Spec
from fidelity_parts.systems import FLOWS

from data_prep.files import write_json

__all__ = ["ladder", "report"]

# A faster flow counts as the flow if its AUC is this close to the best one's.
_CLOSE = 0.005
_LEAST_SPEED_RATIO = 20.0
_TOLERANCES = (0.02, 0.01)
# Settings that follow from a budget.
_OF_BUDGET = ("steps", "validation_interval")
Groups = Mapping[str, Sequence[Mapping[str, Any]]]


def report(runner: Runner, columns: bool = False) -> str:
    """The whole text; also writes results.json beside the results.

    Parameters
    ----------
    runner : Runner
        Its kept results are shown.
    columns : bool
        Also a table by measured column of every system's first seed.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in runner.kept():
        groups.setdefault(result["group"], []).append(result)
    rows = {
        name: tables.summary([run["statistics"] for run in runs]) for name, runs in groups.items()
    }
    speeds = runner.speeds()
    extra = {name: _costs(runs, speeds.get(name)) for name, runs in groups.items()}
    if groups:
        max_rows = SCREEN.max_rows if runner.screen else None
        reference = Reference.of(runner.shards, runner.directory / "reference", max_rows=max_rows)
        rows["oracle"] = tables.summary([reference.oracle])
    write_json(runner.results / "results.json", {"systems": rows, "costs": extra})
    lines = [tables.markdown(rows, extra)]
    for name, runs in groups.items():
        if runs[0]["spec"]["system"] == "ours":
            lines += ["", f"{name}, {len(runs)} seeds", *_bars(name, groups, rows, speeds)]
    if columns:
        for name, runs in groups.items():
            own = tables.by_column(runs[0]["statistics"])
            lines += ["", f"{name}, by measured column: value (null, 95 %)", "", own]
    return "\n".join(lines) + "\n"


def _costs(runs: Sequence[Mapping[str, Any]], speed: Mapping[str, Any] | None) -> dict[str, str]:
    training = [run["training"] for run in runs]
    rate = statistics.median(entry["galaxies"] / entry["seconds"] for entry in training)
    texts = {
        "training galaxies/s": f"{rate:,.0f}",
        "training s": f"{statistics.median(entry['seconds'] for entry in training):.0f}",
        "CPU s": f"{statistics.median(entry['cpu_seconds'] for entry in training):.0f}",
    }
    if speed:
        texts["draws/s"] = f"{speed['wall']:,.0f} ({speed['how']})"
    return texts


def _bars(
    name: str, groups: Groups, rows: Mapping[str, Any], speeds: Mapping[str, Any]
) -> list[str]:
    """Bars of one system; the flow is the best one trained on as many rows for as long."""
    spec = groups[name][0]["spec"]
    same = ("seconds", "cores", "clock", "rows")
    flows = [
        other
        for other, runs in groups.items()
        if runs[0]["spec"]["system"] in FLOWS
        and all(runs[0]["spec"][key] == spec[key] for key in same)
    ]
    if not flows:
        return [*tables.verdict_lines(rows[name]), "no flow of this budget: train one to compare"]

    def auc(group: str) -> float:
        return rows[group]["C2ST AUC"]["median"]

    best = min(flows, key=auc)
    lines = tables.verdict_lines(rows[name], rows[best]) + [f"      (flow: {best})"]
    fast = [other for other in flows if auc(other) <= auc(best) + _CLOSE and other in speeds]
    if fast and name in speeds:
        rival = max(fast, key=lambda other: speeds[other]["wall"])
        ratio = speeds[name]["wall"] / speeds[rival]["wall"]
        met = "PASS" if ratio >= _LEAST_SPEED_RATIO else "FAIL"
        lines.append(f"{met}  draws/s over {rival}: {ratio:.1f}, bar {_LEAST_SPEED_RATIO:.0f}")
    return lines


def ladder(runner: Runner, specs: Sequence[Spec], budgets: Sequence[float], data: Path) -> str:
    """First budget at which each system's validation AUC is close to the oracle's.

    Parameters
    ----------
    runner : Runner
        Trains what is missing.
    specs : sequence of Spec
        Each is trained anew for every budget, with as many steps as that holds.
    budgets : sequence of float
        Seconds, ascending; those above the first that is close enough are not tried.
    data : path
        Shards whose validation split is tested.
    """
    max_rows = SCREEN.max_rows if runner.screen else None
    reference = Reference.of(runner.shards, runner.directory / "reference", max_rows=max_rows)
    oracle = reference.oracle["c2st"]["classifiers"]["boosted trees"]["value"]
    lines = [f"AUC of the boosted trees on validation tiles; oracle {oracle:.4f}"]
    for spec in specs:
        free = {name: value for name, value in spec.settings.items() if name not in _OF_BUDGET}
        found = {}
        for seconds in budgets:
            try:
                one = spec.but(seconds=float(seconds), settings=free)
                found[seconds] = runner.validation_auc(one, data)
                if found[seconds] <= oracle + min(_TOLERANCES):
                    break
            except BudgetTooShortError as error:
                lines.append(f"{spec.key}: {error}")
        text = ", ".join(f"{seconds:g} s {auc:.4f}" for seconds, auc in found.items())
        firsts = [_first(found, oracle + tolerance) for tolerance in _TOLERANCES]
        lines.append(f"{spec.key}: {text}; within 0.02 {firsts[0]}, within 0.01 {firsts[1]}")
    return "\n".join(lines)


def _first(found: Mapping[float, float], limit: float) -> str:
    reached = [seconds for seconds, auc in found.items() if auc <= limit]
    return f"at {min(reached):g} s" if reached else "never"
