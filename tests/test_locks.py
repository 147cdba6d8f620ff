import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from data_prep.errors import BalrogError
from data_prep.locks import locked

HOLD = (
    "import sys\n"
    "from data_prep.locks import locked\n"
    "with locked(sys.argv[1], 'x'):\n"
    "    print('in', flush=True)\n"
    "    sys.stdin.readline()\n"
)


@pytest.fixture
def other(tmp_path):
    """A second process that has the lock of `out`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"in\n"
        yield process
        process.kill()


def test_second_process_is_refused_and_told_who_has_it(tmp_path, other):
    message = rf"out must be .* \(process {other.pid} on .*\): wait until .*, or give another --out"
    with pytest.raises(BalrogError, match=message), locked(tmp_path / "out", "give another --out"):
        pass


def test_a_link_and_where_it_leads_are_one_output(tmp_path, other):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(BalrogError, match="another is at it"), locked(tmp_path / "link", "x"):
        pass


def test_lock_is_free_when_its_owner_ends(tmp_path, other):
    other.communicate(b"\n")
    assert not list(tmp_path.iterdir())
    with locked(tmp_path / "out", "x"):
        pass


def test_lock_of_a_killed_process_is_free(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / ".out.lock").is_file()
    with locked(tmp_path / "out", "x"):
        assert f"process {os.getpid()} on" in (tmp_path / ".out.lock").read_text()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_is_gone_under_the_lock(tmp_path):
    (tmp_path / ".0123456789ab.partial.out").write_text("half")
    with locked(tmp_path / "out", "x"):
        assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


def test_output_may_be_replaced_under_the_lock(tmp_path):
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out", "x"):
        (tmp_path / "out").rmdir()
        (tmp_path / "out").mkdir()
        with pytest.raises(BalrogError, match="another is at it"), locked(tmp_path / "out", "x"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failure_inside_frees_the_lock(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "new" / "out", "x"):
        raise KeyError
    with locked(tmp_path / "new" / "out", "x"):
        pass


def test_lock_deleted_between_opening_and_locking_is_not_taken(tmp_path, monkeypatch):
    """The last owner deletes the file after a newcomer has opened it."""
    original, calls = fcntl.flock, []

    def flock(handle, operation):
        if not calls:
            (tmp_path / ".out.lock").unlink()
        calls.append(handle)
        return original(handle, operation)

    monkeypatch.setattr("data_prep.locks.fcntl.flock", flock)
    with locked(tmp_path / "out", "x"):
        assert len(calls) == 2
        with pytest.raises(BalrogError), locked(tmp_path / "out", "x"):
            pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog, number):
    def flock(handle, operation):
        raise OSError(number, "no locks here")

    monkeypatch.setattr("data_prep.locks.fcntl.flock", flock)
    with locked(tmp_path / "out", "x"):
        pass
    assert "file system without locks" in caplog.text


def test_other_errors_are_not_hidden(tmp_path, monkeypatch):
    def flock(handle, operation):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr("data_prep.locks.fcntl.flock", flock)
    with pytest.raises(OSError, match="broken disk"), locked(tmp_path / "out", "x"):
        pass
