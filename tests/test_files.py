import hashlib
import json

import pytest

from data_prep.files import atomic_directory, atomic_path, sha256_of, write_json


def _fill_the_disk(path):
    with atomic_path(path) as partial:
        partial.write_text("half")
        raise OSError("disk full")


def _fill_the_disk_in_a_directory(place):
    with atomic_directory(place) as partial:
        (partial / "third.txt").write_text("third")
        raise OSError("disk full")


def test_file_appears_whole(tmp_path):
    with atomic_path(tmp_path / "new" / "a.txt") as partial:
        partial.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="full"):
        _fill_the_disk(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_directory_replaces_the_old_one_only_on_success(tmp_path):
    place = tmp_path / "d"
    for text in ("first", "second"):
        with atomic_directory(place) as partial:
            (partial / f"{text}.txt").write_text(text)
    assert [path.name for path in place.iterdir()] == ["second.txt"]
    with pytest.raises(OSError, match="full"):
        _fill_the_disk_in_a_directory(place)
    assert [path.name for path in place.iterdir()] == ["second.txt"]
    assert list(tmp_path.iterdir()) == [place]


def test_sha256_is_hashlibs(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1.5})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text()) == {"x": 1.5}
