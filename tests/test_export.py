import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from toy import toy_conditions, toy_schema
from untrained import untrained_pair

from balrog_keras.bundle import FORMAT_VERSION
from balrog_keras.emulator import Emulator
from balrog_keras.export import export_emulator
from balrog_keras.members import TrainedMember

# Runs where this package cannot be imported: TensorFlow and numpy only. Every drawing endpoint is
# called with every member.
PLAIN = textwrap.dedent("""
    import sys
    import numpy as np
    import tensorflow as tf

    model, given, out, members = sys.argv[1:]
    assert not any(name.startswith(("balrog_keras", "data_prep")) for name in sys.modules)
    rows = np.load(given)
    signatures = tf.saved_model.load(model).signatures

    def call(endpoint, keep, names, **inputs):
        columns = {
            name: tf.constant(rows[name][keep]) for name in rows.files if name != "row_id"
        }
        given = {name: tf.constant(value, tf.int64) for name, value in inputs.items()}
        drawn = signatures[endpoint](**columns, **given)
        return np.stack([drawn[name].numpy() for name in names], axis=1)

    n = len(rows["row_id"])
    order = np.random.default_rng(0).permutation(n)
    cuts = [0, 1, 8, 1000, 4096, 4500, n]
    bands = [f"meas_mag_{b}" for b in "riz"]
    found = {}

    def three_ways(name, endpoint, names, **inputs):
        def once(keep):
            keys = {"row_id": rows["row_id"][keep]} if "seed" in inputs else {}
            return call(endpoint, keep, names, **keys, **inputs)

        found[f"{name}/whole"] = once(slice(None))
        found[f"{name}/permuted"] = once(order)[np.argsort(order)]
        parts = [once(slice(a, b)) for a, b in zip(cuts[:-1], cuts[1:])]
        found[f"{name}/parts"] = np.concatenate(parts)
        assert once(slice(0, 0)).shape == (0, len(names))

    for number in range(int(members)):
        which = {"member": number} if int(members) > 1 else {}
        which["draw"] = 0
        three_ways(f"draw{number}", "serving_default", bands, seed=5, **which)
        if "emulate_detected" in signatures:
            names = [*bands, "p_detect", "detected"]
            three_ways(f"detected{number}", "emulate_detected", names, seed=5, **which)
    if "detection_probability" in signatures:
        three_ways("probability", "detection_probability", ["p_detect"])
    three_ways("domain", "in_domain", ["domain_score", "in_domain"])
    keep = slice(None)
    found["other"] = call("serving_default", keep, bands, row_id=rows["row_id"], seed=6, **which)
    which["draw"] = 1
    found["realization"] = call(
        "serving_default", keep, bands, row_id=rows["row_id"], seed=5, **which
    )
    if "member" in which:
        for bad in (-1, int(members)):
            try:
                call(
                    "serving_default", keep, bands, row_id=rows["row_id"], seed=6, draw=0,
                    member=bad,
                )
            except tf.errors.InvalidArgumentError as error:
                assert f"member must be from 0 to {int(members) - 1}" in str(error)
            else:
                raise SystemExit(f"member {bad} was drawn from")
    np.savez(out, **found)
""")
CASES = ("toy", "pair")


@pytest.fixture(scope="module")
def bundles(toy_bundle, tmp_path_factory, toy_shards, toy_settings):
    """One emulator, and an ensemble of two with a detection model that was never trained."""
    pair = untrained_pair(tmp_path_factory, toy_shards, toy_settings)
    return {"toy": (toy_bundle, 1), "pair": (pair, 2)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory, bundles):
    """What a process without this package gets from the SavedModels."""
    condition = toy_conditions(4_000, 9)
    row_id = np.random.default_rng(1).permutation(4_000).astype("int64") * 10**12
    columns = dict(zip(toy_schema().condition_names, condition.T, strict=True))
    found = {}
    for name, (bundle, members) in bundles.items():
        place = tmp_path_factory.mktemp("plain")
        np.savez(place / "rows.npz", row_id=row_id, **columns)
        done = subprocess.run(
            [sys.executable, "-c", PLAIN, str(bundle / "1"), str(place / "rows.npz"),
             str(place / "out.npz"), str(members)],
            cwd=place, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[name] = dict(np.load(place / "out.npz"))
    return condition, row_id, found


@pytest.mark.parametrize("case", CASES)
def test_plain_process_gets_what_the_emulator_gives(plain, bundles, case):
    condition, row_id, found = plain
    bundle, members = bundles[case]
    emulator = Emulator.load(bundle)
    for number in range(members):
        expected = emulator.draw(condition, row_id, 5, number)
        np.testing.assert_array_equal(found[case][f"draw{number}/whole"], expected)
        if emulator.has_detection:
            measured, p_detect, detected = emulator.draw_detected(condition, row_id, 5, number)
            both = np.column_stack([measured, p_detect, detected])
            np.testing.assert_array_equal(found[case][f"detected{number}/whole"], both)
    scored = np.column_stack(emulator.in_domain(condition))
    np.testing.assert_array_equal(found[case]["domain/whole"], scored)
    expected = emulator.draw(condition, row_id, 5, number, draw=1)
    np.testing.assert_array_equal(found[case]["realization"], expected)


@pytest.mark.parametrize("way", ["permuted", "parts"])
@pytest.mark.parametrize("case", CASES)
def test_order_and_split_change_no_bit(plain, case, way):
    drawn = plain[2][case]
    names = {name.partition("/")[0] for name in drawn} - {"other", "realization"}
    assert len(names) == {"toy": 2, "pair": 6}[case]
    for name in names:
        np.testing.assert_array_equal(drawn[f"{name}/{way}"], drawn[f"{name}/whole"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("other", ["other", "realization"])
def test_another_seed_or_draw_is_another_realization(plain, case, other):
    drawn = plain[2][case]
    last = {"toy": "draw0", "pair": "draw1"}[case]
    assert (drawn[other] != drawn[f"{last}/whole"]).mean() > 0.99


def test_physical_units(plain):
    condition, _, found = plain
    whole = found["toy"]["draw0/whole"]
    assert np.abs(np.median(whole - condition[:, :3])) < 0.5
    assert np.isfinite(whole).all()


def test_export_draws_as_the_networks_do(toy_bundle, toy_run, toy_shards, toy_settings, tmp_path):
    """The SavedModel against the best generator of the run's own checkpoint."""
    import tensorflow as tf

    from balrog_keras.building import build_gan
    from balrog_keras.checkpoints import Checkpoints
    from balrog_keras.member_training import build_standardizer
    from data_prep.manifest import Manifest

    manifest = Manifest.load(toy_shards)
    standardizer = build_standardizer(toy_settings, manifest.schema)
    checkpoints = Checkpoints(
        toy_run / "runs/toy/checkpoints", build_gan(toy_settings, 9, 3), standardizer
    )
    assert checkpoints.restore()
    condition = toy_conditions(100, 1)
    latent = np.random.default_rng(0).normal(size=(100, 3)).astype("float32")
    context = standardizer.context(condition)
    expected = standardizer.destandardize(
        condition, checkpoints.best_generator((context, latent))
    ).numpy()
    model = tf.saved_model.load(str(toy_bundle / "1"))
    columns = dict(zip(manifest.schema.condition_names, condition.T.copy(), strict=True))
    found = model.signatures["from_latent"](
        latent=tf.constant(latent), **{k: tf.constant(v) for k, v in columns.items()}
    )
    for index, name in enumerate(manifest.schema.measured_names):
        np.testing.assert_allclose(found[name], expected[:, index], atol=1e-5)


def test_bundle_is_complete(toy_bundle):
    content = json.loads((toy_bundle / "emulator.json").read_text())
    assert content["format_version"] == FORMAT_VERSION
    assert content["label"] == "toy: a known distribution"
    assert content["domain"]["true_mag_r"]["max"] > 24
    assert content["settings"]["width"] == 16
    assert "tensorflow" in content["versions"]
    assert content["in_domain"]["flagged_fraction"] == 0.01
    drawing = content["endpoints"]["serving_default"]
    assert drawing["inputs"]["draw"] == {"dtype": "int64", "shape": []}
    assert drawing["outputs"]["meas_mag_r"] == {"dtype": "float32", "shape": [None]}
    card = (toy_bundle / "README.md").read_text()
    assert "says nothing on whether an object is detected" in card
    assert "`in_domain`" in card
    assert "saved_models/toy/1" in card


@pytest.mark.parametrize("case", CASES)
def test_code_of_the_model_card_runs(bundles, case, tmp_path):
    bundle, _ = bundles[case]
    card = (bundle / "README.md").read_text()
    code = card.split("```python")[1].split("```")[0]
    code = code.replace(f"saved_models/{case}", str(bundle))
    code += "\nassert measured['meas_mag_r'].shape == (2,)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_endpoints_listed_are_those_of_the_saved_model(bundles):
    import tensorflow as tf

    for bundle, _ in bundles.values():
        listed = json.loads((bundle / "emulator.json").read_text())["endpoints"]
        signatures = tf.saved_model.load(str(bundle / "1")).signatures
        assert listed.keys() == set(signatures)
        for name, function in signatures.items():
            assert listed[name]["inputs"].keys() == function.structured_input_signature[1].keys()
            assert listed[name]["outputs"].keys() == function.structured_outputs.keys()


def test_failed_export_leaves_the_old_bundle(toy_bundle, toy_shards, tmp_path, monkeypatch):
    import shutil

    from balrog_keras import export
    from data_prep.manifest import Manifest

    place = tmp_path / "toy"
    shutil.copytree(toy_bundle, place)

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.tf.saved_model, "save", full)
    monkeypatch.setattr(export, "EmulatorModule", lambda *a: type("M", (), {"signatures": dict})())
    from balrog_keras.config import Settings

    member = TrainedMember(None, None, None, 0, {"step": 1}, {}, 0, 0.0)
    with pytest.raises(OSError, match="No space left"):
        export_emulator(place, [member], Manifest.load(toy_shards), Settings(), toy_shards, None)
    Emulator.load(place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy"]
