"""The command as a user runs it, on files of every kind."""

import subprocess
import sys
from pathlib import Path

import fitsio
import healpy
import healsparse
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from format_files import write_format
from format_world import drawn_world
from toy import write_toy_shards

from data_prep.__main__ import main

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Files of two surveys."""
    home, world = tmp_path_factory.mktemp("inspect"), drawn_world(2000)
    for name in ("des-y3-sof", "des-y6", "lsst-ssi"):
        write_format(name, world, home / name)
    return home


@pytest.fixture
def inspect(capsys):
    """Lines printed by the command; its error if it fails."""

    def inspect(*arguments):
        status = main(["inspect", *map(str, arguments)])
        out, err = capsys.readouterr()
        if status:
            assert status == 1
            assert not out
            return err.strip().splitlines()[-1]
        lines = out.splitlines()
        assert max(len(line) for line in lines[1:] if "/" not in line) <= 110
        return lines

    return inspect


def field(lines, label):
    """Text behind a label, wrapped lines joined."""
    start = next(k for k, line in enumerate(lines) if line.startswith(f"{label} "))
    text = [lines[start].removeprefix(label)]
    for line in lines[start + 1 :]:
        if not line.startswith("     "):
            break
        text.append(line)
    return " ".join(" ".join(text).split())


def test_catalogue(home, inspect):
    path = home / "des-y3-sof" / "balrog_matched_catalog_sof.fits"
    lines = inspect(path)
    rows = fitsio.FITS(path)[1].get_nrows()
    assert lines[0] == str(path)
    assert field(lines, "format") == f"FITS catalogue, {rows:,} rows, 7 columns"
    assert field(lines, "fits") == "des-y3-sof, mini-balrog as --catalog"
    assert field(lines, "id") == "bal_id"
    assert "ra 353." in field(lines, "position")
    assert "(across 0), dec -6." in field(lines, "position")
    assert f"values in the first {rows:,} rows" in lines
    table = fitsio.read(path)
    assert field(lines, "bal_id") == f"i8 {table['bal_id'].min()} {table['bal_id'].max()}"
    mag = table["meas_cm_mag"].astype(float).ravel()
    good = mag[(np.abs(mag) < 90) & (mag != 37.5)]
    cells = field(lines, "meas_cm_mag").split()
    assert cells[:4] == [
        "f4[4]",
        f"{good.min():.6g}",
        f"{good.max():.6g}",
        f"{np.isnan(mag).sum()}",
    ]
    assert cells[4:6] == ["37.5", f"({(mag == 37.5).sum()}),"]


def test_detection_catalogue(home, inspect):
    path = home / "des-y3-sof" / "balrog_detection_catalog_sof_y3-merged_v1.2.fits"
    lines = inspect(path, "--preset", "des-y3-sof")
    assert field(lines, "fits") == "des-y3-sof as --detection"
    assert field(lines, "detected") == "detected"
    missed = np.count_nonzero(fitsio.read(path)["detected"] == 0)
    assert field(lines, "meas_EXTENDED_CLASS_SOF") == f"i4 3 3 -9999 ({missed:,})"


def test_what_nearly_fits(home, inspect, tmp_path):
    table = pd.read_parquet(home / "lsst-ssi" / "matched_injected.parquet")
    table.drop(columns="match_distance").to_parquet(tmp_path / "t.parquet")
    lines = inspect(tmp_path / "t.parquet")
    assert field(lines, "nearly fits").endswith("columns, without match_distance")
    assert not any(line.startswith("fits") for line in lines)


def test_catalogue_of_nobody(inspect, tmp_path):
    pd.DataFrame({"a": [1, 2], "text": ["x", "y"], "c": [1.5, None]}).to_parquet(tmp_path / "t.pq")
    lines = inspect(tmp_path / "t.pq")
    assert field(lines, "fits").startswith("no preset")
    assert field(lines, "position") == "no column has a known name of ra and dec"
    assert field(lines, "text") == "no numbers"
    assert field(lines, "c") == "f8 1.5 1.5 1"
    assert "needs columns with ra and dec" in inspect(
        tmp_path / "t.pq", "--plot", tmp_path / "x.png"
    )


def test_pickles_only_on_request(inspect, tmp_path):
    pd.DataFrame({"ID": [1, 2]}).to_pickle(tmp_path / "deep.pkl")
    assert "--allow-pickle" in inspect(tmp_path / "deep.pkl")
    assert "Pickle catalogue, 2 rows" in inspect(tmp_path / "deep.pkl", "--allow-pickle")[1]


def test_map_of_a_preset(home, inspect):
    lines = inspect(home / "des-y6" / "maps" / "y6a2_decasu_r_fwhm_wmean.hs")
    assert field(lines, "map") == "HealSparse"
    assert field(lines, "nside") == "256 NESTED, pixels of 13.7 arcmin"
    assert field(lines, "serves as") == "fwhm_r of des-y6"
    assert not any(line.startswith("junk") for line in lines)


def test_junk_sentinels_and_missing_values_of_a_map(inspect, tmp_path):
    table = np.zeros(1000, [("PIXEL", np.int64), ("SIGNAL", np.float32)])
    table["PIXEL"], table["SIGNAL"] = np.arange(1000), 0.9
    table["SIGNAL"][:5], table["SIGNAL"][5:8] = -1.6375e30, np.nan
    table["SIGNAL"][8:20], table["SIGNAL"][20:22] = 37.5, 0
    header = {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", "NSIDE": 64, "BAD_DATA": -9999.0}
    path = tmp_path / "y3a2_r_o.4096_t.32768_FWHM.WMEAN_EQU.fits"
    fitsio.write(path, table, header=header, units=["", "arcsec"])
    lines = inspect(path)
    assert field(lines, "map") == "list of pixels"
    assert field(lines, "columns") == "PIXEL, [SIGNAL]"
    assert field(lines, "unit") == "arcsec"
    assert field(lines, "valid").startswith("992 pixels, 832.5")
    assert field(lines, "values").startswith("0 to 37.5, mean ")
    assert field(lines, "no value") == "8 stored pixels (NaN, UNSEEN, BAD_DATA -9999)"
    assert field(lines, "odd values").startswith("0 in 2 pixels, 37.5 in 12 pixels; zero_is_miss")
    presets = ("des-y3-metacal", "des-y3-metacal-lensing", "des-y3-sof", "mini-balrog",
               "mini-balrog-shapes")  # fmt: skip
    junk = sorted(line.split(None, 1)[1] for line in lines if line.startswith("junk"))
    assert junk == [f"14 pixels out of the range of fwhm_r of {name}" for name in presets]


def test_map_that_does_not_say_its_ordering(inspect, tmp_path):
    sky = np.arange(12 * 16**2, dtype=np.float32)
    fitsio.write(tmp_path / "bare.fits", np.array(sky, [("I", np.float32)]))
    assert "give --map-nside" in inspect(tmp_path / "bare.fits")
    assert "give --map-ordering" in inspect(tmp_path / "bare.fits", "--map-nside", 16)
    options = ("--map-nside", 16, "--map-ordering", "ring")
    assert "full sky" in inspect(tmp_path / "bare.fits", *options)[1]


def test_record_map_by_its_field(inspect, tmp_path):
    kind = [("depth", np.float32), ("seeing", np.float32)]
    sky = healsparse.HealSparseMap.make_empty(4, 64, kind, primary="depth")
    values = np.zeros(50, kind)
    values["depth"], values["seeing"] = 24, 0.9
    sky.update_values_pix(np.arange(50), values)
    sky.write(str(tmp_path / "record.hsp"))
    assert "depth, seeing" in inspect(tmp_path / "record.hsp")
    lines = inspect(f"{tmp_path / 'record.hsp'}#seeing")
    assert field(lines, "columns") == "depth, [seeing]"
    assert field(lines, "values") == "0.9 to 0.9, mean 0.9"


@pytest.mark.skipif(not DATA.is_dir(), reason="the real DES maps are not here")
def test_real_map_and_its_picture(inspect, tmp_path):
    path = DATA / "y3a2_i_mangle_4096_fwhm.hsp"
    lines = inspect(path, "--plot", tmp_path / "sky.png")
    real = healsparse.HealSparseMap.read(str(path))
    pixels = real.valid_pixels
    area = pixels.size * healpy.nside2pixarea(4096, degrees=True)
    assert (
        field(lines, "valid") == f"{pixels.size:,} pixels, {area:.2f} deg2 (0.00245 % of the sky)"
    )
    assert field(lines, "footprint").startswith("ra 358.82 to 1.43 (across 0), dec -55.33")
    values = real.get_values_pix(pixels)
    assert field(lines, "values").startswith(f"{values.min():.6g} to {values.max():.6g}, mean 0.87")
    median = f"median {np.median(values.astype(float)):.6g}"
    assert median in field(lines, "percentiles")
    image = matplotlib.image.imread(tmp_path / "sky.png")
    assert len(np.unique((image[..., :3] * 255).astype(int).reshape(-1, 3), axis=0)) > 150


def test_directory_of_maps(home, inspect):
    lines = inspect(home / "des-y6" / "maps")
    assert field(lines, "des-y6") == "all 7 maps"
    assert field(lines, "des-y3-metacal").startswith("1 of 7 maps; misses fwhm_r (y3a2_r_o.")
    assert field(lines, "y6a2_decasu_i_fwhm_wmean.hs") == "HealSparse 256 NESTED fwhm_i"
    assert not any("lsst-ssi" in line for line in lines)


def test_directory_of_everything(home, inspect):
    lines = inspect(home / "lsst-ssi")
    assert field(lines, "lsst-ssi") == "all 6 maps"
    name = "maps/r/deepCoadd_psf_size_consolidated_map_weighted_mean.hsp"
    assert field(lines, name) == "HealSparse 256 NESTED fwhm_r"
    assert field(lines, "matched_injected.parquet").startswith("Parquet catalogue, 2,000 rows")


def test_directory_with_files_that_cannot_be_read(home, inspect, tmp_path):
    (tmp_path / "x.hsp").write_bytes(b"no")
    (tmp_path / "t.parquet").write_bytes(b"no")
    (tmp_path / "notes.txt").write_text("")
    lines = inspect(tmp_path)
    assert lines[2] == "not readable"
    assert "must be a whole Parquet file" in field(lines, "t.parquet")
    assert "must be a whole map" in field(lines, "x.hsp")
    assert not any("notes" in line for line in lines)


def test_parquet_directories(home, inspect, tmp_path):
    table = pd.read_parquet(home / "lsst-ssi" / "matched_injected.parquet")
    for part in range(2):
        table.iloc[part::2].to_parquet(tmp_path / f"{part}.parquet")
    lines = inspect(tmp_path)
    assert field(lines, "format") == "Parquet catalogue, 2,000 rows, 21 columns"
    assert field(lines, "fits") == "lsst-ssi as --catalog"


def test_shards_and_emulators(inspect, tmp_path):
    shards = write_toy_shards(tmp_path / "shards", 60, 20, 20)
    lines = inspect(shards)
    assert field(lines, "label") == "toy: a known distribution"
    assert field(lines, "train") == "60 2"
    assert lines[-1] == f"next: python -m data_prep verify {shards}"
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "emulator.json").write_text("{}")
    emulator = inspect(tmp_path / "bundle")
    assert emulator[-1] == f"next: python -m balrog_keras info {tmp_path / 'bundle'}"
    assert [line.split()[-1] for line in inspect(tmp_path)[-2:]] == ["emulator", "shards"]
    assert "neither" in inspect(shards, "--plot", tmp_path / "x.png")


def test_picture_of_a_catalogue(home, inspect, tmp_path):
    path = home / "lsst-ssi" / "matched_injected.parquet"
    inspect(path, "--plot", tmp_path / "sky.pdf")
    assert (tmp_path / "sky.pdf").read_bytes().startswith(b"%PDF")
    assert ".png, .pdf, .svg; found sky.txt" in inspect(path, "--plot", tmp_path / "sky.txt")


def test_nothing_that_is_known(inspect, tmp_path):
    path = tmp_path / "notes.txt"
    assert "does not exist" in inspect(path)
    path.write_text("")
    assert "by its name it is none" in inspect(path)
    assert "it holds none of them" in inspect(tmp_path)


def test_help_imports_nothing_heavy():
    for command in ("inspect", "verify"):
        code = (
            "import sys; from data_prep.__main__ import main\n"
            f"try: main(['{command}', '--help'])\n"
            "except SystemExit as status: assert status.code == 0\n"
            "heavy = {'tensorflow', 'healpy', 'pandas', 'pyarrow', 'fitsio', 'matplotlib'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"usage: python -m data_prep {command}" in done.stdout


@pytest.mark.slow
def test_memory_is_that_of_a_batch(tmp_path):
    """A map and a catalogue of 100 MB each are read in far less."""
    sky = np.zeros(12 * 1024**2, np.float64)
    healpy.write_map(tmp_path / "map.fits", sky, dtype=np.float64)
    rows = 4_000_000
    table = np.zeros(rows, [("ra", "f8"), ("dec", "f8"), ("x", "f8")])
    fitsio.write(tmp_path / "t.fits", table)
    del sky, table
    healpy.write_map(tmp_path / "small.fits", np.zeros(12), dtype=np.float64)
    peaks = []
    for name in ("small.fits", "map.fits", "t.fits"):
        code = (
            "import re; from data_prep.__main__ import main\n"
            f"assert main(['inspect', {str(tmp_path / name)!r}]) == 0\n"
            # Unlike ru_maxrss, this is not what the parent process held before.
            "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        peaks.append(int(done.stdout.split()[-1]) / 1e3)
    # Beyond what the libraries take; the footprint's pixels are 50 MB of it.
    assert peaks[1] - peaks[0] < 220
    assert peaks[2] - peaks[0] < 220
