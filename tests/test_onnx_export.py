"""Exported to ONNX, an emulator draws the same catalogue without TensorFlow."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from shard_files import write_shards
from toy import toy_conditions, toy_schema
from untrained import export_untrained, untrained_pair

from balrog_keras import onnx_export
from balrog_keras.__main__ import main
from balrog_keras.emulator import Emulator
from balrog_keras.numpy_noise import keyed_uniform
from balrog_keras.onnx_emulator import OnnxEmulator
from balrog_keras.onnx_export import export_onnx
from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.locks import locked
from data_prep.schema import Column, Schema

ROOT = Path(__file__).parents[1]
BLOCKS = [part.split("```")[0] for part in (ROOT / "docs/onnx.md").read_text().split("```python")]
MINI = ROOT / "saved_models/mini-balrog"
TOLERANCE = 1e-4
LATENTS = len(toy_schema().measured_names)


@pytest.fixture(scope="module")
def bundle(toy_shards, toy_settings, tmp_path_factory):
    """Two members and a detection model."""
    return untrained_pair(tmp_path_factory, toy_shards, toy_settings)


@pytest.fixture(scope="module")
def exported(bundle, tmp_path_factory):
    return export_onnx(bundle, tmp_path_factory.mktemp("onnx") / "new" / "pair")


@pytest.fixture(scope="module")
def emulators(bundle, exported):
    return Emulator.load(bundle), OnnxEmulator.load(exported)


TRANSFORMS = ("log10", "log1p", "asinh")


def _transformed_rows(rows, seed):
    """Each transform on one condition and one measured column, over decades of values."""
    rng = np.random.default_rng(seed)
    condition = np.column_stack([
        10 ** rng.uniform(-2, 3, rows), 10 ** rng.uniform(-4, 3, rows), 1e3 * rng.normal(size=rows)
    ]).astype("float32")  # fmt: skip
    factor = np.exp(0.1 * rng.normal(size=condition.shape))
    numbers = np.arange(rows)
    return {
        "condition": condition, "measured": (condition * factor).astype("float32"),
        "row_id": numbers, "parent_id": numbers, "region": numbers,
        "position": np.zeros((rows, 2), "float32"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def transformed(tmp_path_factory, toy_settings):
    """Every transform, and no detection model."""
    home = tmp_path_factory.mktemp("transformed")
    columns = [
        Column(f"{prefix}_{name}", "nJy", group, reference.format(name), transform=name,
               minimum=1e-6 if name != "asinh" else None)
        for prefix, group, reference in (("true", "truth", ""), ("meas", "measured", "true_{}"))
        for name in TRANSFORMS
    ]  # fmt: skip
    splits = dict.fromkeys(("train", "validation", "test"), _transformed_rows(2_000, 0))
    content = {
        "preset": "x", "label": "x", "dropped": {}, "rows_read": 2_000, "regions": {},
        "parents": {}, "map_patterns": {}, "provenance": {"sources": []},
    }  # fmt: skip
    (home / "shards").mkdir()
    write_shards(home / "shards", splits, Schema("x", ("r",), tuple(columns)), content)
    return export_untrained(home / "transformed", home / "shards", toy_settings)


def _legal_extremes(schema, rows):
    """Rows whose columns are anywhere in their legal range, many at its very ends."""
    rng = np.random.default_rng(4)
    columns = []
    for column in schema.truth + schema.survey:
        uniform = rng.uniform(column.minimum, column.maximum, rows)
        ends = rng.choice([column.minimum, column.maximum], rows)
        columns.append(np.where(rng.random(rows) < 0.3, ends, uniform))
    return np.stack(columns, axis=1).astype("float32")


@pytest.mark.parametrize("member", [0, 1])
def test_the_same_catalogue_as_tensorflow(emulators, member):
    tensorflow, onnx = emulators
    condition = toy_conditions(70_000, 9)  # more than a chunk
    ids = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 70_000)
    expected, p_expected, detected_expected = tensorflow.draw_detected(condition, ids, 5, member)
    measured, p_detect, detected = onnx.draw_detected(condition, ids, 5, member)
    np.testing.assert_allclose(p_detect, p_expected, atol=1e-6)
    undecided = np.abs(p_expected - keyed_uniform(5, ids)) < 1e-6
    np.testing.assert_array_equal(detected[~undecided], detected_expected[~undecided])
    assert 0.2 < detected.mean() < 0.9
    np.testing.assert_allclose(measured[~undecided], expected[~undecided], atol=TOLERANCE)
    np.testing.assert_allclose(
        onnx.draw(condition, ids, 5, member),
        tensorflow.draw(condition, ids, 5, member),
        atol=TOLERANCE,
    )


@pytest.mark.parametrize("draw", [0, 3])
def test_a_realization_has_the_graphs_noise(emulators, draw):
    from balrog_keras.keyed_noise import keyed_normals

    _, onnx = emulators
    condition, ids = toy_conditions(500, 2), np.arange(500)
    latent = keyed_normals(tf.constant(5, tf.int64), tf.constant(ids), LATENTS, draw).numpy()
    np.testing.assert_allclose(
        onnx.draw(condition, ids, 5, draw=draw), onnx.from_latent(condition, latent), atol=TOLERANCE
    )


def _by_tensorflow(bundle, onnx):
    """from_latent of the SavedModel, as a function like the other's."""
    call = tf.saved_model.load(str(bundle / "1")).signatures["from_latent"]

    def from_latent(condition, latent, member=0):
        given = {"member": tf.constant(member, tf.int64)} if onnx.members > 1 else {}
        columns = dict(zip(onnx.condition_names, condition.T.copy(), strict=True))
        named = call(latent=tf.constant(latent), **given, **columns)
        return np.stack([named[name] for name in onnx.measured_names], axis=1)

    return from_latent


def test_extreme_legal_conditions_differ_by_rounding_only(bundle, emulators):
    """Values there are thousands, so that float32 itself has no 1e-4.

    The measure is how far TensorFlow's own values move if conditions and latents change in their
    last bit.
    """
    onnx, rng = emulators[1], np.random.default_rng(0)
    condition = _legal_extremes(toy_schema(), 5_000)
    latent = rng.normal(size=(5_000, LATENTS)).astype("float32")
    latent[::10] *= 3
    from_latent = _by_tensorflow(bundle, onnx)
    tensorflow, found = (draw(condition, latent, 1) for draw in (from_latent, onnx.from_latent))
    moved = from_latent(
        *(np.nextafter(values, np.float32(np.inf)) for values in (condition, latent)), 1
    )
    size = np.maximum(1, np.abs(tensorflow))
    differ, rounding = np.abs(found - tensorflow) / size, np.abs(moved - tensorflow) / size
    for level in (0.5, 0.9, 0.99):
        assert np.quantile(differ, level) < 3 * np.quantile(rounding, level) + 1e-6
    assert np.quantile(differ, 0.99) < TOLERANCE
    p_detect = emulators[0].p_detect(condition)
    np.testing.assert_allclose(onnx.p_detect(condition), p_detect, atol=1e-4)


def test_every_transform_is_exported(transformed, tmp_path):
    onnx = OnnxEmulator.load(export_onnx(transformed, tmp_path / "transformed"))
    condition, ids = _transformed_rows(3_000, 5)["condition"], np.arange(3_000)
    expected = Emulator.load(transformed).draw(condition, ids, 1)
    np.testing.assert_allclose(onnx.draw(condition, ids, 1), expected, atol=1e-5, rtol=TOLERANCE)
    assert not onnx.has_detection
    with pytest.raises(BalrogError, match="must have a detection model"):
        onnx.draw_detected(condition, ids, 1)


def test_unusable_rows_are_nan_and_stay_alone(emulators):
    tensorflow, onnx = emulators
    condition, ids = toy_conditions(300, 2), np.arange(300)
    good = onnx.draw_detected(condition, ids, 3)
    condition[[5, 70, 90], [0, 4, 8]] = [np.nan, np.inf, -np.inf]
    bad = np.isin(ids, [5, 70, 90])
    measured, p_detect, detected = onnx.draw_detected(condition, ids, 3)
    assert np.isnan(measured[bad]).all()
    assert np.isnan(p_detect[bad]).all()
    assert not detected[bad].any()
    np.testing.assert_array_equal(np.isnan(tensorflow.p_detect(condition)), bad)
    for found, before in zip((measured, p_detect, detected), good, strict=True):
        np.testing.assert_allclose(found[~bad], before[~bad], atol=1e-5)


def test_no_rows(emulators):
    _, onnx = emulators
    measured, p_detect, detected = onnx.draw_detected(np.empty((0, 9)), np.empty(0, "int64"), 1)
    assert (measured.shape, p_detect.shape, detected.shape) == ((0, 3), (0,), (0,))


def test_files_say_what_they_take(bundle, exported):
    info = json.loads((exported / "onnx.json").read_text())
    names = {path.name for path in exported.iterdir()}
    assert names == {*info["files"], "onnx.json"}
    assert info["from_latent"] == ["from_latent-0.onnx", "from_latent-1.onnx"]
    assert info["conditions"] == list(toy_schema().condition_names)
    assert {column["name"]: column["unit"] for column in info["columns"]}["fwhm_r"] == "arcsec"
    assert (info["latent_dim"], info["domain"]["true_mag_r"]["max"] > 24) == (3, True)
    assert info["emulator_json_sha256"] == sha256_of(bundle / "emulator.json")
    assert max(info["agreement"].values()) < TOLERANCE
    session = onnxruntime.InferenceSession(exported / "from_latent-1.onnx")
    shapes = {each.name: each.shape for each in session.get_inputs()}
    assert shapes.pop("latent")[1] == LATENTS
    assert shapes.keys() == set(info["conditions"])
    assert {each.name for each in session.get_outputs()} == set(info["measured"])
    assert not any(isinstance(size, int) for shape in shapes.values() for size in shape)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Where the page's command was run: has onnx/mini-balrog."""
    home = tmp_path_factory.mktemp("page")
    out = home / "onnx/mini-balrog"
    assert main(["export-onnx", str(MINI), "--out", str(out)]) == 0
    return home


def test_committed_emulator_agrees_on_random_and_extreme_conditions(page):
    """From the least to the largest value of the training rows, in every column."""
    onnx = OnnxEmulator.load(page / "onnx/mini-balrog")
    rng = np.random.default_rng(0)
    levels = {"true": rng.random(20_000), "fwhm": rng.random(20_000), "sky": rng.random(20_000)}
    for level in levels.values():
        level[rng.random(20_000) < 0.2] = rng.choice([0.0, 1.0])
    columns = []
    for name in onnx.condition_names:
        limits = onnx.info["domain"][name]
        inner = sorted((float(level), value) for level, value in limits["quantiles"].items())
        known = np.array([(0.0, limits["min"]), *inner, (1.0, limits["max"])])
        columns.append(np.interp(levels[name.partition("_")[0]], known[:, 0], known[:, 1]))
    condition = np.stack(columns, axis=1).astype("float32")
    latent = rng.normal(size=(20_000, onnx.info["latent_dim"])).astype("float32")
    expected = _by_tensorflow(MINI, onnx)(condition, latent)
    found = onnx.from_latent(condition, latent)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_the_pages_code_needs_no_tensorflow(page):
    """It runs as printed, and draws what the SavedModel draws."""
    truth = [22.9, 22.4, 22.1, 0.95, 0.90, 0.88, 5.0, 8.0, 14.0]
    measured, _, detected = Emulator.load(MINI).draw_detected(
        np.tile(np.float32(truth), (1000, 1)), np.arange(1000), 1
    )
    mean = measured[detected].mean(axis=0)
    first = "import sys\nfor name in ('tensorflow', 'pandas', 'yaml'): sys.modules[name] = None\n"
    checks = (
        f"assert abs(measured[detected].mean(axis=0) - {mean.tolist()}).max() < 1e-4",
        f"assert abs(measured['meas_mag_r'][detected].mean() - {mean[0]}) < 1e-4",
    )
    for block, check in zip(BLOCKS[1:], checks, strict=True):
        done = subprocess.run(
            [sys.executable, "-c", f"{first}{block}\n{check}"],
            cwd=page, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_bad_arrays_are_refused(emulators):
    _, onnx = emulators
    condition, ids = toy_conditions(10, 1), np.arange(10)
    with pytest.raises(BalrogError, match="from 0 to 1, found 2"):
        onnx.draw(condition, ids, 1, member=2)
    with pytest.raises(BalrogError, match=r"shape \(N, 9\).*true_mag_r.*found shape \(10, 8\)"):
        onnx.draw(condition[:, :8], ids, 1)
    with pytest.raises(BalrogError, match=r"latent must have shape \(10, 3\), found \(9, 3\)"):
        onnx.from_latent(condition, np.zeros((9, 3)))
    with pytest.raises(BalrogError, match=r"row_id must be 10 whole numbers .*shape \(9,\)"):
        onnx.draw(condition, ids[:9], 1)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda place: (place / "from_latent-1.onnx").unlink(), "from_latent-1.onnx is missing"),
        (lambda place: (place / "from_latent-0.onnx").write_bytes(b""), "was changed"),
        (lambda place: (place / "onnx.json").unlink(), "onnx.json is missing"),
        (lambda place: (place / "onnx.json").write_text("{}"), "format_version 1, found None"),
    ],
)
def test_damaged_export_is_refused(exported, tmp_path, harm, message):
    place = tmp_path / "pair"
    shutil.copytree(exported, place)
    harm(place)
    with pytest.raises(BalrogError, match=message):
        OnnxEmulator.load(place)


def test_out_directory_of_something_else_is_left_alone(bundle, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(["export-onnx", str(bundle), "--out", str(tmp_path)]) == 1
    assert "must be a new directory or an earlier export" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_processes_on_one_output(bundle, tmp_path):
    out = tmp_path / "onnx"
    with locked(out, ""), pytest.raises(BalrogError, match="another is at it.*give another --out"):
        export_onnx(bundle, out)
    assert not list(tmp_path.iterdir())


def test_models_that_are_not_the_saved_models_are_refused(bundle, exported, tmp_path, monkeypatch):
    def swapped(bundle, description, out):
        for path in exported.glob("*.onnx"):
            shutil.copy(path, out)
        return {"from_latent": ["from_latent-1.onnx", "from_latent-0.onnx"], "detection": None}

    monkeypatch.setattr(onnx_export, "_write_models", swapped)
    with pytest.raises(BalrogError, match="meas_mag_r .*differs by.*nothing was written"):
        export_onnx(bundle, tmp_path / "onnx")
    assert not list(tmp_path.iterdir())


def test_bundle_without_weights_says_what_to_do(bundle, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    shutil.rmtree(other / "training_weights")
    description = json.loads((other / "emulator.json").read_text())
    description["files"] = {
        name: sha256 for name, sha256 in description["files"].items() if (other / name).exists()
    }
    (other / "emulator.json").write_text(json.dumps(description))
    with pytest.raises(BalrogError, match="train and export the emulator again"):
        export_onnx(other, tmp_path / "onnx")
