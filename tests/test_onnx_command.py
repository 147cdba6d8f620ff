"""What export-onnx refuses, end to end; all of it before TensorFlow, which takes long to start."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from fault_world import error_of, tree

from balrog_keras.__main__ import main

MINI = Path(__file__).parents[1] / "saved_models/mini-balrog"


@pytest.fixture(autouse=True)
def no_tensorflow(monkeypatch):
    for name in ("tensorflow", "tf2onnx"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "balrog_keras.onnx_export", raising=False)


@pytest.fixture
def bundle(tmp_path):
    return shutil.copytree(MINI, tmp_path / "saved_models/mini")


@pytest.fixture
def earlier(tmp_path):
    """What an earlier export looks like."""
    out = tmp_path / "onnx"
    out.mkdir()
    (out / "from_latent.onnx").write_text("network")
    record = {"files": {"from_latent.onnx": "0"}, "from_latent": ["from_latent.onnx"],
              "emulator_json_sha256": "0", "format_version": 1}  # fmt: skip
    (out / "onnx.json").write_text(json.dumps(record))
    return out


def refusal(bundle, out, capsys, place):
    """The error line; nothing in a place has changed."""
    before = tree(place)
    line = error_of(main(["export-onnx", str(bundle), "--out", str(out), "--quiet"]), capsys)
    assert tree(place) == before
    assert not list(place.glob("**/.*"))
    return line


def test_what_is_refused_is_all_that_keeps_it_from_tensorflow(bundle, earlier, capsys):
    """So that the other tests here cannot pass for want of it."""
    for out in (bundle.parent / "new", earlier):
        line = refusal(bundle, out, capsys, bundle.parents[1])
        assert "tensorflow is not installed" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--ouut", "y"], r"--ouut \(did you mean --out or --quiet\?\)"),
        (["x"], "required: --out"),
        (["--out", "y"], "required: emulator"),
        (["x", "--out", "y", "--opset", "9"], "unrecognized arguments: --opset 9"),
    ],
)
def test_options(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export-onnx", *words])
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def remove(bundle):
    shutil.rmtree(bundle)


def flip(bundle):
    path = bundle / "1/saved_model.pb"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def add(bundle):
    (bundle / "training_weights/extra.npz").touch()


def lose(bundle):
    next(bundle.glob("training_weights/*.npz")).unlink()


def forget_weights(bundle):
    """As exported before weights were kept."""
    shutil.rmtree(bundle / "training_weights")
    path = bundle / "emulator.json"
    content = json.loads(path.read_text())
    content["files"] = {k: v for k, v in content["files"].items() if k.startswith("1/")}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (remove, r"mini is no exported emulator: .*emulator.json is missing"),
        (flip, r"1/saved_model.pb"),
        (add, r"training_weights/extra.npz"),
        (lose, r"training_weights/.*npz"),
        (lambda bundle: (bundle / "emulator.json").write_text("{"), "emulator.json must be JSON"),
        (lambda bundle: (bundle / "emulator.json").write_text("{}"), "must have format_version"),
        (forget_weights, "must keep its weights .*train and export the emulator again"),
    ],
)
def test_damaged_emulators(bundle, tmp_path, capsys, harm, message):
    harm(bundle)
    line = refusal(bundle, tmp_path / "onnx", capsys, tmp_path)
    assert re.search(message, line), line
    assert not (tmp_path / "onnx").exists()


FOREIGN = [
    (lambda out: (out / "thesis.tex").touch(), "also holds thesis.tex, which would be lost"),
    (lambda out: (out / "onnx.json").write_text('{"files": {}}'), "is another program's"),
    (lambda out: (out / "onnx.json").write_text('["from_latent"]'), "onnx.json is damaged"),
    (lambda out: (out / "onnx.json").write_bytes(b"\xff{"), "onnx.json is damaged"),
    (lambda out: (out / "onnx.json").unlink(), "onnx.json is missing"),
]


@pytest.mark.parametrize(("change", "message"), FOREIGN)
def test_a_directory_of_something_else(bundle, earlier, tmp_path, capsys, change, message):
    """Also where its only file is another program's onnx.json."""
    change(earlier)
    if "another program" in message:
        (earlier / "from_latent.onnx").unlink()
    assert message in refusal(bundle, earlier, capsys, tmp_path)


def test_a_file(bundle, tmp_path, capsys):
    (tmp_path / "onnx").write_text("mine")
    line = refusal(bundle, tmp_path / "onnx", capsys, tmp_path)
    assert "--out must be a new directory or an earlier export" in line


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("saved_models/mini", "would replace"),
        ("saved_models", "would replace"),
        ("link", "would replace"),
        ("saved_models/mini/1/onnx", "must lie outside .*mini/1, whose files are those of an emul"),
        ("saved_models/mini/training_weights", "must lie outside .*mini/training_weights"),
    ],
)
def test_an_output_that_harms_the_emulator(bundle, tmp_path, capsys, out, message):
    (tmp_path / "link").symlink_to(bundle)
    line = refusal(bundle, tmp_path / out, capsys, tmp_path)
    assert re.search(message, line), line
