import json
from types import SimpleNamespace

import numpy as np
import pytest
from evaluation_world import LABEL, SCHEMA, held_out, location_scale, measure, ranks

from balrog_keras.bars import SCIENCE_BARS
from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.count_statistics import default_selections
from balrog_keras.evaluation import Evaluation
from balrog_keras.measured_cuts import read_cuts
from balrog_keras.report import _plain
from balrog_keras.report_science import science_tables
from balrog_keras.science_figures import (
    colour_figures,
    count_figures,
    grid_figures,
    sky_figures,
    telling_figures,
)
from balrog_keras.science_statistics import _selections, evaluate_science
from data_prep.schema import Column, Schema

ROWS = 1_600


def known_evaluation(stretch=1.0, oracle=True):
    """The part of an evaluation that the science statistics need."""
    rows = held_out(ROWS, oracle)
    rng = np.random.default_rng(0)
    position = np.column_stack([rows.region % 6 + rng.random(ROWS), rows.region / 6])
    rows = type(rows)(**{**rows.__dict__, "position": position})
    emulated = measure(rows.condition, [8, 1], stretch)
    pair = (rows.paired, rows.measured[rows.paired], rows.oracle)
    if not oracle:
        pair = (np.arange(ROWS), emulated, measure(rows.condition, [8, 2]))
    statistics = {"c2st": {"larger": {"classifier": "boosted trees"}}}
    return Evaluation(
        schema=SCHEMA, label=LABEL, statistics=statistics, bars=[], rows={},
        null_kind="oracle" if oracle else "second realization", held_out=rows, emulated=emulated,
        null_pair=pair, pit=ranks(rows.condition, rows.measured, stretch),
        emulated_pit=ranks(rows.condition, emulated, stretch), tables={}, null_tables={},
    )  # fmt: skip


@pytest.fixture(scope="module", params=[True, False], ids=["oracle", "none"])
def science(request, quick_classifiers):
    evaluation = known_evaluation(1.5, request.param)
    cuts = default_selections(SCHEMA, evaluation.held_out.measured)
    scales = location_scale(evaluation.held_out.condition)
    found = evaluate_science(evaluation, scales, cuts, simulations=20, replicates=20)
    return evaluation, found


def test_half_as_wide_again_is_found_everywhere(science):
    statistics = science[1].statistics
    assert statistics["worst_quartile_spread"]["p_value"] == 1 / 21
    assert statistics["worst_grid_spread"]["signed"] > 0.3
    assert (
        statistics["worst_quartile_bias"]["value"] < 2 * statistics["worst_quartile_bias"]["null"]
    )
    assert statistics["tails"]["meas_mag_r"]["> 2"]["interval"][0] > 0
    bars = {bar["name"]: bar["passed"] for bar in science[1].bars}
    assert list(bars) == [bar.name for bar in SCIENCE_BARS]
    assert not bars["quartile_spread"]
    assert bars["selected_fraction"]


def test_every_number_has_its_null(science):
    statistics = science[1].statistics
    for key in ("tails", "selections", "sky_scatter"):
        text = json.dumps(_plain(statistics[key]))
        assert text.count('"value"') == text.count('"null"') > 0
    assert {"null_bias", "null_spread_ratio", "pit_ks_null"} <= set(
        statistics["grids"]["meas_mag_r"]
    )
    assert len(statistics["sky"]["ra"]) == len(statistics["sky"]["bias"]["meas_mag_i"])


def test_tables_and_figures_are_made_of_them(science):
    evaluation = SimpleNamespace(**{**science[0].__dict__, "science": science[1]})
    named = [
        figure
        for make in (colour_figures, grid_figures, telling_figures, count_figures, sky_figures)
        for figure in make(evaluation)
    ]
    assert len(named) == 8
    for each in named:
        assert LABEL in each.figure.get_suptitle()
        assert len(each.text) > 60
    html = "".join(science_tables(_plain(science[1].statistics)))
    assert html.count("<details") == html.count("</details>") == 9
    assert "meas_mag_i &lt;" in html


def test_true_redshifts_of_what_is_selected(caplog):
    columns = (Column("true_mag_r", "mag", "truth"), Column("true_redshift", "1", "truth"),
               Column("meas_mag_r", "mag", "measured", reference="true_mag_r"))  # fmt: skip
    schema = Schema("z", ("r",), columns)
    rng = np.random.default_rng(0)
    truth = rng.uniform(20, 25, 4_000)
    condition = np.column_stack([truth, 0.2 * (truth - 20)])
    real, same = (truth[:, None] + rng.normal(0, 0.05, (4_000, 1)) for _ in range(2))
    bootstrap = RegionBootstrap(np.arange(4_000) % 40, 50)

    def side(emulated):
        return SimpleNamespace(redshift=condition[:, 1], real=real, emulated=emulated,
                               bootstrap=bootstrap)  # fmt: skip

    cuts = {"bright": read_cuts(["meas_mag_r < 23"], schema)}
    known = SimpleNamespace(schema=schema, held_out=SimpleNamespace(region=np.arange(4_000) % 40))
    none = {"none": read_cuts(["meas_mag_r < 3"], schema)}
    assert "selected_fraction" not in _selections(known, side(real), side(same), none, (20, 0))
    assert "hardly a test row passes none" in caplog.text
    found = _selections(known, side(same - 0.5), side(same), cuts, (20, 0))
    assert found["selected_fraction"]["p_value"] == 1 / 21
    assert found["selected_fraction"]["signed"] == pytest.approx(1 / 6, abs=0.03)
    found = found["redshift_shift"]["bright"]
    # Half a magnitude too bright: limits of 23.5 instead of 23, mean redshifts of 0.35 and 0.3.
    assert found["value"] == pytest.approx(0.05, abs=0.01)
    assert found["interval"][0] > 0.03
    assert abs(found["null"]) < 0.005
