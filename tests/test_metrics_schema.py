import copy
import json

import jsonschema
import pytest

from balrog_keras.metrics_schema import check_metrics, metrics_schema

STATISTIC = {"value": 0.5, "interval": [0.4, 0.6], "null": 0.4, "null_interval": None}
BARE = {"value": 0.5, "interval": None}
BAR = {"name": "a", "title": "A", "value": 1.0, "interval": None, "null": 0.9, "tolerance": 0.1,
       "limit": 1.0, "passed": True}  # fmt: skip
COLUMN = {"meas_mag_r": STATISTIC}
DOCUMENT = {
    "format_version": 1,
    "label": "what the data are",
    "passed": True,
    "bars": [BAR],
    "null": "oracle",
    "rows": {"test": 9, "used": 8, "dropped_non_finite": 1, "paired_with_oracle": 7, "regions": 2,
             "draws_per_row": 20},
    "statistics": {
        "bias": COLUMN, "spread_ratio": COLUMN, "wasserstein": COLUMN, "outlier_fraction": COLUMN,
        "tail_quantiles": {"meas_mag_r": {"1%": STATISTIC}}, "colour_ks": {},
        "rank_correlation": {}, "worst_binned_spread": STATISTIC, "worst_binned_bias": STATISTIC,
        "binned": {}, "pit": {"overall": COLUMN, "worst_bin": STATISTIC},
        "coverage": {"68%": COLUMN}, "calibration_bins": [], "energy_score": {"emulator": BARE},
        "c2st": {"rows": 8, "classifiers": {"trees": STATISTIC}, "larger": STATISTIC,
                 "excess_over_null": BARE},
        "non_finite_draws": STATISTIC,
    },
    "provenance": {},
}  # fmt: skip


def test_schema_is_a_schema_and_the_document_follows_it():
    jsonschema.Draft202012Validator.check_schema(metrics_schema())
    check_metrics(DOCUMENT)
    check_metrics({**DOCUMENT, "peers": [{"name": "a", "rows": 3, "statistics": {"b": BARE}}]})


def _without(*path):
    document = copy.deepcopy(DOCUMENT)
    entry = document
    for key in path[:-1]:
        entry = entry[key]
    del entry[path[-1]]
    return document


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (_without("bars"), "bars"),
        (_without("bars", 0, "null"), "null"),
        (_without("statistics", "pit", "worst_bin", "null"), "null"),
        (_without("statistics", "c2st", "larger", "interval"), "interval"),
        ({**DOCUMENT, "null": "hope"}, "hope"),
        ({**DOCUMENT, "rows": {**DOCUMENT["rows"], "used": -1}}, "-1"),
        ({**DOCUMENT, "other": 1}, "other"),
        ({**DOCUMENT, "science": {}}, "required"),
    ],
)
def test_what_does_not_follow_is_refused(document, where):
    with pytest.raises(RuntimeError, match="metrics.json") as refused:
        check_metrics(json.loads(json.dumps(document)))
    assert where in str(refused.value)
