import resource
import subprocess
import sys

import fitsio
import numpy as np
import pytest
from survey_files import MAP_NAMES, make_catalog, matched_of, write_maps, write_table

from data_prep.__main__ import main
from data_prep.manifest import Manifest

pytest.importorskip("tensorflow")


@pytest.fixture
def survey(tmp_path):
    detection = make_catalog(600)
    write_maps(tmp_path / "maps", nside=64)
    catalog = write_table(tmp_path / "m.parquet", matched_of(detection))
    write_table(tmp_path / "d.parquet", detection)
    return [
        *("prepare", "--catalog", str(catalog), "--detection", str(tmp_path / "d.parquet")),
        *("--maps", str(tmp_path / "maps"), "--out", str(tmp_path / "shards")),
    ]


def test_prepare(survey, tmp_path, capsys):
    assert main([*survey, "--shards", "2", "--split-seed", "4", "--validation-rows", "9"]) == 0
    manifest = Manifest.load(tmp_path / "shards")
    assert len(manifest.splits["train"]["shards"]) == 2
    assert manifest.splits["validation"]["rows"] == 9
    assert manifest.content["regions"]["seed"] == 4
    assert "next: python train.py" in capsys.readouterr().out


def test_bad_input_is_one_line_and_exit_status_1(survey, tmp_path, capsys):
    (tmp_path / "m.parquet").write_bytes(b"")
    assert main(survey) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: {tmp_path / 'm.parquet'} must be a whole Parquet file")
    assert not (tmp_path / "shards").exists()


def test_usage_error_is_exit_status_2(survey):
    for arguments in ([], ["prepare"], [*survey, "--unit", "lux"], ["unknown"]):
        with pytest.raises(SystemExit) as status:
            main(arguments)
        assert status.value.code == 2


def test_interrupt_is_exit_status_130_and_can_be_resumed(survey, tmp_path, caplog):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    caplog.set_level("INFO")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_prep.shards.frame_records", interrupt)
        assert main(survey) == 130
    assert {path.name for path in tmp_path.iterdir()} == before | {".shards.prepare"}
    assert "run the same command with --resume" in caplog.text
    assert main([*survey, "--resume"]) == 0
    assert "tasks were done" in caplog.text
    assert {path.name for path in tmp_path.iterdir()} == before | {"shards"}


def test_map_without_ordering_or_nside(survey, tmp_path, capsys):
    path = tmp_path / "maps" / MAP_NAMES["fwhm_i"]
    table = fitsio.read(path)
    fitsio.write(path, table, clobber=True)
    assert main(survey) == 1
    assert "NSIDE; give --map-nside" in capsys.readouterr().err
    assert main([*survey, "--map-nside", "64"]) == 1
    assert "give --map-ordering nest or ring" in capsys.readouterr().err
    assert main([*survey, "--map-nside", "64", "--map-ordering", "ring"]) == 1
    assert "header says ORDERING" in capsys.readouterr().err
    assert main([*survey, "--map-nside", "64", "--map-ordering", "nest"]) == 0


@pytest.mark.parametrize("arguments", [["--help"], ["prepare", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from data_prep.__main__ import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as status: assert status.code == 0\n"
        "heavy = {'tensorflow', 'healpy', 'pandas', 'pyarrow', 'fitsio', 'astropy', 'galsim'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: python -m data_prep" in done.stdout


def test_file_system_that_takes_no_more(survey, tmp_path):
    """A real failed write: the kernel refuses files above 20 kB."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "data_prep", *survey, "--shards", "1"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: [Errno 27] File too large")
    assert not (tmp_path / "shards").exists()
    assert not list(tmp_path.rglob("*partial*"))
    assert main([*survey, "--shards", "1", "--resume"]) == 0


def test_fluxes_by_option(survey, tmp_path):
    detection = make_catalog(600)
    matched = matched_of(detection)
    for table in (detection, matched):
        for name in [name for name in table if "mag" in name]:
            table[name] = (10 ** (0.4 * (30 - table[name].astype(float)))).astype(np.float32)
    write_table(tmp_path / "m.parquet", matched)
    write_table(tmp_path / "d.parquet", detection)
    assert main(survey) == 1
    assert main([*survey, "--unit", "flux"]) == 0
    statistics = Manifest.load(tmp_path / "shards").statistics
    assert 18 < statistics["meas_mag_r"]["mean"] < 26
