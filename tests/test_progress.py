import logging

from data_prep.progress import Progress


def test_log_lines_off_a_terminal(caplog):
    caplog.set_level(logging.INFO)
    with Progress("count", 4, "rows", log_seconds=0) as progress:
        progress.update(1)
        progress.update(3, "nearly")
    lines = [record.message for record in caplog.records]
    assert lines[0].startswith("count: 1 of 4 rows, ")
    assert "s left" in lines[0]
    assert "nearly" in lines[1]
    assert lines[-1].startswith("count: 4 rows in ")


def test_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("count", 4, "rows") as progress:
        progress.update(4)
    assert "4.00/4.00" in capsys.readouterr().err


def test_no_closing_line_after_a_failure(caplog):
    caplog.set_level(logging.INFO)
    try:
        with Progress("count", 4, "rows"):
            raise RuntimeError
    except RuntimeError:
        pass
    assert not caplog.records


def test_what_was_done_before_is_no_part_of_the_rate(caplog, monkeypatch):
    """10 seconds for 20 new rows, after 80 that an earlier job did."""
    clock = iter((0.0, 10.0, 10.0))
    monkeypatch.setattr("data_prep.progress.time.monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO)
    with Progress("count", 200, "rows", log_seconds=1, initial=80) as progress:
        progress.update(20)
    lines = [record.message for record in caplog.records]
    assert lines == [
        "count: 100 of 200 rows, 2/s, 50 s left",
        "count: 20 rows in 10.0 s, 2/s",
    ]
