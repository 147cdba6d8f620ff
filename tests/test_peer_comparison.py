from types import SimpleNamespace

import numpy as np
import pytest
from evaluation_world import LABEL, KnownEmulator, conditions, held_out, measure

from balrog_keras import peer_comparison
from balrog_keras.metrics_schema import metrics_schema
from balrog_keras.peer_comparison import PEER_STATISTICS, _main, compare_peers
from balrog_keras.peer_plots import peer_figure
from balrog_keras.report import _plain
from balrog_keras.report_tables import peer_table
from balrog_keras.row_sample import RowSample

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def peers(quick_classifiers):
    """An exact emulator, a stretched one, and the photometric-error models."""
    condition = conditions(6_000, 8)
    train = {"condition": condition, "measured": measure(condition, [8, 1])}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_ROWS", 800), ("_DRAWS", 20), ("_REPLICATES", 10)):
            patch.setattr(peer_comparison, name, value)
        sample = RowSample(train, 6_000, 1.0, 0)
        patch.setattr(peer_comparison, "sample_split", lambda *_: sample)
        models = {"exact": KnownEmulator(), "wide": KnownEmulator(1.6)}
        return compare_peers(models, SimpleNamespace(directory=None), held_out(1_000))


def test_all_are_there_on_the_same_rows(peers):
    names = [peer["name"] for peer in peers]
    assert names == ["oracle", "exact", "wide", "Gaussian errors", "LSST error model",
                     "nearest neighbours"]  # fmt: skip
    assert {peer["rows"] for peer in peers} == {800}
    for peer in peers:
        assert list(peer["statistics"]) == list(PEER_STATISTICS)
    schema = metrics_schema()
    schema = {"$ref": "#/properties/peers", "properties": schema["properties"],
              "$defs": schema["$defs"]}  # fmt: skip
    jsonschema.validate(_plain(peers), schema)


def test_the_exact_one_is_best_and_what_is_wrong_shows(peers):
    found = {
        peer["name"]: {name: entry["value"] for name, entry in peer["statistics"].items()}
        for peer in peers
    }
    spread = "worst spread ratio"
    assert abs(found["exact"][spread] - 1) < 0.25 < found["wide"][spread] - 1
    assert found["exact"]["worst PIT KS in a bin"] < found["wide"]["worst PIT KS in a bin"]
    # Independent Gaussian errors know nothing of correlations; neighbours do.
    correlation = {n: abs(s["worst error of a rank correlation"]) for n, s in found.items()}
    assert correlation["Gaussian errors"] > 0.3 > correlation["exact"]
    assert correlation["nearest neighbours"] < correlation["Gaussian errors"]


def test_table_and_figure(peers):
    html = "".join(peer_table(_plain(peers)))
    assert html.count("<tr>") == 1 + len(PEER_STATISTICS)
    assert "nearest neighbours" in html
    figure = peer_figure(peers, LABEL)
    assert LABEL in figure.get_suptitle()
    assert sum(bool(axis.get_xlabel()) for axis in figure.axes) == len(PEER_STATISTICS)


def test_a_column_without_a_spread_does_not_hide_the_worst():
    known = {"value": 0.1, "interval": [0.0, 0.2]}
    unknown = {"value": np.nan, "interval": [np.nan, np.nan]}
    one = {"c2st": {"larger": known}, "pit": {"worst_bin": known},
           "energy_score": {"emulator": known}}  # fmt: skip
    columns = {"a": unknown, "b": known, "c": {"value": -0.4, "interval": [-0.5, -0.3]}}
    many = dict.fromkeys(("wasserstein", "bias", "colour_ks", "rank_correlation"), columns)
    found = _main({**one, **many, "spread_ratio": columns})
    assert found["worst bias / spread"] == columns["c"]
    assert np.isnan(
        _main({**one, **many, "spread_ratio": {"a": unknown}})["worst spread ratio"]["value"]
    )
