import json

import healsparse
import numpy as np
import pytest
from analytic_emulator import command_world

from balrog_keras.maps_command import main


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr("balrog_keras.maps_figures._POINTS", 60)
    return command_world(tmp_path, monkeypatch)


def test_maps_from_the_command_line(world, capsys):
    out = world.place / "painted"
    options = ["--nside", "16", "--draws", "400", "--seed", "3", "--cut", "meas_mag_i < 22"]
    arguments = [*world.options, "--out", str(out), *options]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "12 pixels of nside 16" in printed
    assert "scatter_meas_mag_i" in printed
    completeness = healsparse.HealSparseMap.read(str(out / "completeness.hsp"))
    np.testing.assert_array_equal(np.sort(completeness.valid_pixels), world.pixels)
    assert (out / "maps.png").stat().st_size > 10_000
    record = json.loads((out / "maps.json").read_text())
    assert record["cuts"] == ["meas_mag_i < 22"]
    assert record["truth"] == {"galaxies": 3_000, "unusable": 0}
    assert record["emulator"]["name"] == "analytic"
    assert record["provenance"]["command"].startswith("python -m balrog_keras maps ")
    sources = [source["name"] for source in record["provenance"]["sources"]]
    assert sources == ["truth.parquet", *sources[1:]]
    assert len(set(sources)) == 7
    assert main(arguments) == 1
    assert "give --overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--quiet", "--format", "healpix"]) == 0
    assert not (out / "completeness.hsp").exists()
    assert (out / "completeness.fits").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--cut", "mag < 22"], "found mag"),
        (["--cuts-of", "des-y3-sof"], "preset with cuts on meas_mag_r"),
        (["--preset", "des-y3-sof"], "leave out --columns"),
        (["--draws", "5"], "at least 20"),
        (["--nside", "17"], "power of 2, found 17"),
        (["--maps", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(world, capsys, extra, message):
    out = world.place / "painted"
    assert main([*world.options, "--out", str(out), "--nside", "16", *extra]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not out.exists()
