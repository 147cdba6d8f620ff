import os
import signal
import subprocess
import sys

import pytest

from data_prep.console import run_command
from data_prep.errors import BalrogError


def _raiser(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize("error", [BalrogError("no such column"), OSError(28, "No space left")])
def test_users_errors_are_one_line_and_exit_1(error, capsys):
    assert run_command(_raiser(error)) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == [f"error: {error}"]


def test_interrupt_exits_130():
    assert run_command(_raiser(KeyboardInterrupt())) == 130


@pytest.fixture
def default_interrupt():
    """Python's own handler: the workers of parallel tests ignore the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_interrupt_that_became_another_error_exits_130(capsys, default_interrupt):
    """TensorFlow's tracing turns the KeyboardInterrupt of a Ctrl-C inside it into a TypeError."""

    def command():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise TypeError("'NoneType' object is not iterable") from None

    assert run_command(command) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is default_interrupt


def test_reader_that_went_away_is_no_error():
    many = "from data_prep.console import run_command; import sys; "
    many += "sys.exit(run_command(lambda: print('line\\n' * 100_000) or 0))"
    pipe = [f'{sys.executable} -c "{many}" | head -1; echo ${{PIPESTATUS[0]}}']
    done = subprocess.run(["bash", "-c", *pipe], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("line\n141\n", "")


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


def test_exit_code_is_the_commands():
    assert run_command(lambda: 7) == 7
