"""The fidelity benchmark: distances, nulls, budgets, tables, small shards, and its peers."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from evaluation_world import SCHEMA, KnownEmulator, held_out, location_scale
from toy import toy_conditions, toy_measured

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.metrics import spread
from balrog_keras.two_sample import auc_table
from data_prep.errors import BalrogError
from data_prep.manifest import Manifest
from data_prep.shards import read_split

# Last, and after data_prep: the folder has a script of that name.
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from fidelity_parts import data, systems, tables
from fidelity_parts.distances import TwoSample
from fidelity_parts.reference import REPLICATES, Reference
from fidelity_parts.runner import SCREEN, Runner
from fidelity_parts.scores import score
from fidelity_parts.spec import Clock, Spec

SPEC = Spec(system="flow-ar", label="flow", seed=1, seconds=2.0, cores=1)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    rows = held_out(2_500)
    bare = Reference(SCHEMA, rows, *location_scale(rows.condition), None)
    return bare._with_oracle(tmp_path_factory.mktemp("cache") / "world")


@pytest.fixture(scope="module")
def scored(reference):
    return {
        stretch: score(
            KnownEmulator(stretch), reference, draws=40, calibration_rows=1_000, classifier_draws=2
        )
        for stretch in (1.0, 1.3)
    }


def test_distances_are_zero_for_the_same_sample(reference):
    rows = reference.held_out
    found = TwoSample(SCHEMA, rows.condition).distances(rows.measured, rows.measured)
    assert set(found.values()) == {0.0}


def test_distances_are_those_of_scipy(reference):
    rows = reference.held_out
    other = KnownEmulator(1.2).draw(rows.condition, rows.row_id, 5)
    found = TwoSample(SCHEMA, rows.condition).distances(rows.measured, other)
    real, emulated = (values[:, 0] - rows.condition[:, 0] for values in (rows.measured, other))
    low, high = np.quantile(real, [0.16, 0.84], method="hazen")
    expected = scipy.stats.wasserstein_distance(real, emulated) / (0.5 * (high - low))
    name, colour = SCHEMA.measured_names[0], [v[:, 0] - v[:, 1] for v in (rows.measured, other)]
    assert found[f"w1/{name}"] == pytest.approx(expected, rel=1e-6)
    ks = scipy.stats.ks_2samp(*np.float64(colour)).statistic
    first = " - ".join(SCHEMA.measured_names[:2])
    assert found[f"colour/{first}"] == pytest.approx(ks, abs=1e-3)


def test_null_holds_for_exchangeable_samples_and_not_for_others(reference):
    rows = reference.held_out
    two_sample = TwoSample(SCHEMA, rows.condition)
    null = two_sample.null(rows.measured, KnownEmulator().draw(rows.condition, rows.row_id, 7), 40)
    stretched = KnownEmulator(1.5).draw(rows.condition, rows.row_id, 8)
    found = two_sample.distances(rows.measured, stretched)
    again = two_sample.distances(
        rows.measured, KnownEmulator().draw(rows.condition, rows.row_id, 9)
    )
    for name in ("worst spread", "binned spread", "worst w1"):
        assert abs(found[name]) > null[name]
        assert abs(again[name]) < 2 * null[name]


def test_perfect_emulator_meets_the_bars_and_a_stretched_one_does_not(scored):
    perfect, wide = (tables.summary([statistics]) for statistics, _ in scored.values())
    assert perfect["C2ST AUC"]["median"] < 0.53 < wide["C2ST AUC"]["median"]
    met = {title: passed for title, _, _, passed in tables.verdicts(perfect)}
    assert met["PIT KS"]
    assert met["PIT KS worst bin"]
    failed = {title for title, _, _, passed in tables.verdicts(wide) if not passed}
    assert {"AUC upper bound", "PIT KS", "spread, worst decile"} <= failed


def test_energy_score_per_row_averages_to_the_statistic(scored):
    statistics, energy = scored[1.0]
    assert len(energy) == 1_000
    assert energy.mean() == pytest.approx(statistics["energy_score"]["emulator"]["value"])


def test_classifiers_judge_the_mean_of_several_draws(reference, scored):
    rows = reference.held_out
    found = scored[1.3][0]["c2st"]["classifiers"]
    real = reference.features(rows.measured)
    bootstrap = RegionBootstrap(rows.region, REPLICATES)
    tables_of_draws = [
        auc_table(real, reference.features(drawn), bootstrap)
        for drawn in (KnownEmulator(1.3).draw(rows.condition, rows.row_id, k) for k in range(2))
    ]
    for name, entry in found.items():
        expected = [table[name]["value"] for table in tables_of_draws]
        assert entry["samples"] == pytest.approx(expected)
        assert expected[0] != expected[1]
        assert entry["value"] == pytest.approx(np.mean(expected))
        low, high = entry["interval"]
        assert low < entry["value"] < high
        alone = np.ptp([bootstrap.interval(t[name]["replicates"]) for t in tables_of_draws], axis=1)
        # Samples of the same rows: the mean is known better than one, not by the root of two.
        assert 0.5 * alone.mean() < high - low < 1.05 * alone.mean()


def test_result_of_another_scoring_is_scored_again(tmp_path, monkeypatch, caplog):
    runner = Runner(tmp_path, tmp_path / "shards", screen=True)
    spec = SPEC.but(system="flow-ar")
    (runner.model(spec)).mkdir(parents=True)
    (runner.model(spec) / "training.json").write_text("{}")
    calls = []

    def score_one(command, *options):
        calls.append(command)
        result = {"statistics": {}, "scoring": dataclasses.asdict(SCREEN)}
        options[2].write_text(json.dumps(result))

    monkeypatch.setattr(runner, "_run", score_one)
    runner.results.mkdir()
    path = runner.results / f"{spec.key}.json"
    path.write_text(json.dumps({"statistics": {}}))
    assert runner.kept() == []
    assert "1 results of an earlier scoring" in caplog.text
    runner.scored(spec)
    runner.scored(spec)
    assert calls == ["score-one"]
    assert len(runner.kept()) == 1


def test_diverged_system_is_refused(reference):
    broken = np.zeros(len(reference.held_out), bool)
    broken[3] = True
    emulator = KnownEmulator()
    emulator.draw = lambda condition, *_: np.full((len(condition), 3), np.nan)
    with pytest.raises(BalrogError, match="diverged"):
        score(emulator, reference)


def test_score_needs_an_oracle(reference):
    with pytest.raises(BalrogError, match="--replicate"):
        score(KnownEmulator(), dataclasses.replace(reference, oracle=None))


def test_summary_takes_median_and_worst_seed(scored):
    runs = [scored[1.0][0], scored[1.0][0], scored[1.3][0]]
    both = tables.summary(runs)["C2ST AUC"]
    assert both["median"] == runs[0]["c2st"]["larger"]["value"]
    assert both["worst"] == runs[2]["c2st"]["larger"]["value"]


def test_flow_sets_the_bars_of_comparison(scored):
    good, wide = (tables.summary([statistics]) for statistics, _ in scored.values())
    met = {title: passed for title, _, _, passed in tables.verdicts(good, wide)}
    assert met["W1/σ"]
    met = {title: passed for title, _, _, passed in tables.verdicts(wide, good)}
    assert not met["W1/σ"]


def test_markdown_is_a_table_with_the_oracle(scored, reference):
    rows = {"ours": tables.summary([scored[1.0][0]]), "oracle": tables.summary([reference.oracle])}
    lines = tables.markdown(rows, {"ours": {"draws/s": "12"}}).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["ours", "oracle", "null"]


def test_key_tells_specs_apart(tmp_path):
    others = [
        SPEC.but(seed=2), SPEC.but(seconds=3.0), SPEC.but(cores=2), SPEC.but(clock="cpu"),
        SPEC.but(rows=10), SPEC.but(settings={"bins": 16}), SPEC.but(label="other"),
    ]  # fmt: skip
    assert len({spec.key for spec in [SPEC, *others]}) == 8
    assert SPEC.but(seed=2).group == SPEC.group
    SPEC.save(tmp_path / "model" / "spec.json")
    assert Spec.load(tmp_path / "model" / "spec.json") == SPEC


def test_cpu_clock_counts_work_over_cores():
    one, two = Clock("cpu", 1), Clock("cpu", 2)
    np.sort(np.random.default_rng(0).random(1_000_000))
    report = two.report()
    assert 0 < report["seconds"] < one.elapsed()
    assert report["cpu_seconds"] == pytest.approx(2 * report["seconds"], rel=0.05)


def test_unknown_system_names_the_known_ones():
    with pytest.raises(BalrogError, match="flow-coupling"):
        systems.settings_of("flows", {})


def test_fewer_training_rows_are_the_first_ones(toy_shards, tmp_path):
    small = data.shards_with_rows(toy_shards, 300, tmp_path / "small")
    for name in Manifest.load(small).splits:
        whole, part = read_split(toy_shards, name), read_split(small, name)
        rows = 300 if name == "train" else len(whole["row_id"])
        for key, values in part.items():
            np.testing.assert_array_equal(values, whole[key][:rows])
    assert data.checksum(Manifest.load(small)) != data.checksum(Manifest.load(toy_shards))
    with pytest.raises(BalrogError, match="1 to 8,000"):
        data.shards_with_rows(toy_shards, 8_001, tmp_path / "more")


def test_further_training_rows_join_in_random_order(toy_shards, tmp_path):
    for name in ("shards", "shards-more-5"):
        (tmp_path / name).symlink_to(toy_shards)
    most = data.shards_with_rows(tmp_path / "shards", 12_000, tmp_path / "most")
    row_id = read_split(most, "train")["row_id"]
    one = np.sort(read_split(toy_shards, "train")["row_id"])
    assert len(row_id) == 12_000
    # Both halves are the same rows here: every one comes once or twice, in no order.
    _, times = np.unique(row_id, return_counts=True)
    assert set(times) == {1, 2}
    assert set(row_id) <= set(one)
    assert abs(np.corrcoef(np.arange(12_000), row_id)[0, 1]) < 0.05
    whole, part = (read_split(shards, "test") for shards in (toy_shards, most))
    np.testing.assert_array_equal(whole["measured"], part["measured"])
    with pytest.raises(BalrogError, match="1 to 16,000"):
        data.shards_with_rows(tmp_path / "shards", 16_001, tmp_path / "too-many")
    # Rows that were there before stay the ones they were, however many simulations are beside them.
    (tmp_path / "shards-more-6").symlink_to(toy_shards)
    again = data.shards_with_rows(tmp_path / "shards", 12_000, tmp_path / "again")
    np.testing.assert_array_equal(read_split(again, "train")["row_id"], row_id)
    three = data.shards_with_rows(tmp_path / "shards", 24_000, tmp_path / "three")
    _, times = np.unique(read_split(three, "train")["row_id"], return_counts=True)
    assert set(times) == {3}


def test_as_many_simulations_are_made_as_rows_want(toy_shards, tmp_path, monkeypatch):
    (tmp_path / "shards").symlink_to(toy_shards)
    calls = []

    def run(*arguments):
        calls.append([str(part) for part in arguments])
        out = Path(calls[-1][calls[-1].index("--out") + 1])
        if arguments[0] == "simulate":
            out.mkdir()
            (out / "simulation.json").write_text("{}")
        else:
            out.symlink_to(toy_shards)

    monkeypatch.setattr(data, "_data_prep", run)
    data.make_more(tmp_path, data.SCHEMA, 8_000)
    assert not calls
    data.make_more(tmp_path, data.SCHEMA, 17_000)
    assert [call[0] for call in calls] == ["simulate", "prepare"] * 2
    seeds = [call[call.index("--seed") + 1] for call in calls if call[0] == "simulate"]
    assert seeds == ["5", "6"]
    data.make_more(tmp_path, data.SCHEMA, 24_000)
    assert len(calls) == 4
    whole = data.shards_with_rows(tmp_path / "shards", 24_000, tmp_path / "all")
    assert len(read_split(whole, "train")["region"]) == 24_000


def test_small_data_are_refused(toy_shards):
    with pytest.raises(BalrogError, match="oracle"):
        data.require_size(toy_shards)


@pytest.mark.parametrize("kind", ["absolute", "residual"])
def test_scaling_is_invertible_and_of_order_one(kind, toy_shards, tmp_path):
    from fidelity_parts.scaling import Scaling

    manifest, train = Manifest.load(toy_shards), read_split(toy_shards, "train")
    scaling = Scaling.fit(manifest, kind, train, seed=0)
    scaling.save(tmp_path)
    loaded = Scaling.load(manifest, tmp_path)
    condition = toy_conditions(500, 9)
    measured = toy_measured(condition, 9)
    values = loaded.standardize(condition, measured)
    assert 0.2 < np.median(np.abs(values)) < 2
    np.testing.assert_allclose(loaded.restore(condition, values), measured, atol=1e-4)
    np.testing.assert_allclose(scaling.condition(train["condition"]).std(axis=0), 1, atol=1e-3)


def test_learning_rate_ends_with_the_budget():
    pytest.importorskip("torch")
    from fidelity_parts.torch_loop import cosine, shuffled_batches

    assert [cosine(0.0), cosine(1.0), cosine(1.1)] == pytest.approx([1.0, 0.01, 0.01])
    batches = shuffled_batches(10, 4, seed=0)
    epoch = np.concatenate([next(batches).numpy(), next(batches).numpy()])
    assert len(set(epoch)) == 8


@pytest.mark.slow
@pytest.mark.parametrize("system", ["flow-ar", "flow-coupling", "original"])
def test_peer_trains_within_its_budget_and_draws(system, toy_shards, tmp_path):
    pytest.importorskip("zuko")
    spec = SPEC.but(system=system, clock="cpu")
    record = systems.train(spec, toy_shards, tmp_path)
    assert record["seconds"] >= spec.seconds
    assert record["galaxies"] > 0
    emulator = systems.load(system, tmp_path)
    condition = toy_conditions(2_000, 11)
    first, again, other = (emulator.draw(condition, np.arange(2_000), seed) for seed in (4, 4, 5))
    assert first.shape == (2_000, 3)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    if system != "original":
        # A flow of two seconds already has the right centre and size.
        residual, truth = (v - condition[:, :3] for v in (first, toy_measured(condition, 11)))
        assert np.median(residual) == pytest.approx(np.median(truth), abs=0.05)
        assert spread(residual) == pytest.approx(spread(truth), rel=0.5)
