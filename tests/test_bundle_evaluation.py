from pathlib import Path
from types import SimpleNamespace

import pytest
from toy import toy_schema

from balrog_keras.bundle_evaluation import _others


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
