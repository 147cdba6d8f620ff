from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toy import toy_schema
from toy_detection import toy_injections

from balrog_keras.bundle_evaluation import _others, _with_detection


@pytest.fixture
def manifest(monkeypatch):
    def load(path):
        return SimpleNamespace(schema=toy_schema(), info={"name": Path(path).name})

    monkeypatch.setattr("balrog_keras.emulator.Emulator.load", load)
    return SimpleNamespace(schema=toy_schema(), directory="shards")


def test_emulators_of_one_name_are_told_apart(manifest):
    paths = [Path("x/first"), Path("x/second"), Path("y/second")]
    assert list(_others(paths, manifest, "first")) == ["x/first", "second", "y/second"]


def test_nothing_is_compared_unless_asked_for(manifest):
    assert _others(None, manifest, "first") is None
    assert _others([], manifest, "first") == {}


def test_injections_of_one_kind_leave_the_rest_of_the_evaluation(monkeypatch, caplog):
    """They are found when everything else has been computed, which must not be lost."""
    split = toy_injections(50, 1) | {"detected": np.ones(50, "int64")}
    monkeypatch.setattr(
        "balrog_keras.bundle_evaluation.sample_split",
        lambda *arguments: SimpleNamespace(rows=split, total=50, limit=None),
    )
    emulator = SimpleNamespace(has_detection=True, schema=toy_schema())
    manifest = SimpleNamespace(splits={"detection-test": {"rows": 50}}, directory="shards")
    evaluation = SimpleNamespace(science="done")
    found = _with_detection(evaluation, emulator, manifest, None, {}, (1_000, 0))
    assert found is evaluation
    assert "detection is not evaluated" in caplog.text
    assert "found 50 detected of 50" in caplog.text
