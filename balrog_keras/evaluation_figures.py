"""The figures of an evaluation, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from balrog_keras import calibration_plots, detection_plots, metrics, plots
from balrog_keras.column_text import axis_label, residual_labels
from balrog_keras.evaluation import Evaluation
from balrog_keras.named_figure import NamedFigure
from balrog_keras.peer_plots import peer_figure
from balrog_keras.residuals import magnitude_families, residuals
from balrog_keras.science_figures import (
    colour_figures,
    count_figures,
    grid_figures,
    sky_figures,
    telling_figures,
)

__all__ = ["NamedFigure", "evaluation_figures"]


def evaluation_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    """Draw every figure of an evaluation, one at a time.

    Parameters
    ----------
    evaluation : Evaluation
        From :func:`balrog_keras.evaluation.evaluate`.

    Yields
    ------
    NamedFigure
    """
    if evaluation.peers is not None:
        yield NamedFigure(
            "Side by side",
            "Main statistics of every emulator and of photometric errors made without one, on the "
            "same held-out rows; black lines are what is right, lines 95 % intervals over tiles.",
            peer_figure(evaluation.peers, evaluation.label),
        )
    in_grids = list(grid_figures(evaluation))
    yield from _distribution_figures(evaluation)
    yield from _calibration_figures(evaluation)
    yield from (named for named in in_grids if named.section == "Calibration")
    limits = {bar["name"]: bar["limit"] for bar in evaluation.bars}
    c2st, label = evaluation.statistics["c2st"], evaluation.label
    top = c2st["larger"]
    yield NamedFigure(
        "Classifier test",
        f"AUC of classifiers told to find the emulated rows. The larger is {top['value']:.3f}, "
        f"of the null {top['null']:.3f}.",
        calibration_plots.c2st_figure(c2st, limits["c2st_auc"], evaluation.null_kind, label),
    )
    yield from telling_figures(evaluation)
    yield from _binned_figures(evaluation)
    yield from (named for named in in_grids if named.section == "Bias and spread")
    yield from count_figures(evaluation)
    if evaluation.detection is not None:
        yield from _detection_figures(evaluation.detection.statistics, label)
    yield from sky_figures(evaluation)


def _binned_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    label, titles = evaluation.label, residual_labels(evaluation.schema)
    conditions = {column.name: axis_label(column) for column in evaluation.schema.columns}
    for by, table in evaluation.tables.items():
        yield NamedFigure(
            "Bias and spread",
            f"Median, spread and spread ratio of the residuals in deciles of {by}: real, emulated "
            f"and {evaluation.null_kind}; bands are 95 % bootstrap intervals over tiles.",
            plots.binned_figure(
                table,
                evaluation.null_tables[by],
                titles,
                conditions[by],
                evaluation.null_kind,
                label,
            ),
        )


def _detection_figures(statistics: dict[str, Any], label: str) -> Iterator[NamedFigure]:
    error, worst = statistics["ece"], statistics["worst_completeness"]
    yield NamedFigure(
        "Detection",
        f"Detected fraction of held-out injections in bins of their probability of detection, and "
        f"the difference. The calibration error is {error['value']:.4f}, its 95 % null "
        f"{error['null']:.4f}.",
        detection_plots.reliability_figure(statistics["reliability"], label),
    )
    yield NamedFigure(
        "Detection",
        f"Completeness against every truth column, real (with binomial intervals) and emulated, "
        f"and their difference (with intervals over tiles; grey is a perfect model's). The worst "
        f"is {worst['value']:.4f} ({worst['where']}), its 95 % null {worst['null']:.4f}.",
        detection_plots.completeness_figure(statistics["completeness"], label),
    )
    if statistics["joint"]:
        yield NamedFigure(
            "Detection",
            "Calibration error in bins of truth and seeing (in brackets its 95 % null); colour is "
            "detected minus expected counts in units of their binomial error.",
            detection_plots.joint_figure(statistics["joint"], label),
        )


def _distribution_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    schema, held_out, label = evaluation.schema, evaluation.held_out, evaluation.label
    for family in magnitude_families(schema):
        places = list(family.values())
        names = ", ".join(schema.measured_names[place] for place in places)
        yield NamedFigure(
            "Colours and magnitudes",
            f"Measured colours and magnitudes ({names}) of real rows beside emulated ones, on one "
            "scale, and their difference in units of its Poisson error.",
            plots.colour_magnitude_figure(
                held_out.measured[:, places], evaluation.emulated[:, places], list(family), label
            ),
        )
    extra = list(colour_figures(evaluation))
    yield from (named for named in extra if named.section == "Colours and magnitudes")
    rows, _, other = evaluation.null_pair
    samples = {
        "real": residuals(schema, held_out.condition, held_out.measured),
        "emulated": residuals(schema, held_out.condition, evaluation.emulated),
        evaluation.null_kind: residuals(schema, held_out.condition[rows], other),
    }
    yield NamedFigure(
        "Residuals",
        "Distributions of the residuals (measured minus true; the measured value where there is no "
        f"true one), real, emulated and {evaluation.null_kind}, with their tails; both axes are "
        "compressed.",
        plots.residual_figure(samples, list(residual_labels(schema).values()), label),
    )
    if len(schema.measured) > 1:
        correlations = {
            name: metrics.rank_correlation(samples[name])[0] for name in ("real", "emulated")
        }
        reference = residuals(schema, held_out.condition[rows], evaluation.null_pair[1])
        correlations[evaluation.null_kind] = (
            metrics.rank_correlation(samples[evaluation.null_kind])[0]
            - metrics.rank_correlation(reference)[0]
        )
        yield NamedFigure(
            "Residuals",
            "Rank correlations of the residuals between columns: real, emulated, their difference, "
            "and the same difference of the null; intervals are in the tables.",
            plots.correlation_figure(correlations, schema.measured_names, label),
        )
    yield from (named for named in extra if named.section == "Residuals")


def _calibration_figures(evaluation: Evaluation) -> Iterator[NamedFigure]:
    statistics, label = evaluation.statistics, evaluation.label
    names = evaluation.schema.measured_names
    bins, worst = statistics["calibration_bins"], statistics["pit"]["worst_bin"]
    limit = {bar["name"]: bar["limit"] for bar in evaluation.bars}["worst_pit_ks"]
    yield NamedFigure(
        "Calibration",
        "Histograms of the rank of the measured value among the draws; flat is calibrated, the "
        "grey band holds 95 % of the bars of a perfect emulator.",
        calibration_plots.pit_figure(evaluation.pit, names, label),
    )
    yield NamedFigure(
        "Calibration",
        f"KS distance of the PIT from uniform in quartile bins of every condition; the worst is "
        f"{worst['value']:.3f} ({worst['where']}), its 95 % null {worst['null']:.3f}.",
        calibration_plots.bins_figure(bins, worst, limit, label),
    )
    yield NamedFigure(
        "Calibration",
        "Fraction of measured values inside the central 68 and 95 % of the draws, in quartile bins "
        "of every condition; the grey bands hold 95 % of the points of a perfect emulator.",
        calibration_plots.coverage_figure(bins, names, label),
    )
