import json

import pytest

from data_prep.errors import BalrogError
from data_prep.manifest import FORMAT_VERSION, Manifest, manifest_checksum, write_manifest
from data_prep.schema import Column, Schema

SCHEMA = Schema("toy", (), (Column("t", "mag", "truth"), Column("m", "mag", "measured")))


def content():
    shard = {"file": "train-00000-of-00001.tfrecord", "rows": 1, "sha256": "0" * 64}
    return {
        "format_version": FORMAT_VERSION,
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
    """Write a text, or content with its checksum."""
    text = value
    if not isinstance(value, str):
        text = json.dumps(value | {"sha256": manifest_checksum(value)})
    (directory / "manifest.json").write_text(text)
    if shard:
        (directory / "train-00000-of-00001.tfrecord").write_bytes(b"")
    return directory


def test_load(tmp_path):
    manifest = Manifest.load(write(tmp_path, content()))
    assert manifest.schema == SCHEMA
    assert manifest.content == content() | {"sha256": manifest_checksum(content())}
    for key in ("label", "splits", "statistics", "map_patterns", "provenance"):
        assert getattr(manifest, key) == content()[key]


def test_missing(tmp_path):
    with pytest.raises(BalrogError, match="no manifest.json; make one with python -m data_prep"):
        Manifest.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 1}, "must have format_version 2, found 1"),
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


@pytest.mark.parametrize("text", ["", '{"format_version": 2', "[1]"])
def test_truncated(tmp_path, text):
    with pytest.raises(BalrogError, match=r"manifest.json.*prepare the shards again"):
        Manifest.load(write(tmp_path, text))


def test_missing_shard(tmp_path):
    with pytest.raises(BalrogError, match="missing train-00000-of-00001.tfrecord"):
        Manifest.load(write(tmp_path, content(), shard=False))


def test_written_manifest_is_the_one_read(tmp_path):
    (tmp_path / "train-00000-of-00001.tfrecord").write_bytes(b"")
    rest = {k: v for k, v in content().items() if k not in ("format_version", "schema")}
    # JSON has no tuples and no integer keys.
    rest["regions"] = {"splits": ((1, 2), {3: "train"})}
    write_manifest(tmp_path, SCHEMA, rest)
    manifest = Manifest.load(tmp_path)
    assert manifest.schema == SCHEMA
    assert manifest.content["regions"] == {"splits": [[1, 2], {"3": "train"}]}
    assert {k: manifest.content[k] for k in rest if k != "regions"} == {
        k: v for k, v in rest.items() if k != "regions"
    }


@pytest.mark.parametrize(
    ("old", "new"), [('"rows_read": 4', '"rows_read": 5'), ("toy data", "toy dat4"), ("0.0", "0.1")]
)
def test_edited_manifest_is_noticed(tmp_path, old, new):
    path = write(tmp_path, content() | {"share": 0.0}) / "manifest.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BalrogError, match=r"manifest.json must have the checksum it states"):
        Manifest.load(tmp_path)


def test_checksum_depends_on_content_and_not_on_its_order():
    value = content()
    turned = dict(reversed(value.items()))
    assert manifest_checksum(turned | {"sha256": "x"}) == manifest_checksum(value)
    assert manifest_checksum(value | {"rows_read": 5}) != manifest_checksum(value)


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_manifest(tmp_path, SCHEMA, {"share": float("nan")})
    assert not list(tmp_path.iterdir())
