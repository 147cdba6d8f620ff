"""What prepare does with strange input, places and clocks: docs/reliability.md, row by row."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from fault_world import elsewhere, error_of, full_disk, tree, unwritable
from small_survey import found_of, make_injections, write_columns, write_map, write_preset

from data_prep.__main__ import main
from data_prep.errors import BalrogError
from data_prep.manifest import Manifest, manifest_checksum
from data_prep.shards import read_split

ROWS = 900


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Directory with preset, map and catalogue, and what prepare makes of them."""
    place = tmp_path_factory.mktemp("faults")
    write_preset(place / "preset", join="none")
    write_map(place / "maps")
    write_columns(place / "all.parquet", make_injections(ROWS))
    assert run(place, place / "shards") == 0
    return place


def run(place, out, catalog="all.parquet", *more):
    return main([
        "prepare", "--preset", str(place / "preset/small.yaml"), "--maps", str(place / "maps"),
        "--catalog", str(place / catalog), "--out", str(out), "--quiet", *more,
    ])  # fmt: skip


def shards_of(out):
    return {name: sha for name, sha in tree(out).items() if name.endswith(".tfrecord")}


def changed(**columns):
    return make_injections(ROWS) | columns


def repeated():
    return {name: np.concatenate([v, v[:3]]) for name, v in make_injections(ROWS).items()}


def without(*names):
    return {name: v for name, v in make_injections(ROWS).items() if name not in names}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({n: v[:0] for n, v in make_injections(9).items()}, "must hold at least one row"),
        ({n: v[:1] for n, v in make_injections(9).items()}, "at least one region each"),
        ({n: v[:2] for n, v in make_injections(9).items()}, "at least one region each"),
        (repeated(), r"ids must be unique; \d+ is there more than once; drop the repeated rows"),
        (changed(found=np.zeros(ROWS, np.int32)), "no row is detected, so there is nothing"),
        (without("t_i", "m_i"), r"true_i \(mag\) needs the column t_i, which is missing"),
        (changed(m_r=np.full(ROWS, np.nan, np.float32)), "no row is left of .* not finite"),
    ],
    ids=["0 rows", "1 row", "2 rows", "duplicate ids", "undetected", "no band", "all NaN"],
)
def test_input_that_cannot_be_learned_from_is_one_line(survey, tmp_path, capsys, columns, message):
    write_columns(tmp_path / "c.parquet", columns)
    line = error_of(run(survey, tmp_path / "out", tmp_path / "c.parquet"), capsys)
    assert re.search(message, line), line
    assert [path.name for path in tmp_path.iterdir()] == ["c.parquet"]


@pytest.mark.parametrize("column", ["t_r", "m_r"])
def test_a_constant_column_loses_no_row(survey, tmp_path, column):
    write_columns(tmp_path / "c.parquet", changed(**{column: np.full(ROWS, 22.0, np.float32)}))
    assert run(survey, tmp_path / "out", tmp_path / "c.parquet") == 0
    manifest = Manifest.load(tmp_path / "out")
    rows = sum(manifest.splits[split]["rows"] for split in ("train", "validation", "test"))
    dropped = sum(manifest.content["dropped"].values())
    assert rows + dropped == len(found_of(make_injections(ROWS))["id"])
    name = {"t_r": "true_r", "m_r": "meas_r"}[column]
    assert manifest.statistics[name]["std"] == 0


def test_links_blanks_and_other_alphabets(survey, tmp_path):
    """Inputs through links; an output that is a link stays one, and its target gets the shards."""
    home = tmp_path / "données de Σιγμα 星"
    home.mkdir()
    for name in ("preset", "maps", "all.parquet"):
        (home / name).symlink_to(survey / name)
    (home / "out").symlink_to(tmp_path / "other disk")
    assert run(home, home / "out") == 0
    assert (home / "out").is_symlink()
    assert shards_of(tmp_path / "other disk") == shards_of(survey / "shards")
    assert sorted(path.name for path in tmp_path.iterdir()) == [home.name, "other disk"]
    assert run(home, home / "out", "all.parquet", "--force") == 0
    assert (home / "out").is_symlink()


@pytest.mark.parametrize("stamp", [-1_000_000_000, 2**33])
def test_clocks_zones_and_decimal_commas_change_no_byte(
    survey, tmp_path, tmp_path_factory, monkeypatch, stamp
):
    """A catalogue from 1938 or 2242, in Kathmandu, with a decimal comma."""
    shutil.copyfile(survey / "all.parquet", tmp_path / "c.parquet")
    os.utime(tmp_path / "c.parquet", (stamp, stamp))
    with elsewhere(tmp_path_factory, monkeypatch):
        assert run(survey, tmp_path / "out", tmp_path / "c.parquet") == 0
    assert shards_of(tmp_path / "out") == shards_of(survey / "shards")


def test_full_disk_then_resume_gives_the_same_bytes(survey, tmp_path, capsys):
    with full_disk(4_000):
        code = run(survey, tmp_path / "out")
    assert "File too large" in error_of(code, capsys)
    assert not (tmp_path / "out").exists()
    assert run(survey, tmp_path / "out", "all.parquet", "--resume") == 0
    assert shards_of(tmp_path / "out") == shards_of(survey / "shards")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_unwritable_place_is_one_line(survey, tmp_path, capsys):
    place = unwritable(tmp_path)
    assert str(place) in error_of(run(survey, place / "out"), capsys)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"job": 3, "sha256": ""}', b"\xff\xfe"])
def test_damaged_record_of_the_interrupted_job(survey, tmp_path, capsys, content):
    (tmp_path / ".out.prepare").mkdir()
    (tmp_path / ".out.prepare/job.json").write_bytes(content)
    line = error_of(run(survey, tmp_path / "out", "all.parquet", "--resume"), capsys)
    assert "job.json must say what the interrupted job was, but is damaged" in line
    assert "start anew without --resume" in line


@pytest.mark.parametrize("name", ["../all.parquet", "/etc/hostname", "a/../../b", "", ".", 3])
def test_a_manifest_names_no_file_elsewhere(survey, tmp_path, name):
    shutil.copytree(survey / "shards", tmp_path / "s")
    path = tmp_path / "s/manifest.json"
    content = json.loads(path.read_text())
    content["splits"]["test"]["shards"][0]["file"] = name
    path.write_text(json.dumps(content | {"sha256": manifest_checksum(content)}))
    for require_shards in (True, False):
        with pytest.raises(
            BalrogError, match=r"manifest.json must name files in .*leads elsewhere"
        ):
            Manifest.load(tmp_path / "s", require_shards)


def test_a_linked_shard_must_have_the_checksum_of_the_manifest(survey, tmp_path):
    shutil.copytree(survey / "shards", tmp_path / "s")
    shard = next((tmp_path / "s").glob("test-*"))
    shutil.move(shard, tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    assert len(read_split(tmp_path / "s", "test")["row_id"])
    shard.unlink()
    shard.symlink_to("/etc/passwd")
    with pytest.raises(BalrogError, match="must have the SHA-256 that the manifest says"):
        read_split(tmp_path / "s", "test")


def test_maps_and_hats_collections_lead_nowhere_else(survey, tmp_path):
    from data_prep.catalogs import open_catalog
    from data_prep.map_formats.map_finding import find_map

    (tmp_path / "maps").mkdir()
    for pattern in ("../maps/seeing", "/etc/host*", "a/../../seeing"):
        with pytest.raises(BalrogError, match="map pattern .* leads elsewhere"):
            find_map(tmp_path / "maps", [pattern])
    (tmp_path / "hats").mkdir()
    for url in ("../../faults", str(Path("..") / "x")):
        properties = tmp_path / "hats/collection.properties"
        properties.write_text(f"hats_primary_table_url = {url}\n")
        with pytest.raises(BalrogError, match=r"collection.properties must name files in"):
            open_catalog(tmp_path / "hats")


def test_yaml_builds_no_objects(survey, tmp_path, capsys):
    """A preset that would run a command with an unsafe reader."""
    preset = tmp_path / "preset"
    preset.mkdir()
    text = (survey / "preset/small.yaml").read_text()
    touch = f"!!python/object/apply:os.system ['touch {tmp_path}/run']"
    (preset / "small.yaml").write_text(f"description: {touch}\n{text}")
    for name in ("maps", "all.parquet"):
        (tmp_path / name).symlink_to(survey / name)
    line = error_of(run(tmp_path, tmp_path / "out"), capsys)
    assert "small.yaml" in line
    assert not (tmp_path / "run").exists()
