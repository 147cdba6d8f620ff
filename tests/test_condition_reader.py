import fitsio
import numpy as np
import pandas as pd
import pytest
from toy import toy_conditions, toy_schema

from balrog_keras.catalog_emulation import CatalogColumns, emulate_catalog
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.emulator import Emulator
from data_prep.errors import BalrogError
from data_prep.preset import load_preset
from data_prep.survey_maps import pixels_at, write_partial_map

NAMES = list(toy_schema().condition_names)
MEASURED = list(toy_schema().measured_names)
COEFFICIENT = {"r": 2.14, "i": 1.569, "z": 1.196}
PRESET = """\
name: mine
bands: [r, i, z]
zero_point: 27.5
id: {id}
position: [[RA_J2000, RA], DEC]
sentinels: {{flux: [-9999]}}
columns:
  - name: true_mag_{{band}}
    group: truth
    unit: mag
    inputs: {{bulge: ["BULGE[{{band}}]"], disc: ["DISC_{{BAND}}"]}}
    expression: bulge + disc
    source_unit: flux
    extinction:
      column: ["A_{{band}}"]
      map: [dust]
      coefficient: {{r: 2.14, i: 1.569, z: 1.196}}
    minimum: 10
    maximum: 36
  - {{name: "fwhm_{{band}}", group: survey, unit: arcsec, map: ["{{band}}_fwhm"]}}
  - {{name: "sky_noise_{{band}}", group: survey, unit: count, source: ["SKY_{{band}}"]}}
  - {{name: "meas_mag_{{band}}", group: measured, unit: mag, source: ["M_{{band}}"]}}
"""


@pytest.fixture(scope="module")
def emulator(toy_bundle):
    return Emulator.load(toy_bundle)


def preset(place, row_id="[OBJECT, COADD_ID]"):
    path = place / "mine.yaml"
    path.write_text(PRESET.format(id=row_id))
    return load_preset(path)


def world(rows=600):
    """Conditions, and the same as a catalogue of fluxes before the dust."""
    condition = toy_conditions(rows, 4)
    rng = np.random.default_rng(5)
    extinction = rng.uniform(0, 0.3, (rows, 3))
    flux = 10 ** (0.4 * (27.5 - condition[:, :3] + extinction))
    part = rng.uniform(0.2, 0.8, (rows, 3))
    table = {"BULGE": flux * part, "COADD_ID": 7 * np.arange(rows) + 10**12}
    table |= {"RA": rng.uniform(40, 41, rows), "DEC": rng.uniform(-21, -20, rows)}
    for k, band in enumerate("riz"):
        table |= {f"DISC_{band.upper()}": (flux * (1 - part))[:, k], f"A_{band}": extinction[:, k]}
        table |= {f"fwhm_{band}": condition[:, 3 + k], f"SKY_{band}": condition[:, 6 + k]}
    return condition, table


def written(place, table):
    path = place / "truth.fits"
    dtype = [(name, v.dtype.str, v.shape[1:]) for name, v in table.items()]
    array = np.empty(len(table["RA"]), dtype)
    for name, values in table.items():
        array[name] = values
    fitsio.write(path, array, clobber=True)
    return path


def close(found, expected):
    """Magnitudes from float64 fluxes are the float32 ones to the last digits."""
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_units_expressions_and_extinction_of_a_preset(emulator, tmp_path):
    condition, table = world()
    columns = CatalogColumns.of_preset(preset(tmp_path), keep=["RA"])
    out = tmp_path / "out.parquet"
    emulate_catalog(emulator, written(tmp_path, table), out, plan=DrawPlan(seed=2), columns=columns)
    found = pd.read_parquet(out)
    np.testing.assert_array_equal(found["row_id"], table["COADD_ID"])
    np.testing.assert_array_equal(found["RA"], table["RA"])
    close(found[MEASURED], emulator.draw(condition, table["COADD_ID"], 2))


def test_sentinels_and_negative_fluxes_are_null_and_counted(emulator, tmp_path, caplog):
    condition, table = world()
    table["DISC_I"][[3, 4]] = -9999
    table["BULGE"][9, 2] = -1e6
    columns = CatalogColumns.of_preset(preset(tmp_path))
    out = tmp_path / "out.parquet"
    path = written(tmp_path, table)
    done = emulate_catalog(emulator, path, out, columns=columns, batch_rows=100)
    assert done.rows_written == 600
    assert done.unusable["true_mag_i (disc) is the sentinel -9999"] == 2
    found = pd.read_parquet(out)
    assert found["meas_mag_r"].isna().to_numpy().nonzero()[0].tolist() == [3, 4, 9]
    assert "2 of 600 rows: true_mag_i (disc) is the sentinel -9999" in caplog.text
    assert "1 of 600 rows: true_mag_z has a flux that is not positive" in caplog.text
    good = found["meas_mag_r"].notna()
    close(found[MEASURED][good], emulator.draw(condition, table["COADD_ID"], 0)[good])


def test_row_numbers_where_the_preset_has_no_id(emulator, tmp_path):
    condition, table = world()
    columns = CatalogColumns.of_preset(preset(tmp_path, row_id="[]"))
    out = tmp_path / "out.parquet"
    emulate_catalog(emulator, written(tmp_path, table), out, columns=columns, batch_rows=100)
    found = pd.read_parquet(out)
    np.testing.assert_array_equal(found["row_id"], np.arange(600))
    close(found[MEASURED], emulator.draw(condition, np.arange(600), 0))


def test_dust_and_survey_properties_from_maps(emulator, tmp_path):
    condition, table = world()
    for band in "riz":
        del table[f"A_{band}"], table[f"fwhm_{band}"]
    pixels = pixels_at(table["RA"], table["DEC"], nside=256, nest=True)
    every = np.unique(pixels)
    values = np.random.default_rng(6).uniform(0, 0.2, (4, len(every))).astype("float32")
    values[1:] += 0.8
    (tmp_path / "maps").mkdir()
    for name, one in zip(("dust", "r_fwhm", "i_fwhm", "z_fwhm"), values, strict=True):
        path = tmp_path / "maps" / f"{name}.fits"
        write_partial_map(path, every, one, nside=256, unit="")
    at = values[:, np.searchsorted(every, pixels)]
    flux = table["BULGE"] + np.stack([table[f"DISC_{b}"] for b in "RIZ"], axis=1)
    coefficients = np.array(list(COEFFICIENT.values()))
    expected = np.column_stack(
        [27.5 - 2.5 * np.log10(flux) + at[0][:, None] * coefficients, at[1:].T, condition[:, 6:]]
    )
    path, out = written(tmp_path, table), tmp_path / "out.parquet"
    columns = CatalogColumns.of_preset(preset(tmp_path))
    emulate_catalog(emulator, path, out, tmp_path / "maps", columns=columns)
    ids = table["COADD_ID"]
    close(pd.read_parquet(out)[MEASURED], emulator.draw(expected.astype("float32"), ids, 0))


def test_dust_that_is_nowhere_is_an_error(emulator, tmp_path):
    _, table = world()
    del table["A_i"]
    columns = CatalogColumns.of_preset(preset(tmp_path))
    with pytest.raises(BalrogError, match=r"extinction of true_mag_i .*--maps"):
        emulate_catalog(emulator, written(tmp_path, table), tmp_path / "o.fits", columns=columns)


def test_missing_columns_are_named(emulator, tmp_path):
    _, table = world()
    del table["COADD_ID"]
    columns = CatalogColumns.of_preset(preset(tmp_path))
    with pytest.raises(BalrogError, match="OBJECT or COADD_ID"):
        emulate_catalog(emulator, written(tmp_path, table), tmp_path / "o.fits", columns=columns)
    columns = CatalogColumns.of_preset(preset(tmp_path, row_id="[]"), keep=["COLOUR"])
    with pytest.raises(BalrogError, match="COLOUR"):
        emulate_catalog(emulator, written(tmp_path, table), tmp_path / "o.fits", columns=columns)
