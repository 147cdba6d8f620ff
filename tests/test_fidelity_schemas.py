"""The fidelity benchmark on any schema, and its plans for short budgets."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from band_world import band_rows, band_schema, shapes_schema
from shard_files import write_shards

from balrog_keras.config import Settings
from balrog_keras.held_out import HeldOut
from balrog_keras.transforms import reference_indices, restored, transformed, transforms_of
from data_prep.errors import BalrogError

# Last, and after data_prep: the folder has a script of that name.
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from fidelity_parts import data, ours, report, runner, systems, tables
from fidelity_parts import reference as fidelity_reference
from fidelity_parts.distances import TwoSample
from fidelity_parts.reference import Reference
from fidelity_parts.scores import score
from fidelity_parts.spec import BudgetTooShortError, Spec

SCHEMA = shapes_schema()
SPEC = Spec(system="ours", label="ours", seed=0, seconds=300.0, cores=1)
CONTENT = {
    "preset": "any", "label": "a known distribution", "dropped": {}, "rows_read": 3_000,
    "regions": {}, "parents": {}, "map_patterns": {}, "provenance": {"sources": []},
}  # fmt: skip


def location_scale(schema, condition):
    """Of the transformed measured columns; any smooth function of the condition will do."""
    values = transformed(condition, transforms_of(schema.truth + schema.survey))
    index = np.array(reference_indices(schema))
    location = np.where(index >= 0, values[:, index], 1.5 + 0.1 * values[:, :1])
    scale = np.full(len(schema.measured), 0.05) * (1 + 0.2 * (values[:, :1] - 22))
    return location, np.maximum(scale, 0.02)


class Exact:
    """Normal residuals about `location_scale`; one column's can be stretched."""

    label = "a known distribution"

    def __init__(self, schema=SCHEMA, stretch=None):
        self.schema, self.stretch = schema, np.ones(len(schema.measured))
        for name, factor in (stretch or {}).items():
            self.stretch[schema.measured_names.index(name)] = factor

    def draw(self, condition, row_id, seed):
        rng = np.random.default_rng([seed, int(row_id[0]), 3])
        location, scale = location_scale(self.schema, condition)
        noise = rng.normal(size=location.shape) + rng.normal(size=(len(condition), 1))
        values = location + self.stretch * scale * noise
        return restored(values, transforms_of(self.schema.measured)).astype(np.float32)


def reference_of(schema, rows, cache):
    """Held-out rows of the exact distribution with an oracle."""
    condition = band_rows(schema, rows, 1)["condition"]
    region = np.random.default_rng(0).integers(0, 30, rows)
    test, oracle = (
        {"condition": condition, "row_id": np.arange(rows), "region": region,
         "measured": Exact(schema).draw(condition, np.arange(rows), seed)}
        for seed in (11, 12)
    )  # fmt: skip
    held_out = HeldOut.of(test, oracle)
    bare = Reference(schema, held_out, *location_scale(schema, condition), None)
    return bare._with_oracle(cache / "exact")


@pytest.fixture(scope="module")
def reference(tmp_path_factory, quick_classifiers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity_reference, "SWAPS", 40)
        return reference_of(SCHEMA, 2_000, tmp_path_factory.mktemp("nine"))


@pytest.fixture(scope="module")
def scored(reference):
    emulators = {"exact": Exact(), "round": Exact(stretch={"meas_g2": 0.6})}
    return {
        name: score(emulator, reference, draws=40, calibration_rows=1_000, classifier_draws=1)[0]
        for name, emulator in emulators.items()
    }


@pytest.fixture(scope="module")
def nine_shards(tmp_path_factory):
    directory = tmp_path_factory.mktemp("nine-shards")
    sizes = {"train": 2_000, "validation": 500, "test": 500}
    splits = {name: band_rows(SCHEMA, rows, k) for k, (name, rows) in enumerate(sizes.items())}
    write_shards(directory, splits, SCHEMA, CONTENT)
    return directory


def test_every_schema_but_the_published_one_has_a_folder_of_its_own(tmp_path):
    assert data.home(tmp_path) == data.home(tmp_path, data.SCHEMA) == tmp_path
    assert data.home(tmp_path, "mini-balrog-shapes") == tmp_path / "mini-balrog-shapes"
    assert data.home(tmp_path, "presets/mine.yaml") == tmp_path / "mine"


def test_schemas_share_the_simulation_and_its_split(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(data, "_data_prep", lambda *words: commands.append(list(map(str, words))))
    monkeypatch.setattr(data, "require_size", lambda shards: None)
    monkeypatch.setattr(data, "checksum", lambda manifest: "found")
    monkeypatch.setattr(data.Manifest, "load", lambda shards: None)
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim" / "simulation.json").touch()
    made = [data.make_shards(tmp_path, schema) for schema in (data.SCHEMA, "mini-balrog-shapes")]
    data.validation_shards(tmp_path, "mini-balrog-shapes")
    assert made == [tmp_path / "shards", tmp_path / "mini-balrog-shapes" / "shards"]
    first, second, third = commands
    for command, preset, out in (
        (first, data.SCHEMA, made[0]),
        (second, "mini-balrog-shapes", made[1]),
        (third, "mini-balrog-shapes", made[1].with_name("shards-validation")),
    ):
        assert command[0] == "prepare"
        assert command[command.index("--preset") + 1] == preset
        assert command[command.index("--out") + 1] == str(out)
        assert command[command.index("--maps") + 1] == str(tmp_path / "sim" / "maps")
        assert command[command.index("--test-fraction") + 1] == "0.32"


def test_every_measured_column_has_every_distance(reference):
    found = reference.oracle["two_sample"]
    for name in SCHEMA.measured_names:
        for kind in ("w1", "bias", "spread", "tail 1%", "tail 99%", "tail 99.9%"):
            assert np.isfinite(found[f"{kind}/{name}"]["null"]), (kind, name)
    assert sum(name.startswith("correlation/") for name in found) == 36
    colours = {name for name in found if name.startswith("colour/")}
    assert colours == {"colour/meas_mag_r - meas_mag_i", "colour/meas_mag_i - meas_mag_z"}


def test_one_wrong_ellipticity_of_nine_columns_misses_the_bars(scored):
    exact, round_ = (tables.summary([statistics]) for statistics in scored.values())
    met = {title: passed for title, _, _, passed in tables.verdicts(exact)}
    assert met["PIT KS"]
    assert met["spread, worst decile"]
    assert met["correlation"]
    failed = {title for title, _, _, passed in tables.verdicts(round_) if not passed}
    assert {"AUC upper bound", "PIT KS", "spread, worst decile"} <= failed
    assert "colour KS" not in failed


def test_wrong_correlation_of_flux_errors_is_found(reference):
    rows = reference.held_out
    two_sample = TwoSample(SCHEMA, rows.condition)
    broken = rows.measured.copy()
    place = SCHEMA.measured_names.index("meas_flux_err_i")
    # Neighbours in brightness change places: the column keeps its distribution.
    order = np.argsort(rows.condition[:, 0])
    broken[order, place] = np.roll(rows.measured[order, place], 1)
    found = two_sample.distances(rows.measured, broken)
    null = reference.oracle["two_sample"]
    pair = "correlation/meas_flux_err_r | meas_flux_err_i"
    assert found["worst w1"] < null["worst w1"]["null"]
    assert abs(found[pair]) > 4 * null[pair]["null"]
    assert found["worst correlation"] >= abs(found[pair])


def test_table_by_column_names_the_wrong_one(scored):
    rows = [line.split(" | ") for line in tables.by_column(scored["round"]).splitlines()]
    table = {row[0].strip("| "): row for row in rows if len(row) > 2}
    assert set(SCHEMA.measured_names) < set(table)
    spread = rows[0].index("spread ratio - 1")
    off = {name: float(table[name][spread].split()[0]) for name in SCHEMA.measured_names}
    assert off["meas_g2"] == pytest.approx(-0.4, abs=0.06)
    assert max(abs(value) for name, value in off.items() if name != "meas_g2") < 0.1
    assert "worst PIT bin: meas_g2" in tables.by_column(scored["round"])


def test_single_band_has_no_colour_and_no_bar_of_it(tmp_path, quick_classifiers):
    reference = reference_of(band_schema("r"), 800, tmp_path)
    emulator = Exact(reference.schema)
    statistics, _ = score(emulator, reference, draws=20, calibration_rows=400, classifier_draws=1)
    mine = tables.summary([statistics])
    titles = {title for title, *_ in tables.verdicts(mine, mine)}
    assert "PIT KS" in titles
    assert not {"colour KS", "correlation"} & titles
    lines = "\n".join(tables.verdict_lines(mine))
    assert "colour KS: does not apply" in lines
    assert "meas_mag_r" in tables.by_column(statistics)
    tables.markdown({"exact": mine, "oracle": tables.summary([reference.oracle])}, {})


@pytest.mark.slow
@pytest.mark.parametrize("system", ["flow-ar", "flow-coupling", "original"])
def test_peer_learns_nine_columns(system, nine_shards, tmp_path):
    pytest.importorskip("zuko")
    spec = SPEC.but(system=system, seconds=1.0, clock="cpu")
    assert systems.train(spec, nine_shards, tmp_path)["steps"] > 0
    condition = band_rows(SCHEMA, 300, 5)["condition"]
    drawn = systems.load(system, tmp_path).draw(condition, np.arange(300), 0)
    assert drawn.shape == (300, 9)
    assert np.isfinite(drawn).all()
    errors = [name.startswith("meas_flux_err") for name in SCHEMA.measured_names]
    assert (drawn[:, errors] > 0).all()


def test_system_is_loaded_before_the_reference_is_fitted(tmp_path, monkeypatch):
    # PyTorch after TensorFlow is a segmentation fault.
    order = []

    def stop(*_, **__):
        order.append("reference")
        raise BalrogError("far enough")

    monkeypatch.setattr(runner.systems, "load", lambda *_: order.append("system"))
    monkeypatch.setattr(Reference, "of", stop)
    SPEC.save(tmp_path / "spec.json")
    given = (tmp_path, tmp_path, tmp_path, tmp_path / "out.json")
    for command in (lambda: runner.score_here(*given, runner.SCREEN),
                    lambda: runner.validate_here(*given)):  # fmt: skip
        with pytest.raises(BalrogError, match="far enough"):
            command()
    assert order == ["system", "reference"] * 2


@pytest.mark.slow
def test_rung_of_fewer_rows_is_trained_and_validated(
    nine_shards, tmp_path, monkeypatch, quick_classifiers
):
    pytest.importorskip("zuko")
    monkeypatch.setattr(runner, "pin", lambda cores: None)
    spec = SPEC.but(system="flow-ar", seconds=1.0, clock="cpu", rows=1_200)
    model = tmp_path / "model"
    spec.save(model / "spec.json")
    runner.train_here(model, nine_shards, tmp_path)
    small = data.Manifest.load(tmp_path / "shards-rows" / "1200")
    assert small.splits["train"]["rows"] == 1_200
    assert json.loads((model / "training.json").read_text())["steps"] > 0
    runner.validate_here(model, nine_shards, tmp_path / "reference", tmp_path / "auc.json")
    # One second is not enough for nine columns.
    assert 0.6 < json.loads((tmp_path / "auc.json").read_text())["auc"] <= 1


WHOLE_START = 6_000


def costs(spec):
    """10 s, 5 ms for each step of the start by maximum likelihood, 20 ms for each of the critic."""
    start = min(WHOLE_START, spec.settings.get("likelihood_steps", Settings.likelihood_steps))
    return {"seconds": 10 + 0.005 * start + 0.02 * spec.settings["steps"], "start_steps": start}


def test_plan_fills_the_budget_and_shortens_the_start_of_a_short_one(tmp_path):
    whole = ours.planned(SPEC, costs, tmp_path)
    assert "likelihood_steps" not in whole.settings
    assert costs(whole)["seconds"] == pytest.approx(300, abs=0.1)
    short = ours.planned(SPEC.but(seconds=40.0), costs, tmp_path)
    assert costs(short)["seconds"] == pytest.approx(40, abs=0.1)
    assert 0.02 * short.settings["steps"] == pytest.approx(8, abs=0.5)
    assert short.settings["likelihood_steps"] == pytest.approx(4_400, rel=0.05)


def test_plan_refuses_what_holds_no_step(tmp_path):
    with pytest.raises(BudgetTooShortError, match="raise --seconds"):
        ours.planned(SPEC.but(seconds=10.0), costs, tmp_path)


class Rungs:
    """A runner whose AUC falls with the budget."""

    shards = directory = Path()
    screen = False

    def __init__(self):
        self.specs = []

    def validation_auc(self, spec, validation):
        self.specs.append(spec)
        if spec.seconds < 50:
            raise BudgetTooShortError(f"a budget of {spec.seconds:g} s")
        return 0.5 + 1.25 / spec.seconds


def test_ladder_trains_each_budget_for_itself_and_names_the_first(monkeypatch):
    oracle = {"c2st": {"classifiers": {"boosted trees": {"value": 0.5}}}}
    known = Reference(SCHEMA, None, None, None, oracle)
    monkeypatch.setattr(report.Reference, "of", lambda *_, **__: known)
    rungs = Rungs()
    spec = SPEC.but(settings={"steps": 4000, "validation_interval": 400, "width": 64})
    text = report.ladder(rungs, [spec], (25, 50, 100, 200, 400), Path())
    assert [one.seconds for one in rungs.specs] == [25, 50, 100, 200]
    # Steps belong to one budget.
    assert all(one.settings == {"width": 64} for one in rungs.specs)
    assert "a budget of 25 s" in text
    assert "within 0.02 at 100 s, within 0.01 at 200 s" in text
