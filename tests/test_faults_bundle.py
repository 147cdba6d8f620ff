"""Emulators from anybody: damaged, edited, or made to do harm when they are loaded."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fault_world import error_of
from toy import toy_schema

from balrog_keras.__main__ import main
from balrog_keras.bundle import checksums, read_description, read_metrics
from balrog_keras.emulator import Emulator
from balrog_keras.fine_tune import Base
from balrog_keras.saved_model import check_graph
from balrog_keras.stored_networks import stored_detection, stored_members
from balrog_keras.training_weights import read_weights
from data_prep.errors import BalrogError

COMMITTED = Path(__file__).parents[1] / "saved_models/mini-balrog"


def edit(directory, **entries):
    """Change emulator.json; its checksums are made those of the files, as an attacker would."""
    path = directory / "emulator.json"
    content = json.loads(path.read_text()) | {"files": checksums(directory)} | entries
    path.write_text(json.dumps(content))
    return content


class OnDisk:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class WritesWhenLoaded(tf.Module):
    """A SavedModel that writes a file as soon as TensorFlow loads it."""

    def __init__(self, path):
        super().__init__()

        class Resource(tf.saved_model.experimental.TrackableResource):
            def _create_resource(self):
                with tf.control_dependencies([tf.io.write_file(str(path), "was here")]):
                    return tf.raw_ops.MutableHashTableV2(
                        key_dtype=tf.string, value_dtype=tf.int64, shared_name="x"
                    )

        self.resource = Resource()
        self.handle = self.resource.resource_handle

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def serve(self, true_mag_r):
        with tf.control_dependencies([tf.identity(self.resource.resource_handle)]):
            return {"meas_mag_r": tf.identity(true_mag_r)}


def test_a_graph_that_acts_when_it_is_loaded_is_not_loaded(bundle_copy, tmp_path):
    """TensorFlow itself runs it: that is why the graph is read before TensorFlow gets it."""
    marker = tmp_path / "marker"
    module = WritesWhenLoaded(marker)
    shutil.rmtree(bundle_copy / "1")
    tf.saved_model.save(
        module, str(bundle_copy / "1"), signatures={"serving_default": module.serve}
    )
    edit(bundle_copy)
    marker.unlink()
    with pytest.raises(BalrogError, match=r"must only compute, but has .*object of kind resource"):
        Emulator.load(bundle_copy)
    assert not marker.exists()
    tf.saved_model.load(str(bundle_copy / "1"))
    assert marker.read_text() == "was here"


def reads(x):
    return tf.strings.length(tf.io.read_file("/etc/hostname")) + tf.cast(x, tf.int32)


def writes(x):
    tf.io.write_file("/tmp/x", "x")
    return x


def lists(x):
    return tf.size(tf.io.matching_files("/etc/*")) + tf.cast(x, tf.int32)


def python(x):
    return tf.numpy_function(lambda y: y, [x], tf.float32)


def saves(x):
    tf.raw_ops.SaveV2(prefix="/tmp/x", tensor_names=["a"], shape_and_slices=[""], tensors=[x])
    return x


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (reads, "operation ReadFile"),
        (writes, "operation WriteFile"),
        (lists, "operation MatchingFiles"),
        (python, "operation PyFunc"),
        (saves, "an endpoint __inference"),
    ],
)
def test_endpoints_that_reach_out_are_refused(tmp_path, function, said):
    module = tf.Module()
    module.call = tf.function(function, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "1"))
    with pytest.raises(BalrogError, match="must only compute, but has") as error:
        check_graph(tmp_path / "1/saved_model.pb")
    assert said in str(error.value)


def test_emulators_pass(untrained_bundle):
    for directory in (untrained_bundle, COMMITTED):
        check_graph(directory / "1/saved_model.pb")


@pytest.mark.parametrize("content", [b"", b"xx", b"\x00" * 99, b"\xff" * 99])
def test_damaged_graph_behind_right_checksums(bundle_copy, tmp_path, capsys, content):
    (bundle_copy / "1/saved_model.pb").write_bytes(content)
    edit(bundle_copy)
    with pytest.raises(BalrogError, match=r"saved_model.pb must be .*, but is damaged"):
        Emulator.load(bundle_copy)


@pytest.mark.parametrize(("name", "kept"), [("*.data*", 100), ("*.index", 0)])
def test_damaged_variables_behind_right_checksums(bundle_copy, name, kept):
    (path,) = (bundle_copy / "1/variables").glob(name)
    path.write_bytes(path.read_bytes()[:kept])
    edit(bundle_copy)
    with pytest.raises(BalrogError, match="must be the SavedModel of an emulator, but cannot"):
        Emulator.load(bundle_copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", []), ("files", None), ("domain", 3), ("label", 3), ("endpoints", []),
        ("members", "x"), ("members", True), ("members", 0), ("detection", 1), ("in_domain", None),
        ("map_patterns", 3), ("name", ["a"]), ("schema", []), ("schema", {}),
    ],
)  # fmt: skip
def test_description_of_another_shape(bundle_copy, capsys, key, value):
    edit(bundle_copy, **{key: value})
    assert error_of(main(["info", str(bundle_copy)]), capsys)
    with pytest.raises(BalrogError, match=key):
        read_description(bundle_copy)


def test_members_that_the_graph_has_not(bundle_copy):
    edit(bundle_copy, members=1)
    with pytest.raises(BalrogError, match="says 1 members, its SavedModel is of several"):
        Emulator.load(bundle_copy)


@pytest.mark.parametrize("content", ["[]]", '{"validation": 3}', "3"])
def test_scores_of_another_shape(bundle_copy, content):
    (bundle_copy / "metrics.json").write_text(content)
    with pytest.raises(BalrogError, match=r"metrics.json must be JSON, scores by part"):
        read_metrics(bundle_copy)


@pytest.mark.parametrize(
    ("network", "change"),
    [
        ("generator", {"width": 17}), ("generator", {"depth": 3}), ("generator", {"surprise": 1}),
        ("standardizer", {"width": 17}), ("standardizer", {"surprise": 1}),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_the_networks(bundle_copy, network, change):
    path = bundle_copy / "training_weights/member-0.json"
    configs = json.loads(path.read_text())
    configs[network] |= change
    path.write_text(json.dumps(configs))
    with pytest.raises(BalrogError, match="training_weights (do not fit|must describe)|weights in"):
        stored_members(bundle_copy, edit(bundle_copy))


def test_detection_weights_that_do_not_fit(bundle_copy):
    path = bundle_copy / "training_weights/detection.json"
    configs = json.loads(path.read_text())
    configs["detection"]["width"] += 1
    path.write_text(json.dumps(configs))
    with pytest.raises(BalrogError, match="do not fit the networks that it describes"):
        stored_detection(bundle_copy, edit(bundle_copy))


def test_networks_without_a_description_are_not_fine_tuned(bundle_copy, toy_settings):
    path = bundle_copy / "training_weights/member-0.json"
    path.write_text(json.dumps({"generator": {}}))
    edit(bundle_copy)
    with pytest.raises(BalrogError, match="must describe its .*; missing critic, standardizer"):
        Base(bundle_copy).require_fits(toy_schema(), toy_settings, 1, bundle_copy.parent / "new")


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_that_are_pickles_run_nothing(bundle_copy, tmp_path, wrapped):
    marker, weights = tmp_path / "marker", bundle_copy / "training_weights/member-0.npz"
    harm = OnDisk(marker)
    if wrapped:
        objects = np.array([harm], dtype=object)
        np.savez(weights, allow_pickle=True, **{"generator/0": objects})
        marker.unlink(missing_ok=True)
    else:
        weights.write_bytes(pickle.dumps(harm))
    with pytest.raises(BalrogError, match="must hold the weights of member-0, but are damaged"):
        read_weights(bundle_copy, "member-0")
    assert not marker.exists()


def test_no_configuration_names_a_class(bundle_copy, tmp_path):
    """A configuration that asks Keras for a layer with code of its own gets no layer at all."""
    path = bundle_copy / "training_weights/member-0.json"
    configs = json.loads(path.read_text())
    configs["generator"]["activation"] = {
        "module": "builtins", "class_name": "exec", "config": {}, "registered_name": "exec"
    }  # fmt: skip
    path.write_text(json.dumps(configs))
    with pytest.raises(BalrogError):
        stored_members(bundle_copy, edit(bundle_copy))
