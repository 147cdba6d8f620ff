import shutil

import pytest
from format_files import write_format
from format_world import drawn_world

from data_prep.catalogs import open_catalog
from data_prep.inspection.preset_fit import (
    catalog_fits,
    find_column,
    load_presets,
    map_fit,
    served_columns,
)

PRESETS = load_presets(None)


@pytest.fixture(scope="module")
def world():
    return drawn_world(300, 30)


@pytest.fixture(scope="module")
def formats(world, tmp_path_factory):
    """Preset -> the settings that name its files."""
    home = tmp_path_factory.mktemp("formats")
    names = ("des-y3-sof", "des-y3-metacal", "des-y6", "lsst-ssi")
    return {name: write_format(name, world, home / name) for name in names}


def names_of(fits):
    return {fit.preset.schema.name for fit in fits if not fit.missing}


def test_every_shipped_preset_is_loaded():
    names = [preset.schema.name for preset in PRESETS]
    assert {"des-y3-metacal", "des-y3-sof", "des-y6", "lsst-ssi", "mini-balrog"} <= set(names)
    assert [p.schema.name for p in load_presets("des-y6")] == ["des-y6"]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *((name, "catalog") for name in ("des-y3-sof", "des-y3-metacal", "des-y6", "lsst-ssi")),
        *((name, "detection") for name in ("des-y3-sof", "des-y3-metacal", "des-y6")),
        ("des-y3-metacal", "deep"),
    ],
)
def test_files_of_a_survey_fit_its_preset_in_their_role(formats, name, role):
    fits = catalog_fits(open_catalog(formats[name][role]), PRESETS)
    mine = next(fit for fit in fits if fit.preset.schema.name == name)
    assert mine.missing == ()
    assert mine.role == f"--{role}"
    assert mine.found > 3
    # The metacal and SOF tables share the detection catalogue, and mini-balrog is as SOF.
    others = {"des-y3-sof": {"mini-balrog"}, "des-y3-metacal": {"des-y3-metacal-lensing"}}
    shared = names_of(fits) - {name} - others.get(name, set())
    assert not shared or role == "detection"
    assert len(fits[0].missing) == 0


def test_the_missing_columns_are_named(tmp_path, formats):
    import pandas as pd

    table = pd.read_parquet(formats["lsst-ssi"]["catalog"])
    table.drop(columns=["match_distance", "i_sersicFlux"]).to_parquet(tmp_path / "t.parquet")
    best = catalog_fits(open_catalog(tmp_path / "t.parquet"), PRESETS)[0]
    assert best.preset.schema.name == "lsst-ssi"
    assert set(best.missing) == {"match_distance", "i_sersicFlux"}


def test_a_column_of_another_shape_is_missing(formats):
    catalog = open_catalog(formats["des-y3-sof"]["catalog"])
    assert str(find_column(catalog, ("nothing", "meas_cm_mag[r]"), "griz")) == "meas_cm_mag[1]"
    assert find_column(catalog, ("meas_cm_mag",)) is None
    assert find_column(catalog, ("meas_cm_mag[7]",)) is None


@pytest.mark.parametrize("name", ["des-y3-sof", "des-y3-metacal", "des-y6", "lsst-ssi"])
def test_maps_of_a_survey_are_complete(formats, name):
    maps = formats[name]["maps"]
    fit = map_fit(maps, load_presets(name)[0])
    assert not fit.missing
    assert len(fit.found) >= 6
    for column, path in fit.found.items():
        served = [(p.schema.name, c) for p, c in served_columns(path, PRESETS)]
        assert (name, column) in served
        assert len(served) == len(set(served))


def test_missing_and_ambiguous_maps_are_said(formats, tmp_path):
    maps = shutil.copytree(formats["des-y6"]["maps"], tmp_path / "maps")
    (maps / "y6a2_decasu_r_fwhm_wmean.hs").unlink()
    shutil.copy(maps / "y6a2_decasu_i_fwhm_wmean.hs", maps / "y6a2.decasu_i_fwhm_wmean.hsp")
    fit = map_fit(maps, load_presets("des-y6")[0])
    assert set(fit.missing) == {"fwhm_r", "fwhm_i"}
    assert fit.missing["fwhm_r"].startswith("y6a2_decasu_r_fwhm_wmean or ")
    assert "one map must match" in fit.missing["fwhm_i"]
