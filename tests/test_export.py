import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from toy import toy_conditions

from balrog_keras.bundle import FORMAT_VERSION
from balrog_keras.emulator import Emulator
from balrog_keras.export import export_emulator

# Runs where this package cannot be imported: TensorFlow and numpy only.
PLAIN = textwrap.dedent("""
    import sys
    import numpy as np
    import tensorflow as tf

    model, given, out = sys.argv[1:]
    assert not any(name.startswith(("balrog_keras", "data_prep")) for name in sys.modules)
    rows = np.load(given)
    draw = tf.saved_model.load(model).signatures["serving_default"]

    def measured(keep, seed):
        columns = {
            name: tf.constant(rows[name][keep]) for name in rows.files if name != "row_id"
        }
        drawn = draw(
            **columns,
            row_id=tf.constant(rows["row_id"][keep]),
            seed=tf.constant(seed, tf.int64),
        )
        return np.stack([drawn[f"meas_mag_{b}"].numpy() for b in "riz"], axis=1)

    n = len(rows["row_id"])
    order = np.random.default_rng(0).permutation(n)
    whole = measured(slice(None), 5)
    permuted = measured(order, 5)
    cuts = [0, 1, 8, 1000, 1024, 2500, n]
    parts = [measured(slice(a, b), 5) for a, b in zip(cuts[:-1], cuts[1:])]
    assert measured(slice(0, 0), 5).shape == (0, 3)
    np.savez(out, whole=whole, permuted=permuted[np.argsort(order)],
             parts=np.concatenate(parts), other=measured(slice(None), 6))
""")


@pytest.fixture(scope="module")
def plain(tmp_path_factory, toy_bundle):
    """What a process without this package gets from the SavedModel."""
    place = tmp_path_factory.mktemp("plain")
    names = json.loads((toy_bundle / "emulator.json").read_text())["schema"]["columns"]
    names = [c["name"] for c in names if c["group"] != "measured"]
    condition = toy_conditions(4_000, 9)
    row_id = np.random.default_rng(1).permutation(4_000).astype("int64") * 10**12
    np.savez(place / "rows.npz", row_id=row_id, **dict(zip(names, condition.T, strict=True)))
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(toy_bundle / "1"), str(place / "rows.npz"),
         str(place / "out.npz")],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return condition, row_id, np.load(place / "out.npz")


def test_plain_process_gets_what_the_emulator_gives(plain, toy_bundle):
    condition, row_id, drawn = plain
    np.testing.assert_array_equal(
        Emulator.load(toy_bundle).draw(condition, row_id, seed=5), drawn["whole"]
    )


@pytest.mark.parametrize("way", ["permuted", "parts"])
def test_order_and_split_change_no_bit(plain, way):
    drawn = plain[2]
    np.testing.assert_array_equal(drawn[way], drawn["whole"])


def test_another_seed_is_another_realization(plain):
    drawn = plain[2]
    assert (drawn["other"] != drawn["whole"]).mean() > 0.99


def test_physical_units(plain):
    condition, _, drawn = plain
    assert np.abs(np.median(drawn["whole"] - condition[:, :3])) < 0.5
    assert np.isfinite(drawn["whole"]).all()


def test_export_draws_as_the_networks_do(toy_bundle, toy_run, toy_shards, toy_settings, tmp_path):
    """The SavedModel against the best generator of the run's own checkpoint."""
    import tensorflow as tf

    from balrog_keras.building import build_gan
    from balrog_keras.checkpoints import Checkpoints
    from balrog_keras.standardizer import Standardizer
    from data_prep.manifest import Manifest

    manifest = Manifest.load(toy_shards)
    standardizer = Standardizer.for_schema(manifest.schema, toy_settings.width, toy_settings.depth)
    checkpoints = Checkpoints(
        toy_run / "runs/toy/checkpoints", build_gan(toy_settings, 9, 3), standardizer
    )
    assert checkpoints.restore()
    condition = toy_conditions(100, 1)
    latent = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
    standard = standardizer.standardize_condition(condition)
    expected = standardizer.destandardize(
        condition, checkpoints.best_generator((standard, latent))
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
    card = (toy_bundle / "README.md").read_text()
    assert "not" in card
    assert "saved_models/toy/1" in card


def test_code_of_the_model_card_runs(toy_bundle, tmp_path):
    card = (toy_bundle / "README.md").read_text()
    code = card.split("```python")[1].split("```")[0].replace("saved_models/toy", str(toy_bundle))
    code += "\nassert measured['meas_mag_r'].shape == (2,)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


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

    with pytest.raises(OSError, match="No space left"):
        export_emulator(place, None, None, Manifest.load(toy_shards), Settings(), {}, toy_shards)
    Emulator.load(place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy"]
