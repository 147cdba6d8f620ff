"""Flipped and missing bytes anywhere: a clear error or values, never another end.

Each case runs in a process of its own, so that a crash of a C library is seen; run as a script,
this file is that process.
"""

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import healpy
import healsparse
import numpy as np
import pytest
from astropy.table import Table
from format_files import write_format
from format_world import drawn_world
from table_files import write_any_table

from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError
from data_prep.manifest import MANIFEST_NAME, Manifest
from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings
from data_prep.shards import read_split
from data_prep.survey_maps import SurveyMaps

NSIDE, ROWS = 16, 300
TRIES = 60
# Address space of a try: a length read from a damaged header must not take all memory.
MEMORY = 16 * 2**30
MAPS = ("full.fits", "partial.fits.gz", "summed.fits", "sparse.hsp")
CLEAN = ("BalrogError", "values", "same values")
CATALOGS = ("table.fits", "table.parquet", "table.hdf5", "table.csv")


@pytest.mark.parametrize("name", MAPS)
def test_damaged_map(tmp_path, name):
    ends = _ends("map", _write_map(tmp_path / name))
    assert not [end for end in ends if end not in CLEAN]
    assert "BalrogError" in ends
    if name in ("partial.fits.gz", "summed.fits"):
        # gzip and the FITS checksum see every flipped bit of the data.
        assert "values" not in ends


@pytest.mark.parametrize("name", CATALOGS)
def test_damaged_catalog(tmp_path, name):
    columns = _columns()
    if name.endswith(".csv"):
        del columns["mag"]
    ends = _ends("catalog", write_any_table(tmp_path / name, columns))
    assert not [end for end in ends if end not in CLEAN]
    assert "BalrogError" in ends


@pytest.mark.parametrize("preset", ["des-y3-sof", "lsst-ssi"])
def test_prepare_from_damaged_files(tmp_path, preset):
    write_format(preset, drawn_world(rows=1000), tmp_path / preset)
    ends = _ends("prepare", tmp_path / preset)
    assert not [end for end in ends if end not in ("BalrogError", "all counted, all in range")]
    assert len(set(ends)) == 2


def test_damaged_shards_are_always_found(tmp_path, toy_shards):
    shards = shutil.copytree(toy_shards, tmp_path / "shards")
    ends = _ends("shards", shards)
    assert set(ends) == {"BalrogError BalrogError"}


def _write_map(path):
    rng = np.random.default_rng(1)
    pixels = np.arange(12 * NSIDE**2)
    sky = rng.uniform(0.8, 1.2, pixels.size).astype(np.float32)
    if path.suffix == ".hsp":
        sparse = healsparse.HealSparseMap.make_empty(4, NSIDE, np.float32)
        sparse.update_values_pix(pixels[:1000], sky[:1000])
        sparse.write(str(path))
    elif path.name == "summed.fits":
        table = Table({"PIXEL": pixels, "SIGNAL": sky})
        table.meta |= {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", "NSIDE": NSIDE}
        table.meta |= {"INDXSCHM": "EXPLICIT"}
        table.write(path)
        _add_checksums(path)
    else:
        sky[2000:] = healpy.UNSEEN
        healpy.write_map(path, sky, nest=True, partial=path.suffix == ".gz", dtype=np.float32)
    return path


def _add_checksums(path):
    from astropy.io import fits

    with fits.open(path, mode="update", checksum=True) as file:
        for part in file:
            part.add_checksum()


def _columns():
    rng = np.random.default_rng(2)
    return {
        "id": np.arange(ROWS) + 10**14,
        "ra": rng.uniform(0, 10, ROWS),
        "flag": np.zeros(ROWS, np.int32),
        "mag": rng.uniform(18, 25, (ROWS, 4)).astype(np.float32),
    }


def _ends(kind, path):
    """How each try ended, from a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, kind, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"after {len(lines)} tries: {done.stderr[-2000:]}"
    return [json.loads(line) for line in lines]


def _damaged(content, rng):
    """A bit flipped, a stretch overwritten, or the end cut off; often near the beginning."""
    damaged = bytearray(content)
    end = len(content) if rng.random() < 0.5 else min(len(content), 9000)
    place = int(rng.integers(0, end))
    way = rng.integers(0, 3)
    if way == 0:
        damaged[place] ^= 1 << int(rng.integers(0, 8))
    elif way == 1:
        damaged[place : place + 64] = rng.bytes(min(64, len(content) - place))
    else:
        del damaged[place:]
    return bytes(damaged)


def _end_of(read, before):
    try:
        after = read()
    except BalrogError:
        return "BalrogError"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    same = before is not None and all(
        np.array_equal(after[name], before[name], equal_nan=True)
        if name in after else False for name in before
    )  # fmt: skip
    return "same values" if same else "values"


def _read_map(path):
    pixels = np.arange(12 * NSIDE**2)
    ra, dec = healpy.pix2ang(NSIDE, pixels, nest=True, lonlat=True)
    return SurveyMaps({"x": path}).values_at(ra, dec)


def _read_catalog(path):
    catalog = open_catalog(path)
    names = [name for name, width in catalog.widths.items() if width]
    batches = list(catalog.batches(names, 100)) if names else []
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names if batches}


def _fuzz_file(path, read):
    rng = np.random.default_rng(7)
    content, before = path.read_bytes(), read(path)
    for number in range(TRIES):
        damaged = path.with_name(f"damaged{number}-{path.name}")
        damaged.write_bytes(_damaged(content, rng))
        print(json.dumps(_end_of(lambda p=damaged: read(p), before)), flush=True)
        damaged.unlink()


def _fuzz_shards(directory):
    """What verify and read_split say of each damage; the manifest and every shard in turn."""
    from data_prep.verify import verify

    rng = np.random.default_rng(8)
    split_of = {
        shard["file"]: name
        for name, split in Manifest.load(directory).splits.items()
        for shard in split["shards"]
    }
    files = sorted(path for path in directory.iterdir() if path.is_file())
    for number in range(TRIES):
        path = files[number % len(files)]
        content = path.read_bytes()
        path.write_bytes(_damaged(content, rng))
        split = "train" if path.name == MANIFEST_NAME else split_of[path.name]
        ends = [
            _end_of(lambda: verify(directory), None),
            _end_of(lambda name=split: read_split(directory, name), None),
        ]
        path.write_bytes(content)
        print(json.dumps(" ".join(ends)), flush=True)


def _fuzz_prepare(directory):
    """Damage one file of a survey at a time, and prepare."""
    rng = np.random.default_rng(9)
    # The two catalogues by name: balrog_detection_..., balrog_matched_...; or matched alone.
    *injected, matched = sorted(path for path in directory.iterdir() if path.is_file())
    settings = PrepareSettings(
        preset=directory.name, catalog=matched, detection=injected[0] if injected else None,
        maps=directory / "maps", out=directory / "shards", force=True, shards=1,
    )  # fmt: skip
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for number in range(TRIES // 3):
        path = files[number % len(files)]
        content = path.read_bytes()
        path.write_bytes(_damaged(content, rng))
        try:
            manifest = prepare(settings)
        except BalrogError:
            end = "BalrogError"
        except Exception as error:
            end = f"{path.name}: {type(error).__name__}: {error}"
        else:
            end = _account(manifest)
        path.write_bytes(content)
        print(json.dumps(end), flush=True)


def _account(manifest):
    """Whether each row is in a split or counted as dropped, and every value in its range."""
    schema, kept = manifest.schema, 0
    for split in ("train", "validation", "test"):
        found = read_split(manifest.directory, split)
        kept += len(found["row_id"])
        for group, columns in (
            ("condition", schema.truth + schema.survey),
            ("measured", schema.measured),
        ):
            for column, values in zip(columns, found[group].T, strict=True):
                if not ((values >= column.minimum) & (values <= column.maximum)).all():
                    return f"{column.name} is out of range"
    if kept + sum(manifest.content["dropped"].values()) != manifest.content["rows_read"]:
        return "rows are lost"
    return "all counted, all in range"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    kind, place = sys.argv[1], Path(sys.argv[2])
    if kind in ("map", "catalog"):
        _fuzz_file(place, {"map": _read_map, "catalog": _read_catalog}[kind])
    else:
        {"shards": _fuzz_shards, "prepare": _fuzz_prepare}[kind](place)
