import json

import pandas as pd
import pytest
from analytic_emulator import AnalyticEmulator, command_world
from killed import MOMENTS, hidden, kill

from balrog_keras.magnification_command import main


@pytest.fixture
def world(tmp_path, monkeypatch):
    return command_world(tmp_path, monkeypatch)


def command(arguments):
    """What :mod:`killed` calls in a process of its own."""
    patch = pytest.MonkeyPatch()
    patch.setattr("balrog_keras.emulator.Emulator.load", lambda directory: AnalyticEmulator())
    return main(arguments)


def test_killed_the_old_table_stays_and_it_starts_anew(world):
    def found():
        return json.loads(out.read_text())["responses"], plot.read_bytes()

    out, plot = world.place / "response.json", world.place / "response.png"
    words = [*world.options, "--out", str(out), "--plot", str(plot), "--limits", "meas_mag_i"]
    results = []
    for limits in (["20", "21"], ["21", "22"]):
        assert main([*words, *limits, "--quiet"]) == 0
        results.append(found())
    (table, figure), old = results
    for moment in MOMENTS:
        kill("test_magnification_command", moment, [*words, "20", "21", "--quiet"])
        assert found() == ((table, old[1]) if moment == "published" else old)
        assert 1 <= len(hidden(world.place)) <= 2
    assert main([*words, "20", "21", "--quiet"]) == 0
    assert found() == (table, figure)
    assert not hidden(world.place)


def test_limits_give_a_table_and_a_figure(world, capsys):
    out, plot = world.place / "response.json", world.place / "response.png"
    options = ["--out", str(out), "--limits", "meas_mag_i", "22", "21", "--plot", str(plot)]
    assert main([*world.options, *options, "--cut", "meas_mag_r > 15", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "magnified: true_mag_r, true_mag_i, true_mag_z; not: none" in printed
    assert "bootstrap over regions of the sky" in printed
    assert plot.stat().st_size > 5_000
    record = json.loads(out.read_text())
    assert record["cuts"] == ["meas_mag_r > 15"]
    assert "alpha = c_sample / 2" in record["convention"]
    bright, faint = record["responses"]
    assert (bright["label"], faint["label"]) == ("meas_mag_i < 21", "meas_mag_i < 22")
    assert bright["selected"] < faint["selected"]
    assert faint["c_total"] == pytest.approx(2 * faint["alpha"] - 2)
    # The truth is 10^(0.4 m): alpha = 1.
    assert faint["alpha"] == pytest.approx(1.0, abs=4 * faint["alpha_error"])


def test_without_limits_there_is_one_sample(world):
    out = world.place / "response.json"
    assert main([*world.options, "--out", str(out), "--cut", "meas_mag_i < 22"]) == 0
    (response,) = json.loads(out.read_text())["responses"]
    assert response["label"] == "detected & meas_mag_i < 22"
    assert main([*world.options, "--out", str(out)]) == 0
    assert json.loads(out.read_text())["responses"][0]["label"] == "detected"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--limits", "meas_mag_i"], "--limits takes a measured column and numbers"),
        (["--limits", "meas_mag_i", "faint"], "found meas_mag_i faint"),
        (["--limits", "mag_i", "21", "22"], "found mag_i"),
        (["--limits", "meas_mag_i", "21", "--plot", "a.png"], "at least two --limits"),
        (["--delta-kappa", "0.5"], "in (0, 0.2], found 0.5"),
        (["--member", "3"], "must be from 0 to 0, found 3"),
        (["--seed", str(10**20)], "a 64-bit whole number"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(world, capsys, extra, message):
    out = world.place / "response.json"
    assert main([*world.options, "--out", str(out), *extra]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not out.exists()


def test_what_is_read_and_what_others_made_is_not_replaced(world, capsys):
    truth, other = world.place / "truth.parquet", world.place / "other.json"
    before = truth.read_bytes()
    other.write_text('{"responses": 1}')
    for words, message in (
        (["--out", str(truth)], f"would replace {truth}"),
        (["--out", str(world.place / "maps")], "would replace"),
        (["--out", str(other)], "an earlier table of responses"),
        (["--out", "."], "--out must name a file"),
    ):
        assert main([*world.options, *words]) == 1
        assert message in capsys.readouterr().err
    assert truth.read_bytes() == before
    assert other.read_text() == '{"responses": 1}'


def test_one_galaxy_has_a_response_without_an_error(world):
    table, out = world.place / "truth.parquet", world.place / "response.json"
    pd.read_parquet(table)[:1].to_parquet(table)
    assert main([*world.options, "--out", str(out), "--quiet"]) == 0
    (response,) = json.loads(out.read_text())["responses"]
    assert response["selected"] > 0
    assert response["c_sample_error"] is response["alpha_error"] is None


def test_rows_without_a_position_are_left_out(world, caplog):
    table, out = world.place / "truth.parquet", world.place / "response.json"
    truth = pd.read_parquet(table)
    found = []
    for rows in (truth[5:], truth.assign(ra=truth["ra"].mask(truth.index < 5))):
        rows.to_parquet(table)
        assert main([*world.options, "--out", str(out), "--quiet"]) == 0
        found.append(json.loads(out.read_text())["responses"][0]["c_sample"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert "5 of 3,000 rows: no usable position" in caplog.text
