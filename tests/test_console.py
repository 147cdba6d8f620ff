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


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


def test_exit_code_is_the_commands():
    assert run_command(lambda: 7) == 7
