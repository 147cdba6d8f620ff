"""Which curves TensorBoard draws in one chart (its tab "Custom Scalars")."""

from __future__ import annotations

from typing import Any

__all__ = ["write_layout"]

# Heading -> chart -> regular expressions of the curves in it.
_CHARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "Is it good? (validation rows)": {
        "energy score, averaged and raw generator": (r"validation/(raw/)?energy_score",),
        "selection score: decides what is kept": (r"validation/selection_score",),
        "PIT KS in bins: mean and worst": (r"validation/pit_ks/(mean|worst)_bin",),
        "PIT KS of each measured column": (r"validation/pit_ks/(?!mean_bin|worst_bin).*",),
        "spread ratio, 1 is right": (r"validation/spread_ratio/.*",),
        "bias, 0 is right": (r"validation/bias/.*",),
    },
    "Where is it worst? (quintile bins of each condition)": {
        "spread ratio of the worst bin": (r"worst_bin/spread_ratio/.*",),
        "bias of the worst bin, over its spread": (r"worst_bin/bias/.*",),
    },
    "Is it stable? (training rows)": {
        "critic gap: estimate of the Wasserstein distance": (r"train/critic_gap",),
        "gradient penalty": (r"train/gradient_penalty",),
        "gradient norms": (r"train/.*_gradient_norm",),
        "learning rates": (r"learning_rate/.*",),
    },
}


def write_layout() -> None:
    """Write the arrangement of the charts with the current default summary writer."""
    import tensorflow as tf
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(title=heading, chart=[_chart(*item) for item in charts.items()])
            for heading, charts in _CHARTS.items()
        ]
    )
    kind = tf.compat.v1.SummaryMetadata.FromString(
        metadata.create_summary_metadata().SerializeToString()
    )
    tf.summary.write(metadata.CONFIG_SUMMARY_TAG, layout.SerializeToString(), step=0, metadata=kind)


def _chart(title: str, tags: tuple[str, ...]) -> Any:
    from tensorboard.plugins.custom_scalar import layout_pb2

    return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))
