import json
import shutil

import numpy as np
import pytest
from toy import toy_schema, write_toy_shards

from data_prep.__main__ import main
from data_prep.errors import BalrogError
from data_prep.manifest import MANIFEST_NAME, Manifest, manifest_checksum
from data_prep.records import frame_records
from data_prep.verify import verify


@pytest.fixture(scope="module")
def small_shards(tmp_path_factory):
    return write_toy_shards(tmp_path_factory.mktemp("small") / "shards", 60, 20, 20)


@pytest.fixture
def shards(small_shards, tmp_path):
    return shutil.copytree(small_shards, tmp_path / "shards")


def problems(directory):
    """Lines said of shards that are not as they were written."""
    found = []
    with pytest.raises(BalrogError) as error:
        verify(directory, found.append)
    assert not found or f"problems found: {len(found)}; copy the directory" in str(error.value)
    return found or [str(error.value)]


def edit_manifest(directory, change):
    """Change the content, and make its checksum right again."""
    path = directory / MANIFEST_NAME
    content = json.loads(path.read_text())
    change(content)
    content["sha256"] = manifest_checksum(content)
    path.write_text(json.dumps(content, indent=2) + "\n")


def test_whole_shards(shards):
    assert verify(shards) == f"{shards}: 100 records in 6 shards are as they were written"


def test_every_flipped_bit_is_found(shards):
    rng = np.random.default_rng(1)
    files = sorted(shards.iterdir())
    assert len(files) == 7
    for path in files:
        content = path.read_bytes()
        places = rng.integers(0, len(content), 60 if path.name == MANIFEST_NAME else 12)
        for place in [0, len(content) - 1, *places]:
            damaged = bytearray(content)
            damaged[place] ^= 1 << rng.integers(0, 8)
            path.write_bytes(damaged)
            assert path.name in problems(shards)[0], (path.name, place)
        path.write_bytes(content)
    verify(shards)


def test_a_bit_that_leaves_the_manifest_equal_is_found(shards):
    edit_manifest(shards, lambda content: content["statistics"].update(small=1e-9))
    verify(shards)
    path = shards / MANIFEST_NAME
    text = path.read_text()
    path.write_text(text.replace('"small": 1e-09', '"small": 1E-09'))
    assert Manifest.load(shards).content == json.loads(text)
    assert problems(shards) == [
        "manifest.json: its text is not as it was written, though it says the same"
    ]


def test_the_damaged_record_is_named(shards):
    path = shards / "train-00001-of-00002.tfrecord"
    size = Manifest.load(shards).splits["train"]["record_bytes"]
    content = bytearray(path.read_bytes())
    content[3 * size + 40] ^= 1
    content[9 * size + 9] ^= 1
    path.write_bytes(content)
    first, second = problems(shards)
    assert first.startswith(f"{path.name}: its SHA-256 must be ")
    assert second == f"{path.name}: 2 damaged records, the first is number 3 (from 0)"


@pytest.mark.parametrize("cut", [1, 16, "record", "all"])
def test_truncation(shards, cut):
    path = shards / "test-00000-of-00002.tfrecord"
    size = Manifest.load(shards).splits["test"]["record_bytes"]
    content = path.read_bytes()
    left = len(content) - {"record": size, "all": len(content)}.get(cut, cut)
    path.write_bytes(content[:left])
    assert problems(shards) == [
        f"{path.name}: must have {len(content):,} bytes (10 records), found {left:,}"
    ]


def test_swapped_shards(shards):
    names = ["validation-00000-of-00002.tfrecord", "validation-00001-of-00002.tfrecord"]
    first, second = (shards / name for name in names)
    content = first.read_bytes(), second.read_bytes()
    first.write_bytes(content[1])
    second.write_bytes(content[0])
    assert [line.split(" must ")[0] for line in problems(shards)] == [
        f"{name}: its SHA-256" for name in names
    ]


def test_missing_and_extra_files(shards):
    (shards / "train-00000-of-00002.tfrecord").unlink()
    (shards / "notes.txt").write_text("mine")
    assert problems(shards) == [
        "notes.txt: is not in the manifest",
        "train-00000-of-00002.tfrecord: is missing",
    ]


def test_manifest_cut_off_or_gone(shards):
    path = shards / MANIFEST_NAME
    path.write_text(path.read_text()[:-300])
    assert "is damaged" in problems(shards)[0]
    path.unlink()
    assert "it has no manifest.json" in problems(shards)[0]


def test_changed_schema(shards):
    def change(content):
        content["schema"]["columns"][0]["unit"] = "nJy"

    edit_manifest(shards, change)
    assert "schema and fingerprint disagree" in problems(shards)[0]

    def drop(content):
        del content["schema"]["columns"][3]
        content["fingerprint"] = type(toy_schema()).from_dict(content["schema"]).fingerprint

    edit_manifest(shards, lambda content: content.update(schema=toy_schema().to_dict()))
    edit_manifest(shards, drop)
    lines = problems(shards)
    assert len(lines) == 3
    for line in lines:
        assert "its features must be {'condition': 8," in line


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rows", 61, "split train: its shards have 60 records, it says 61"),
        ("record_bytes", 1, r"bytes, the manifest says 1"),
    ],
)
def test_split_that_disagrees_with_itself(shards, key, value, message):
    edit_manifest(shards, lambda content: content["splits"]["train"].update({key: value}))
    assert message in problems(shards)[0]


def test_records_of_another_layout_behind_right_checksums(shards):
    """A fault of the writer, not of the disk."""
    path = shards / "train-00000-of-00002.tfrecord"
    size = Manifest.load(shards).splits["train"]["record_bytes"]
    records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, size)[:, 12:-4].copy()
    place = records[0].tobytes().index(b"condition")
    records[4, place] = ord("k")
    path.write_bytes(frame_records(records).tobytes())
    lines = problems(shards)
    assert len(lines) == 2
    assert lines[1].startswith(f"{path.name}: holds records without the features condition, ")


def test_command(shards, capsys):
    assert main(["verify", str(shards)]) == 0
    assert capsys.readouterr().out.endswith("are as they were written\n")
    (shards / "more").mkdir()
    (shards / "test-00000-of-00002.tfrecord").write_bytes(b"")
    assert main(["verify", str(shards)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "more: is not in the manifest"
    assert out.splitlines()[1].startswith("test-00000-of-00002.tfrecord: must have ")
    assert "error: " in err
    assert "problems found: 2;" in err
