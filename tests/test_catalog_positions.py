import numpy as np
import pandas as pd
import pytest
from analytic_emulator import AnalyticEmulator, command_world
from astropy.table import Table
from memory_catalog import MemoryCatalog

from balrog_keras.__main__ import main
from balrog_keras.catalog_positions import CatalogPositions, looked_up
from data_prep.errors import BalrogError

MEASURED = [f"meas_mag_{band}" for band in "riz"]


def drawn(self, condition, row_id, seed, member, detected, draw=0):
    return dict(zip(MEASURED, self.draw(condition, row_id, seed, member, draw).T, strict=True))


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Positions and maps, drawn for by an emulator without TensorFlow."""
    monkeypatch.setattr(AnalyticEmulator, "drawn_columns", drawn, raising=False)
    return command_world(tmp_path, monkeypatch, rows=300)


def emulate(world, table, name, *more):
    """What is drawn for a table with its units, or the error."""
    place = world.place / name
    table.write(place) if isinstance(table, Table) else table.to_parquet(place)
    out = world.place / f"{name}.out.parquet"
    words = [str(place) if word.endswith("truth.parquet") else word for word in world.options]
    code = main(["emulate", *words, "--out", str(out), "--quiet", *more])
    return pd.read_parquet(out) if code == 0 else None


def test_positions_in_the_units_that_the_file_states(world, capsys):
    table = Table.from_pandas(pd.read_parquet(world.place / "truth.parquet"))
    expected = emulate(world, table, "plain.fits")
    assert expected["meas_mag_i"].notna().all()
    for unit, factor in (("rad", np.pi / 180), ("degrees", 1.0)):
        other = table.copy()
        for name in ("ra", "dec"):
            other[name] = table[name] * factor
            other[name].unit = unit
        pd.testing.assert_frame_equal(emulate(world, other, f"{unit}.fits"), expected)
    table["ra"].unit = "mag"
    assert emulate(world, table, "wrong.fits") is None
    assert "wrong.fits: column ra must be in deg" in capsys.readouterr().err


def test_conditions_in_the_units_that_the_file_states(world, capsys):
    table = Table.from_pandas(pd.read_parquet(world.place / "truth.parquet"))
    table["fwhm_i"] = 1.1
    expected = emulate(world, table, "plain.fits")
    table["fwhm_i"] = 1.1 / 3600
    table["fwhm_i"].unit = "deg"
    found = emulate(world, table, "deg.fits")
    np.testing.assert_allclose(found[MEASURED], expected[MEASURED], atol=1e-6)
    table["MAG_R"].unit = "arcsec"
    assert emulate(world, table, "wrong.fits") is None
    message = "column MAG_R (true_mag_r) must be in mag, or in a unit that converts"
    assert message in capsys.readouterr().err


def test_rows_without_a_position_are_null_and_counted(world, caplog):
    table = pd.read_parquet(world.place / "truth.parquet")
    expected = emulate(world, table, "whole.parquet")
    table.loc[7, "ra"], table.loc[250, "dec"] = np.nan, np.inf
    found = emulate(world, table, "gaps.parquet")
    assert found["meas_mag_r"].isna().to_numpy().nonzero()[0].tolist() == [7, 250]
    good = found["meas_mag_r"].notna()
    pd.testing.assert_frame_equal(found[good], expected[good])
    assert "2 of 300 rows: no usable position" in caplog.text


def test_the_row_of_a_position_out_of_range_is_that_of_the_catalogue():
    catalog = MemoryCatalog({"ra": np.array([1.0, np.nan, 400.0]), "dec": np.zeros(3)})
    positions = CatalogPositions.of(catalog, (("ra",), ("dec",)))
    with pytest.raises(BalrogError, match=r"row 1002 has ra 400\.0"):
        positions.degrees(catalog.columns, 1000)


def test_maps_have_no_value_where_there_is_no_position():
    class Maps:
        def values_at(self, ra, dec):
            return {"fwhm": (ra + dec).astype(np.float32)}

    found = looked_up(Maps(), np.array([3.0, np.nan]), np.array([4.0, np.nan]))["fwhm"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32([7, np.nan]))


def test_a_column_spelt_like_a_survey_property_is_named(world, caplog, capsys):
    table = pd.read_parquet(world.place / "truth.parquet").assign(FWHM_R=1.0)
    assert emulate(world, table, "case.parquet") is not None
    message = "fwhm_r is looked up in the maps; the column FWHM_R is taken with --columns fwhm_r="
    assert caplog.text.count(message) == 1
    assert emulate(world, table, "typo.parquet", "--columns", "fwhm_r=FWHM") is None
    assert "fwhm_r (arcsec) needs the column FWHM, which is missing" in capsys.readouterr().err
    place, at = world.place / "case.parquet", world.options.index("--maps")
    words = [str(place) if word.endswith("truth.parquet") else word for word in world.options]
    words = words[:at] + words[at + 2 :]
    assert main(["emulate", *words, "--out", str(world.place / "o.fits"), "--quiet"]) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "fwhm_r (arcsec), unless it is looked up in --maps DIR, needs the column" in line
    assert "did you mean FWHM_R" in line
