import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from toy import toy_rows, toy_schema

from balrog_keras import training_data
from balrog_keras.config import Settings
from balrog_keras.standardizer import Standardizer
from balrog_keras.streaming import StreamedRows
from balrog_keras.training_data import (
    MemoryRows,
    available_memory,
    open_training_rows,
    read_validation_rows,
)
from data_prep.errors import BalrogError
from data_prep.shards import read_split

IN_MEMORY, STREAMED = Settings(), Settings(stream=True)


def test_rows_are_those_of_the_shards(toy_shards):
    rows = read_split(toy_shards, "train")
    data = open_training_rows(toy_shards, IN_MEMORY)
    assert isinstance(data, MemoryRows)
    assert data.rows == len(rows["condition"])
    np.testing.assert_array_equal(data.sample()["measured"], rows["measured"])
    streamed = open_training_rows(toy_shards, STREAMED)
    assert isinstance(streamed, StreamedRows)
    assert streamed.rows == data.rows
    for name, values in streamed.sample().items():
        np.testing.assert_array_equal(np.sort(values, axis=0), np.sort(rows[name], axis=0))


def test_batches_are_standardized_in_pieces_as_in_one(monkeypatch):
    rows = toy_rows(1_000, 1)
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    monkeypatch.setattr(training_data, "_STANDARDIZED_TOGETHER", 300)
    data = MemoryRows(rows["condition"], rows["measured"])
    condition, measured = next(iter(data.batches(standardizer, 1_000, seed=1)))
    expected = standardizer.standardize(rows["condition"], rows["measured"])
    order = np.argsort(np.asarray(condition)[:, 0])
    known = np.argsort(rows["condition"][:, 0])
    np.testing.assert_allclose(
        np.asarray(measured)[order], np.asarray(expected)[known], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("settings", [IN_MEMORY, STREAMED])
def test_validation_rows_are_limited(toy_shards, settings):
    rows = read_split(toy_shards, "validation")
    assert len(read_validation_rows(toy_shards, settings)["condition"]) == 1_000
    some = read_validation_rows(toy_shards, replace(settings, validation_rows=100))
    assert some["condition"].shape == (100, 9)
    known = {row.tobytes() for row in np.hstack([rows["condition"], rows["measured"]])}
    assert {row.tobytes() for row in np.hstack([some["condition"], some["measured"]])} <= known


@pytest.mark.parametrize("settings", [IN_MEMORY, STREAMED])
def test_a_split_without_rows(tmp_path, monkeypatch, settings):
    empty = SimpleNamespace(directory=tmp_path, splits={"validation": {"rows": 0}})
    monkeypatch.setattr(training_data.Manifest, "load", lambda directory: empty)
    with pytest.raises(BalrogError, match="has no validation rows"):
        read_validation_rows(tmp_path, settings)


@pytest.mark.parametrize("settings", [IN_MEMORY, STREAMED])
def test_weights_that_are_not_there(toy_shards, settings):
    with pytest.raises(BalrogError, match="use_weights needs shards with weights"):
        open_training_rows(toy_shards, replace(settings, use_weights=True))


def test_changed_shard_is_not_streamed(toy_shards, tmp_path):
    shards = shutil.copytree(toy_shards, tmp_path / "shards")
    path = next(shards.glob("train-*"))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(BalrogError, match="SHA-256"):
        open_training_rows(shards, STREAMED)


def test_rows_beyond_the_memory_ask_for_streaming(toy_shards, monkeypatch):
    monkeypatch.setattr(training_data, "available_memory", lambda: 100_000)
    with pytest.raises(BalrogError, match="8,000 training rows need about .*--stream true"):
        open_training_rows(toy_shards, IN_MEMORY)
    open_training_rows(toy_shards, STREAMED)


def test_available_memory_is_that_of_a_machine():
    assert 2**26 < available_memory() < 2**46
