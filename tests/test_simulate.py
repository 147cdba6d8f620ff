import argparse
import json
import shutil
import sys
from pathlib import Path

import fitsio
import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError, MissingExtraError
from data_prep.mini_balrog.simulate_settings import SimulateSettings
from data_prep.preset import load_preset
from data_prep.simulate import add_arguments, simulate
from data_prep.splits import assign_splits, region_of
from data_prep.survey_maps import SurveyMap, find_map

pytest.importorskip("galsim")
pytest.importorskip("sep")

SHARED = Path(__file__).parents[2] / "shared" / "data"
SMALL = {"tiles": 4, "realizations": 2, "tile_pixels": 300, "parents": 60, "replicate": True}
CATALOGS = [
    f"{prefix}_{kind}_catalog"
    for prefix in ("balrog", "replicate")
    for kind in ("detection", "matched")
]


def settings(out, **options):
    return SimulateSettings(out=str(out), **(SMALL | options))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulate") / "sim"
    simulate(settings(out))
    return out


def read(out, name):
    return fitsio.read(out / f"{name}.fits")


def split_of(rows):
    regions = region_of(rows["true_ra"], rows["true_dec"])
    splits = assign_splits(regions, 0)
    return np.array([splits[int(region)] for region in regions])


def test_output_is_complete_and_nothing_else_is_left(small):
    names = {path.name for path in small.iterdir()}
    expected = {f"{name}.{suffix}" for name in CATALOGS for suffix in ("fits", "parquet")}
    assert names == expected | {"maps", "simulation.json"}
    assert len(list((small / "maps").iterdir())) == 6
    assert [path.name for path in small.parent.iterdir()] == ["sim"]


def test_record_says_what_was_done(small):
    record = json.loads((small / "simulation.json").read_text())
    assert record["settings"]["tiles"] == 4
    assert record["label"] == "mini-Balrog: simulated images, realistic maps"
    counts = record["counts"]
    assert counts["injections"] == len(read(small, "balrog_detection_catalog"))
    assert counts["detected"] == len(read(small, "balrog_matched_catalog"))
    assert counts["train"] + counts["validation"] + counts["test"] == counts["detected"]
    assert counts["replicate"] == len(read(small, "replicate_matched_catalog"))
    assert {"galsim", "sep", "numpy", "python"} <= set(record["versions"])


@pytest.mark.parametrize("suffix", ["fits", "parquet"])
def test_des_y3_sof_preset_finds_all_its_columns(small, suffix):
    preset = load_preset("des-y3-sof")
    matched = open_catalog(small / f"balrog_matched_catalog.{suffix}")
    every = open_catalog(small / f"balrog_detection_catalog.{suffix}")
    assert matched.label == every.label == "mini-Balrog: simulated images, realistic maps"
    for source in preset.sources.values():
        assert not source.columns or matched.find(source.columns, preset.vector_bands)
        assert all(find_map(small / "maps", patterns) for patterns in source.maps.values())
    for cut in preset.cuts:
        assert (every if cut.table == "detection" else matched).find(cut.columns)


@pytest.mark.slow
def test_prepare_makes_shards_of_it_with_no_parent_in_two_splits(small, tmp_path):
    pytest.importorskip("tensorflow")
    options = {
        "--preset": "des-y3-sof",
        "--catalog": small / "balrog_matched_catalog.fits",
        "--detection": small / "balrog_detection_catalog.fits",
        "--replicate": small / "replicate_matched_catalog.fits",
        "--maps": small / "maps",
        "--out": tmp_path / "shards",
    }
    assert main(["prepare", *(str(part) for pair in options.items() for part in pair)]) == 0
    manifest = json.loads((tmp_path / "shards" / "manifest.json").read_text())
    assert manifest["label"] == "mini-Balrog: simulated images, realistic maps"
    assert manifest["parents"]["crossing"] == 0
    assert {"train", "validation", "test", "oracle"} <= set(manifest["splits"])


def test_types_and_shapes_are_those_of_des(small):
    every, matched = (read(small, f"balrog_{kind}_catalog") for kind in ("detection", "matched"))
    for rows in (every, matched):
        for name in ("bal_id", "true_id", "meas_id"):
            assert rows[name].dtype.kind == "i"
            assert rows[name].dtype.itemsize == 8
        assert rows["true_ra"].dtype.itemsize == 8
        assert rows["true_bdf_mag_deredden"].shape[1:] == (4,)
    for name in ("meas_cm_mag", "meas_cm_mag_deredden", "meas_cm_flux", "meas_cm_flux_s2n"):
        assert matched[name].shape == (len(matched), 4)
    assert set(np.unique(every["detected"])) <= {0, 1}
    np.testing.assert_array_equal(every["bal_id"][every["detected"] == 1], matched["bal_id"])
    assert (every["meas_id"][every["detected"] == 0] == -1).all()


def test_no_parent_is_in_two_splits_and_parents_repeat(small):
    rows = read(small, "balrog_detection_catalog")
    splits = split_of(rows)
    owners = {split: set(rows["true_id"][splits == split]) for split in set(splits)}
    assert len(owners) == 3
    assert sum(len(ids) for ids in owners.values()) == len(set(rows["true_id"]))
    assert len(rows) > 1.3 * len(set(rows["true_id"]))


def test_every_injection_lies_where_all_maps_have_values(small):
    rows = read(small, "balrog_detection_catalog")
    for path in (small / "maps").iterdir():
        assert np.isfinite(SurveyMap.open(path).values_at(rows["true_ra"], rows["true_dec"])).all()


def test_replicate_is_the_test_split_redrawn(small):
    rows = read(small, "balrog_detection_catalog")
    again = read(small, "replicate_detection_catalog")
    test = rows[split_of(rows) == "test"]
    for name in ("bal_id", "true_id", "true_ra", "true_dec", "true_bdf_mag_deredden", "true_bdf_g"):
        np.testing.assert_array_equal(again[name], test[name])
    first, second = (read(small, f"{prefix}_matched_catalog") for prefix in ("balrog", "replicate"))
    _, here, there = np.intersect1d(first["bal_id"], second["bal_id"], return_indices=True)
    assert len(here) > 5
    assert (first["meas_cm_mag"][here, 2] != second["meas_cm_mag"][there, 2]).all()


def test_workers_change_nothing(small, tmp_path):
    simulate(settings(tmp_path / "two", workers=2))
    for name in CATALOGS:
        for suffix in ("fits", "parquet"):
            file = f"{name}.{suffix}"
            assert (tmp_path / "two" / file).read_bytes() == (small / file).read_bytes()
    for path in (small / "maps").iterdir():
        assert (tmp_path / "two" / "maps" / path.name).read_bytes() == path.read_bytes()


def test_another_seed_is_another_sky(small, tmp_path):
    simulate(settings(tmp_path / "other", seed=1, replicate=False))
    first, second = (read(out, "balrog_matched_catalog") for out in (small, tmp_path / "other"))
    assert not np.intersect1d(first["true_ra"], second["true_ra"]).size
    assert not (tmp_path / "other" / "replicate_matched_catalog.fits").exists()


def test_running_again_does_nothing(small, caplog):
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    with caplog.at_level("INFO"):
        record = simulate(settings(small, workers=2))
    assert "already there" in caplog.text
    assert record["counts"]["tiles"] == 4
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


def test_other_settings_do_not_overwrite(small):
    with pytest.raises(BalrogError, match="seed is 0 there, 5 now"):
        simulate(settings(small, seed=5))


def test_foreign_directory_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(BalrogError, match="no simulation.json"):
        simulate(settings(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_damaged_record_is_named(small, tmp_path):
    shutil.copytree(small, tmp_path / "sim")
    (tmp_path / "sim" / "simulation.json").write_text("{")
    with pytest.raises(BalrogError, match="simulation.json is damaged"):
        simulate(settings(tmp_path / "sim"))


def test_failure_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data_prep.mini_balrog.simulation.write_table", full)
    with pytest.raises(OSError, match="No space left"):
        simulate(settings(tmp_path / "sim", realizations=1, replicate=False))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["galsim", "sep"])
def test_missing_extra_is_one_line_that_names_it(module, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module}.*balrog-keras\[sim\]"):
        simulate(settings(tmp_path / "sim"))
    assert main(["simulate", "--out", str(tmp_path / "sim")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert "balrog-keras[sim]" in lines[0]


@pytest.mark.parametrize(
    ("name", "value"), [("tiles", 2), ("tile_pixels", 100), ("workers", 0), ("seed", -1)]
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(BalrogError, match=f"--{name.replace('_', '-')} must lie between"):
        settings("nowhere", **{name: value})


def test_options_have_the_defaults_of_the_settings():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = vars(parser.parse_args(["--out", "here"]))
    options.pop("workers")
    assert SimulateSettings(**options) == SimulateSettings(out="here")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the DES maps and Buzzard are not there")
def test_real_des_maps_and_a_truth_catalogue(tmp_path):
    record = simulate(
        settings(
            tmp_path / "des",
            maps=str(SHARED),
            truth=str(SHARED / "buzzard_truth_100k.parquet"),
            realizations=1,
            replicate=False,
        )
    )
    assert record["label"].endswith("real DES Y3 i-band maps (r, z derived)")
    rows = read(tmp_path / "des", "balrog_detection_catalog")
    # The tile crosses RA = 0.
    assert (((rows["true_ra"] + 180) % 360 - 180) < 1.5).all()
    name = "y3a2_i_o.4096_t.32768_FWHM.WMEAN_EQU.fits"
    written = SurveyMap.open(tmp_path / "des" / "maps" / name)
    real = SurveyMap.open(SHARED / "y3a2_i_mangle_4096_fwhm.hsp")
    at = (rows["true_ra"], rows["true_dec"])
    np.testing.assert_allclose(written.values_at(*at), real.values_at(*at), rtol=1e-6)
    header = fitsio.read_header(tmp_path / "des" / "maps" / name, 1)
    assert header["LABEL"] == record["label"]
