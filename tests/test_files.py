import hashlib
import json
import sys

import pytest

from data_prep.errors import BalrogError
from data_prep.files import (
    atomic_directory,
    atomic_path,
    discard_partials,
    read_versioned_json,
    remove_directory,
    replace_directory,
    sha256_of,
    write_json,
)


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


@pytest.mark.parametrize("sync", [True, False])
def test_only_what_must_be_is_forced_to_the_disk(tmp_path, monkeypatch, sync):
    synced = []
    monkeypatch.setattr("data_prep.files.os.fsync", synced.append)
    with atomic_path(tmp_path / "a.txt", sync=sync) as partial:
        partial.write_text("whole")
    assert len(synced) == sync
    assert (tmp_path / "a.txt").read_text() == "whole"


@pytest.mark.parametrize("in_one_step", [True, False])
def test_directory_is_replaced_or_stays(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:
        monkeypatch.setattr("data_prep.files._exchange", lambda *_: False)
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    with pytest.raises(OSError, match="none"):
        replace_directory(tmp_path / "none", tmp_path / "old")
    assert (tmp_path / "old" / "who").read_text() == "old"
    replace_directory(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "who").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets names change places")
def test_directories_change_places_without_a_moment_in_which_one_is_absent(tmp_path, monkeypatch):
    """On the file systems where the tests run; elsewhere replace_directory takes two steps."""
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("data_prep.files.os.replace", None)
    replace_directory(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_what_killed_writers_left_is_cleared_away_and_no_more(tmp_path):
    """A directory that waited for its successor is put back where that never came."""
    place = tmp_path / "a[1]"
    others = [".0123456789ab.partial.a1", ".0123456789ab.partial.my.partial.a[1]", ".x.old.a[1]"]
    for name in [".0123456789ab.old.a[1]", ".0123456789ab.partial.a[1]", *others]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    (tmp_path / ".abcdefabcdef.partial.a[1]").write_text("half")
    discard_partials(place)
    assert (place / "who").read_text() == ".0123456789ab.old.a[1]"
    assert {path.name for path in tmp_path.iterdir()} == {"a[1]", *others}
    (tmp_path / ".0123456789ab.old.a[1]").mkdir()
    discard_partials(place)
    assert {path.name for path in tmp_path.iterdir()} == {"a[1]", *others}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON, but is damaged.*; make it anew"),
        ("[]", "must have format_version 3, found None; make it anew"),
        ('{"format_version": 2}', "must have format_version 3, found 2; make it anew"),
        ('{"format_version": 3, "a": 1}', "must have a, b; missing b; make it anew"),
    ],
)
def test_versioned_json(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(BalrogError, match=message):
        read_versioned_json(path, 3, ("a", "b"), "make it anew")
    path.write_text('{"format_version": 3, "a": 1, "b": 2}')
    assert read_versioned_json(path, 3, ("a", "b"), "")["b"] == 2


def test_sha256_of_a_directory_is_that_of_its_names_and_files(tmp_path):
    def directory(name, **files):
        for file, text in files.items():
            path = tmp_path / name / "deep" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return sha256_of(tmp_path / name)

    one = directory("one", a="1", b="2")
    assert one == directory("other", b="2", a="1")
    assert len({one, directory("c", a="1", b="3"), directory("d", a="1", c="2")}) == 3


def test_a_directory_that_is_deleted_is_gone_at_once(tmp_path, monkeypatch):
    """A kill in the middle leaves a hidden directory, which the next writer clears away."""

    def killed(path, **_):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    run.mkdir()
    (run / "data.yaml").touch()
    with monkeypatch.context() as patch:
        patch.setattr("data_prep.files.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_directory(run)
    assert not run.exists()
    discard_partials(run)
    assert not list(tmp_path.iterdir())
    run.mkdir()
    remove_directory(run)
    assert not list(tmp_path.iterdir())
