import errno
import os
import subprocess
import sys

import pytest

from data_prep.errors import BalrogError
from data_prep.preparation.prepare_work import discard_work, open_work

JOB = {"shards": "3", "split": "sky"}


def interrupt(out, job=JOB, resume=False):
    """A job that dies with one thing done."""

    def die():
        with open_work(out, job, resume) as work:
            (work / "read").mkdir(exist_ok=True)
            (work / "read" / "00000.json").write_text("{}")
            raise OSError(errno.ENOSPC, "disk full")

    with pytest.raises(OSError, match="disk full"):
        die()
    return out.with_name(f".{out.name}.prepare")


def test_lies_hidden_beside_the_shards_and_goes_when_done(tmp_path):
    out = tmp_path / "new" / "shards"
    with open_work(out, JOB, resume=False) as work:
        assert work == tmp_path / "new" / ".shards.prepare"
        (work / "rows").mkdir()
    assert not list((tmp_path / "new").iterdir())


def test_stays_if_interrupted_and_is_resumed(tmp_path):
    work = interrupt(tmp_path / "s")
    with open_work(tmp_path / "s", JOB, resume=True) as again:
        assert again == work
        assert (work / "read" / "00000.json").is_file()
    assert not work.exists()


def test_without_resume_what_was_left_is_deleted(tmp_path):
    interrupt(tmp_path / "s")
    with open_work(tmp_path / "s", JOB, resume=False) as work:
        assert [path.name for path in work.iterdir()] == ["job.json"]


def test_bad_input_leaves_nothing(tmp_path):
    with pytest.raises(BalrogError, match="bad"), open_work(tmp_path / "s", JOB, False):
        raise BalrogError("bad")
    assert not list(tmp_path.iterdir())


def test_interrupt_from_the_keyboard_can_be_resumed(tmp_path, caplog):
    caplog.set_level("INFO")
    with pytest.raises(KeyboardInterrupt), open_work(tmp_path / "s", JOB, False):
        raise KeyboardInterrupt
    assert (tmp_path / ".s.prepare" / "job.json").is_file()
    assert "with --resume to go on" in caplog.text


@pytest.mark.parametrize(
    ("job", "changed"),
    [
        (JOB | {"split": "parent"}, "split"),
        ({"split": "sky"}, "shards"),
        (JOB | {"files": {"m.fits": [1, 2]}}, "files"),
    ],
)
def test_another_job_is_not_resumed_and_keeps_what_was_done(tmp_path, job, changed):
    work = interrupt(tmp_path / "s")
    with (
        pytest.raises(BalrogError, match=rf"changed: {changed}; give the same options"),
        open_work(tmp_path / "s", job, True),
    ):
        pass
    assert (work / "read" / "00000.json").is_file()


def test_nothing_to_resume_starts_anew(tmp_path, caplog):
    caplog.set_level("INFO")
    with open_work(tmp_path / "s", JOB, resume=True) as work:
        assert (work / "job.json").is_file()
    assert "no interrupted job" in caplog.text


def test_second_process_is_refused_until_the_first_ends(tmp_path):
    code = (
        "import sys, pathlib, data_prep.preparation.prepare_work as w\n"
        "with w.open_work(pathlib.Path(sys.argv[1]), {}, False):\n"
        "    print('in', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    out = tmp_path / "s"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(BalrogError, match="another is at it.*--out"), open_work(out, {}, 0):
            pass
        assert (tmp_path / ".s.prepare" / "job.json").is_file()
        other.communicate(b"\n")
    with open_work(out, {}, False) as work:
        assert os.path.samefile(work, tmp_path / ".s.prepare")


def test_discarding_what_is_not_there(tmp_path):
    discard_work(tmp_path / "none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("resume", [True, False])
def test_killed_while_the_work_is_deleted(tmp_path, monkeypatch, resume):
    """Half of what was done is not taken for all of it: the job starts anew."""

    def killed(path, **_):
        raise KeyboardInterrupt

    work = interrupt(tmp_path / "s")
    with monkeypatch.context() as patch:
        patch.setattr("data_prep.preparation.prepare_work.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt), open_work(tmp_path / "s", JOB, resume):
            pass
    assert (work / "read" / "00000.json").is_file()
    with open_work(tmp_path / "s", JOB, resume=True):
        assert [path.name for path in work.iterdir()] == ["job.json"]
