import json

import pytest

from data_prep.errors import BalrogError
from data_prep.manifest import Manifest
from data_prep.schema import Column, Schema

SCHEMA = Schema("toy", (), (Column("t", "mag", "truth"), Column("m", "mag", "measured")))


def content():
    shard = {"file": "train-00000-of-00001.tfrecord", "rows": 1, "sha256": "0" * 64}
    return {
        "format_version": 1,
        "schema": SCHEMA.to_dict(),
        "fingerprint": SCHEMA.fingerprint,
        "preset": "toy",
        "label": "toy data",
        "splits": {"train": {"rows": 1, "shards": [shard]}},
        "statistics": {"t": {"mean": 1.0}},
        "dropped": {"cut": 3},
        "rows_read": 4,
        "regions": {},
        "parents": {"distinct": 1, "crossing": 0},
        "map_patterns": {"fwhm_r": ["*fwhm*"]},
        "provenance": {"command": "x"},
    }


def write(directory, value, shard=True):
    text = value if isinstance(value, str) else json.dumps(value)
    (directory / "manifest.json").write_text(text)
    if shard:
        (directory / "train-00000-of-00001.tfrecord").write_bytes(b"")
    return directory


def test_load(tmp_path):
    manifest = Manifest.load(write(tmp_path, content()))
    assert manifest.schema == SCHEMA
    assert manifest.content == content()
    for key in ("label", "splits", "statistics", "map_patterns", "provenance"):
        assert getattr(manifest, key) == content()[key]


def test_missing(tmp_path):
    with pytest.raises(BalrogError, match="no manifest.json; make one with python -m data_prep"):
        Manifest.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "must have format_version 1, found 2"),
        ({"fingerprint": "0"}, "schema and fingerprint disagree"),
        ({"schema": {"name": "x"}}, "a schema needs"),
    ],
)
def test_bad_content(tmp_path, change, message):
    with pytest.raises(BalrogError, match=message):
        Manifest.load(write(tmp_path, content() | change))


@pytest.mark.parametrize("key", ["splits", "label", "parents", "provenance"])
def test_missing_key(tmp_path, key):
    value = content()
    del value[key]
    with pytest.raises(BalrogError, match=f"missing {key}"):
        Manifest.load(write(tmp_path, value))


@pytest.mark.parametrize("text", ["", '{"format_version": 1', "[1]"])
def test_truncated(tmp_path, text):
    with pytest.raises(BalrogError, match=r"manifest.json.*prepare the shards again"):
        Manifest.load(write(tmp_path, text))


def test_missing_shard(tmp_path):
    with pytest.raises(BalrogError, match="missing train-00000-of-00001.tfrecord"):
        Manifest.load(write(tmp_path, content(), shard=False))
