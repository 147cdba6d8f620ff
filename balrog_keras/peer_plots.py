"""Figure of emulators and photometric-error models side by side; never shows, never saves."""

from __future__ import annotations

from typing import Any

from balrog_keras.plots import COLOURS, Figure, new_figure

__all__ = ["peer_figure"]

_COLUMNS = 4
_RIGHT = {"C2ST AUC": 0.5, "worst spread ratio": 1.0}


def peer_figure(peers: list[dict[str, Any]], label: str) -> Figure:
    """One panel per statistic, one line per model.

    Parameters
    ----------
    peers : list of dict
        From :func:`balrog_keras.peer_comparison.compare_peers`.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Lines are 95 % bootstrap intervals over tiles; the oracle is grey.
    """
    names = list(peers[0]["statistics"])
    lines = -(-len(names) // _COLUMNS)
    height = 0.9 + 0.28 * len(peers)
    title = "Side by side on the same held-out rows"
    figure, axes = new_figure(lines, _COLUMNS, label, title, width=2.6, height=height)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for number, (axis, name) in enumerate(zip(axes.flat, names, strict=False)):
        for y, peer in enumerate(peers):
            entry = peer["statistics"][name]
            colour = COLOURS["null" if peer["name"] == "oracle" else "emulated"]
            if entry["interval"] is not None:
                axis.plot(entry["interval"], [y, y], color=colour, lw=2)
            axis.plot(entry["value"], y, "o", color=colour, ms=4)
        if name != "energy score":
            axis.axvline(_RIGHT.get(name, 0.0), color="black", lw=0.8)
        shown = [peer["name"] for peer in peers] if number % _COLUMNS == 0 else [""] * len(peers)
        axis.set_yticks(range(len(peers)), shown, fontsize=8)
        axis.invert_yaxis()
        axis.set_xlabel(name, fontsize=8)
    return figure
