"""The figures of the science statistics, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from balrog_keras import map_plots, science_plots
from balrog_keras.named_figure import NamedFigure
from balrog_keras.residuals import colours

if TYPE_CHECKING:
    from balrog_keras.evaluation import Evaluation

__all__ = ["colour_figures", "count_figures", "grid_figures", "sky_figures", "telling_figures"]


def colour_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    """Distributions of the colours, and the tails of the residuals."""
    schema, label, null_name = evaluation.schema, evaluation.label, evaluation.null_kind
    names, real = colours(schema, evaluation.held_out.measured)
    _, reference, other = evaluation.null_pair
    science = evaluation.science
    if science is None:
        return
    if names:
        samples = {
            "real": real,
            "emulated": colours(schema, evaluation.emulated)[1],
            null_name: colours(schema, other)[1],
        }
        yield NamedFigure(
            "Colours and magnitudes",
            "Distributions of measured colours, real and emulated, and their difference with a "
            f"95 % interval over tiles, beside the {null_name}.",
            science_plots.colour_figure(
                samples, colours(schema, reference)[1], names, science.bootstrap, label
            ),
        )
    yield NamedFigure(
        "Residuals",
        "Fraction of rows further than some conditional scales from their conditional location, "
        f"and the relative difference with a 95 % interval over tiles, beside the {null_name}.",
        science_plots.tails_figure(science.statistics["tails"], null_name, label),
    )


def grid_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    """Bias, spread, PIT and coverage in magnitude x seeing."""
    science = evaluation.science
    if science is None or not science.statistics["grids"]:
        return
    grids, null_name, label = science.statistics["grids"], evaluation.null_kind, evaluation.label
    worst, said = science.statistics.get("worst_grid_spread"), ""
    if worst is not None:
        said = (
            " By ranks among draws of the same condition, the worst cell's spread is off by "
            f"{100 * worst['signed']:+.1f} % ({worst['where']}); that of a perfect emulator is off "
            f"by less than {100 * worst['null']:.1f} % in 95 % of cases."
        )
    yield NamedFigure(
        "Bias and spread",
        "Bias and spread ratio of the residual in cells of true magnitude and seeing, in brackets "
        f"those of the {null_name}; bold where the 95 % interval over tiles leaves out what is "
        f"right.{said}",
        map_plots.grid_figure(grids, ("bias", "spread_ratio"), null_name, label),
    )
    yield NamedFigure(
        "Calibration",
        "KS distance of the PIT from uniform, over its 95 % null for so many rows, and coverage of "
        "the central 68 and 95 % intervals less those per cents, in cells of true magnitude and "
        "seeing.",
        map_plots.grid_figure(grids, ("pit_ks", "coverage_68", "coverage_95"), null_name, label),
    )


def telling_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    """What the classifier saw."""
    science = evaluation.science
    if science is None:
        return
    telling = science.statistics["telling"]
    top = ", ".join(list(telling["groups"])[:3])
    yield NamedFigure(
        "Classifier test",
        "Left: how much the AUC falls when a column is shuffled, all its forms together; the most "
        f"telling are {top}. Grey is what the same classifier says of the null. Right: the AUC in "
        "quartiles of every condition, so where emulated "
        "rows give themselves away. Lines are 95 % intervals over tiles.",
        science_plots.telling_figure(telling, evaluation.label),
    )


def count_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    """Number counts, selections and mean redshifts."""
    science, label, null_name = evaluation.science, evaluation.label, evaluation.null_kind
    if science is None:
        return
    statistics, section = science.statistics, "Counts and selections"
    if statistics["counts"]:
        yield NamedFigure(
            section,
            "Number counts of held-out detected rows in their measured magnitudes, real and "
            "emulated, and the relative difference with a 95 % interval over tiles, beside the "
            f"{null_name}.",
            science_plots.counts_figure(statistics["counts"], null_name, label),
        )
    panels = {
        "selections": ("Counts after a selection", "emulated / real - 1"),
        "catalogue": ("Counts after detection and a selection", "emulated / real - 1"),
        "redshift_shift": ("Mean true redshift of what is selected", "emulated - real"),
    }
    texts = {
        "selections": "Counts of detected rows that pass a selection by measured columns: emulated "
        "over real, minus 1",
        "catalogue": "Counts of injections that are detected and pass a selection, both drawn by "
        "the emulator, over the real ones, minus 1",
        "redshift_shift": "Mean true redshift of the rows that the emulated columns select minus "
        "that of the rows that the real ones select",
    }
    for key, (title, quantity) in panels.items():
        if statistics.get(key):
            yield NamedFigure(
                section,
                f"{texts[key]}, with 95 % intervals over tiles, beside the null.",
                science_plots.selections_figure(statistics[key], null_name, title, quantity, label),
            )


def sky_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    """The sky, and N/<N> against survey properties."""
    science, label = evaluation.science, evaluation.label
    if science is None:
        return
    if "sky" in science.statistics:
        scatter = science.statistics["sky_scatter"]
        texts = [f"{n} {e['value']:.3f} ({e['null']:.3f})" for n, e in scatter.items()]
        yield NamedFigure(
            "Sky",
            "Bias of every measured column in pixels of the sky, over its noise. Root mean square "
            f"of the bias over the spread, in brackets that of the {evaluation.null_kind}: "
            f"{', '.join(texts)}.",
            map_plots.sky_figure(science.statistics["sky"], label),
        )
    density = science.statistics.get("density")
    if density:
        worst = density["worst"]
        yield NamedFigure(
            "Sky",
            "Detected fraction of injections over its mean in deciles of every survey property, "
            "real and emulated, and the difference with 95 % intervals over tiles; grey holds "
            f"95 % of the differences of a perfect model. The worst is {worst['value']:.4f} "
            f"({worst['where']}), its 95 % null {worst['null']:.4f}.",
            map_plots.density_figure(density["curves"], label),
        )
