"""The same bytes whatever the way: batches, files, workers, interruptions."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from prepare_world import make_world, shard_bytes, split_bytes
from small_survey import make_injections, write_columns, write_map, write_preset
from survey_files import write_table

from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.manifest import Manifest
from data_prep.preparation.prepare_work import open_work
from data_prep.prepare import prepare

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("survey"), rows=2500)


@pytest.fixture(scope="module")
def prepared(survey):
    prepare(survey.settings)
    return shard_bytes(survey.settings.out)


def shuffled(columns, seed):
    order = np.random.default_rng(seed).permutation(len(columns["bal_id"]))
    return {name: values[order] for name, values in columns.items()}


@pytest.mark.parametrize("suffix", [".fits", ".parquet"])
@pytest.mark.parametrize("batch_rows", [77, 10**6])
def test_batches_row_order_and_format(survey, prepared, tmp_path, suffix, batch_rows):
    other = replace(
        survey.settings,
        catalog=write_table(tmp_path / f"matched{suffix}", shuffled(survey.matched, 5)),
        detection=write_table(tmp_path / f"detection{suffix}", shuffled(survey.detection, 6)),
        out=tmp_path / "shards",
        batch_rows=batch_rows,
    )
    manifest = prepare(other)
    assert shard_bytes(other.out) == prepared
    expected = Manifest.load(survey.settings.out)
    assert manifest.splits == expected.splits
    assert manifest.statistics == expected.statistics
    for key in ("dropped", "other_tables", "parents", "regions", "stratification"):
        assert manifest.content[key] == expected.content[key]


@pytest.mark.parametrize("buckets", [1, 5])
def test_how_much_fits_in_memory(survey, prepared, tmp_path, monkeypatch, buckets):
    rows = len(survey.detection["bal_id"]) * 10 // buckets
    monkeypatch.setattr("data_prep.prepare._BUCKET_ROWS", max(rows // 10, 1))
    other = replace(survey.settings, out=tmp_path / "shards")
    prepare(other)
    assert shard_bytes(other.out) == prepared


@pytest.mark.parametrize("shards", [1, 8])
def test_number_of_shards_changes_the_grouping_alone(survey, prepared, tmp_path, shards):
    other = replace(survey.settings, out=tmp_path / "shards", shards=shards)
    manifest = prepare(other)
    assert len(manifest.splits["train"]["shards"]) == shards
    assert split_bytes(other.out) == split_bytes(survey.settings.out)
    expected = Manifest.load(survey.settings.out)
    for name, found in manifest.statistics.items():
        assert found["quantiles"] == expected.statistics[name]["quantiles"]
        assert found["mean"] == pytest.approx(expected.statistics[name]["mean"], rel=1e-12)


def test_the_seed_changes_everything(survey, prepared, tmp_path):
    other = replace(survey.settings, out=tmp_path / "shards", split_seed=1)
    prepare(other)
    found = shard_bytes(other.out)
    assert not set(found.values()) & set(prepared.values())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_workers(survey, prepared, tmp_path, workers):
    other = replace(survey.settings, out=tmp_path / "shards", workers=workers, batch_rows=500)
    prepare(other)
    assert shard_bytes(other.out) == prepared
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


def kill_a_worker(results):
    """SIGKILL one of this process' Dask workers once a task is done."""
    import psutil

    while not list(results.glob("*.json")):
        time.sleep(0.002)
    children = psutil.Process().children(recursive=True)
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    os.kill(workers[0].pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["read", "write"])
def test_worker_killed_in_the_middle(survey, prepared, tmp_path, stage):
    other = replace(survey.settings, out=tmp_path / "shards", workers=2, batch_rows=50)
    killer = threading.Thread(target=kill_a_worker, args=[tmp_path / ".shards.prepare" / stage])
    killer.start()
    prepare(other)
    killer.join(timeout=5)
    assert not killer.is_alive()
    assert shard_bytes(other.out) == prepared


def command_of(settings):
    """The command line with these settings."""
    words = [sys.executable, "-m", "data_prep", "prepare"]
    for field in fields(settings):
        value = getattr(settings, field.name)
        if value != field.default and value is not False:
            words.append(f"--{field.name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return words


@pytest.mark.parametrize("stage", ["read", "write"])
def test_killed_job_goes_on(survey, prepared, tmp_path, monkeypatch, stage):
    job = replace(survey.settings, out=tmp_path / "shards", batch_rows=100, shards=16)
    work = tmp_path / ".shards.prepare"
    with subprocess.Popen(command_of(job), cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while len(list((work / stage).glob("[0-9]*.json"))) < 2:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not job.out.exists()
    finished = {
        path: path.stat().st_mtime_ns for path in work.glob("*/[0-9]*.json") if path.is_file()
    }
    pieces = {
        path: path.stat().st_mtime_ns
        for name in [path.stem for path in finished if path.parent.name == "write"]
        for path in work.glob(f"pieces/*-{name}.*")
    }
    assert len(finished) >= 2
    assert bool(pieces) == (stage == "write")
    monkeypatch.setattr("data_prep.preparation.prepare_work.discard_work", lambda work: None)
    prepare(replace(job, resume=True))
    assert split_bytes(job.out) == split_bytes(survey.settings.out)
    for path, stamp in (finished | pieces).items():
        assert path.stat().st_mtime_ns == stamp
    assert len(list((work / "write").glob("[0-9]*.json"))) == 16


def fail_after(monkeypatch, where, calls):
    """Make a function of the package raise as on a full disk from the n-th call on."""
    module, name = where.rsplit(".", 1)
    real, count = getattr(sys.modules[module], name), []

    def full(*arguments, **keywords):
        count.append(1)
        if len(count) > calls:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **keywords)

    monkeypatch.setattr(where, full)


@pytest.mark.parametrize(
    ("where", "calls"),
    [
        ("data_prep.preparation.prepare_read.write_chunk", 3),
        ("data_prep.partitions.write_json", 5),
        ("data_prep.shards.frame_records", 20),
        ("data_prep.manifest.write_json", 0),
        ("data_prep.prepare.replace_directory", 0),
    ],
)
def test_full_disk_keeps_the_old_shards_and_the_job_goes_on(
    survey, prepared, tmp_path, monkeypatch, where, calls
):
    old = replace(survey.settings, out=tmp_path / "s", split_seed=1, replicate=None)
    prepare(old)
    before = {path.name: sha256_of(path) for path in old.out.iterdir()}
    job = replace(survey.settings, out=old.out, force=True, batch_rows=500)
    with monkeypatch.context() as patched:
        fail_after(patched, where, calls)
        with pytest.raises(OSError, match="No space left"):
            prepare(job)
    assert {path.name: sha256_of(path) for path in old.out.iterdir()} == before
    prepare(replace(job, resume=True))
    assert shard_bytes(job.out) == prepared
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_bad_input_keeps_the_old_shards_and_leaves_nothing(survey, tmp_path):
    settings = replace(survey.settings, out=tmp_path / "s", replicate=None)
    prepare(settings)
    before = shard_bytes(settings.out)
    with pytest.raises(BalrogError, match="--strict"):
        prepare(replace(settings, strict=True, force=True))
    assert shard_bytes(settings.out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def interrupted(settings, monkeypatch):
    with monkeypatch.context() as patched:
        fail_after(patched, "data_prep.shards.frame_records", 4)
        with pytest.raises(OSError, match="No space left"):
            prepare(settings)


def test_other_options_are_not_resumed(survey, tmp_path, monkeypatch):
    catalog = write_table(tmp_path / "m.fits", survey.matched)
    job = replace(survey.settings, out=tmp_path / "s", catalog=catalog, replicate=None)
    interrupted(job, monkeypatch)
    with pytest.raises(BalrogError, match=r"interrupted job; changed: batch_rows, split_seed; "):
        prepare(replace(job, resume=True, split_seed=4, batch_rows=99))
    os.utime(catalog, ns=(1, 1))
    with pytest.raises(BalrogError, match=rf"changed: {catalog}; give the same options and files"):
        prepare(replace(job, resume=True))
    assert (tmp_path / ".s.prepare" / "write").is_dir()


def test_what_does_not_change_the_result_may_change(survey, tmp_path, monkeypatch, prepared):
    job = replace(survey.settings, out=tmp_path / "s")
    interrupted(job, monkeypatch)
    prepare(replace(job, resume=True, force=True))
    assert shard_bytes(job.out) == prepared


def test_one_prepare_at_a_time(survey, tmp_path):
    settings = replace(survey.settings, out=tmp_path / "s", replicate=None)
    with (
        open_work(settings.out, {}, resume=False),
        pytest.raises(BalrogError, match="another is at it.*give another --out"),
    ):
        prepare(settings)
    prepare(settings)


MEASURE = """
import sys
sys.modules["tensorflow"] = None
from pathlib import Path
import data_prep.prepare as module
from data_prep.prepare_settings import PrepareSettings
module._BUCKET_ROWS = 20_000
home = Path(sys.argv[1])
module.prepare(PrepareSettings(
    catalog=home / "all.fits", maps=home / "maps", out=home / "shards",
    preset=str(home / "small.yaml"), batch_rows=20_000, shards=1,
))
# getrusage would count what the parent had before exec.
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def peak_mebibytes(directory, rows):
    write_preset(directory, join="none", id=None)
    write_columns(directory / "all.fits", make_injections(rows))
    write_map(directory / "maps")
    command = [sys.executable, "-c", MEASURE, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout) / 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    small = peak_mebibytes(tmp_path / "small", 150_000)
    large = peak_mebibytes(tmp_path / "large", 500_000)
    # All at once, the rows of the large one would take 85 MiB more.
    assert large - small < 25, (small, large)
