"""Surveys of other shapes: joins, weights, parents' tables, dust, fluxes; each against NumPy."""

from dataclasses import replace

import healpy
import numpy as np
import pytest
from prepare_world import SPLIT_NAMES, all_rows
from small_survey import (
    ASINH,
    found_of,
    make_injections,
    preset_content,
    sky_values,
    write_columns,
    write_map,
    write_preset,
)

from data_prep.errors import BalrogError
from data_prep.photometry import asinh_mag_to_flux
from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings

CHECK = {"columns": ["meas_ra", "meas_dec"], "arcsec": 2}


def settings_of(directory, files, preset=None, suffix=".fits", **options):
    """Settings over files of these columns; the survey property map lies beside them."""
    directory.mkdir(exist_ok=True)
    write_map(directory / "maps")
    paths = {
        name: write_columns(directory / f"{name}{suffix}", columns)
        for name, columns in files.items()
    }
    given = {"validation_rows": 10**6, "shards": 2} | options
    given |= {"maps": directory / "maps", "out": directory / "shards"}
    return PrepareSettings(preset=write_preset(directory, **(preset or {})), **paths, **given)


def by_row(directory, columns, prefix="", key="id"):
    """Rows of all splits in the order of the injections, and which injections they are."""
    found = all_rows(directory, prefix)
    order = np.argsort(found["row_id"])
    ids = columns[key] if key else np.arange(len(columns["ra"]))
    place = np.argsort(ids)[np.searchsorted(np.sort(ids), found["row_id"][order])]
    return {name: values[order] for name, values in found.items()}, place


def kept(manifest, prefix=""):
    table = manifest.content["other_tables"]["detection"] if prefix else manifest.content
    surplus = table["dropped"].get("validation surplus", 0)
    return sum(manifest.splits[prefix + name]["rows"] for name in SPLIT_NAMES), surplus


def test_one_catalogue_of_every_injection(tmp_path):
    columns = make_injections(1500)
    finite = {"inputs": {"m": ["m_r"]}, "expression": "isfinite(m)"}
    preset = {"join": "none", "id": None, "detected": finite, "weight": "weight"}
    manifest = prepare(settings_of(tmp_path, {"catalog": columns}, preset))
    rows, place = by_row(tmp_path / "shards", columns, key=None)
    np.testing.assert_array_equal(rows["measured"][:, 1], columns["m_i"][place])
    np.testing.assert_array_equal(rows["weight"], columns["weight"][place])
    assert (columns["found"][place] == 1).all()
    assert sum(kept(manifest)) == columns["found"].sum() == manifest.content["rows_read"]
    detection, place = by_row(tmp_path / "shards", columns, "detection-", key=None)
    np.testing.assert_array_equal(detection["detected"], columns["found"][place])
    np.testing.assert_array_equal(detection["weight"], columns["weight"][place])
    assert sum(kept(manifest, "detection-")) == 1500


def row_order_files(columns):
    columns = columns | {"meas_ra": columns["ra"] + 1e-5, "meas_dec": columns["dec"]}
    measured = ("m_r", "m_i", "meas_ra", "meas_dec")
    return {
        "detection": {name: values for name, values in columns.items() if name not in measured},
        "catalog": {name: values for name, values in found_of(columns).items() if name in measured},
    }


@pytest.mark.parametrize("batch_rows", [100, 10**6])
def test_two_catalogues_in_the_same_order(tmp_path, batch_rows):
    columns = make_injections(1500)
    preset = {"join": "row_order", "id": None, "position_check": CHECK}
    settings = settings_of(tmp_path, row_order_files(columns), preset, batch_rows=batch_rows)
    manifest = prepare(settings)
    rows, place = by_row(tmp_path / "shards", columns, key=None)
    np.testing.assert_array_equal(rows["measured"][:, 0], columns["m_r"][place])
    np.testing.assert_array_equal(rows["condition"][:, 1], columns["t_i"][place])
    assert sum(kept(manifest)) == columns["found"].sum()
    detection, place = by_row(tmp_path / "shards", columns, "detection-", key=None)
    np.testing.assert_array_equal(detection["detected"], columns["found"][place])
    sources = {source["name"] for source in manifest.provenance["sources"]}
    assert sources == {"catalog.fits", "detection.fits", "seeing.fits"}


def test_catalogues_that_are_not_in_the_same_order(tmp_path):
    files = row_order_files(make_injections())
    preset = {"join": "row_order", "id": None, "position_check": CHECK}
    swapped = {name: values[::-1] for name, values in files["catalog"].items()}
    settings = settings_of(tmp_path / "swapped", files | {"catalog": swapped}, preset)
    with pytest.raises(BalrogError, match="rows of the two files are not in the same order"):
        prepare(settings)
    cut = {name: values[1:] for name, values in files["catalog"].items()}
    settings = settings_of(tmp_path / "cut", files | {"catalog": cut}, preset)
    with pytest.raises(BalrogError, match="must be the detected rows of .*of the same release"):
        prepare(settings)


def joined_files(columns, *without):
    matched = found_of(columns, "found", "flag", *without)
    order = np.random.default_rng(8).permutation(len(matched["id"]))
    detection = {name: values for name, values in columns.items() if name[:2] != "m_"}
    return {"catalog": {n: v[order] for n, v in matched.items()}, "detection": detection}


def test_truth_and_position_of_the_detection_catalogue(tmp_path):
    columns = make_injections(1500)
    files = joined_files(columns, "t_r", "t_i", "ra", "dec", "parent", "weight")
    manifest = prepare(settings_of(tmp_path, files, {"weight": "weight"}))
    rows, place = by_row(tmp_path / "shards", columns)
    truth = np.stack([columns["t_r"], columns["t_i"]], axis=1)
    np.testing.assert_array_equal(rows["condition"][:, :2], truth[place])
    np.testing.assert_array_equal(rows["measured"][:, 0], columns["m_r"][place])
    np.testing.assert_array_equal(rows["parent_id"], columns["parent"][place])
    np.testing.assert_array_equal(rows["weight"], columns["weight"][place])
    position = np.stack([columns["ra"], columns["dec"]], axis=1)
    np.testing.assert_array_equal(rows["position"], position[place].astype(np.float32))
    assert sum(kept(manifest)) == columns["found"].sum()


def test_truth_of_the_deep_field_table(tmp_path):
    columns = make_injections(1500)
    parents = np.arange(1, 59)
    deep = {"ID": parents[::-1], "F_R": 10 ** (0.4 * (30 - 18 - 0.1 * parents[::-1])),
            "F_I": 10 ** (0.4 * (30 - 19 - 0.1 * parents[::-1]))}  # fmt: skip
    preset = {"deep": {"id": "ID"}, "truth": {"source": ["F_{BAND}"], "source_unit": "flux"}}
    files = joined_files(columns, "t_r", "t_i") | {"deep": deep}
    manifest = prepare(settings_of(tmp_path, files, preset))
    for prefix in ("", "detection-"):
        rows, place = by_row(tmp_path / "shards", columns, prefix)
        expected = 18 + 0.1 * columns["parent"][place]
        np.testing.assert_allclose(rows["condition"][:, 0], expected, atol=2e-5)
        np.testing.assert_allclose(rows["condition"][:, 1], expected + 1, atol=2e-5)
    orphans = (columns["parent"] == 59).sum()
    assert (
        manifest.content["other_tables"]["detection"]["dropped"]["no row in deep.fits"] == orphans
    )
    found_orphans = (found_of(columns)["parent"] == 59).sum()
    assert manifest.content["dropped"]["no row in deep.fits"] == found_orphans
    assert "deep.fits" in {source["name"] for source in manifest.provenance["sources"]}


@pytest.mark.parametrize("origin", ["column", "map"])
def test_truth_behind_the_dust(tmp_path, origin):
    columns = make_injections(1500)
    ebv = 0.1 * write_map(tmp_path / "maps", "unused", seed=9)
    coefficient = {"r": 2.14, "i": 1.569}
    extinction = {band: coefficient[band] * sky_values(ebv, columns) for band in "ri"}
    said = {"coefficient": coefficient, "map": ["dust"], "column": ["a_{band}"]}
    if origin == "column":
        columns |= {f"a_{band}": extinction[band] for band in "ri"}
    settings = settings_of(tmp_path, joined_files(columns), {"truth": {"extinction": said}})
    if origin == "map":
        healpy.write_map(tmp_path / "maps" / "dust.fits", ebv, nest=True, dtype=np.float32)
    manifest = prepare(settings)
    for prefix in ("", "detection-"):
        rows, place = by_row(tmp_path / "shards", columns, prefix)
        for index, band in enumerate("ri"):
            expected = (columns[f"t_{band}"] + extinction[band])[place]
            np.testing.assert_allclose(rows["condition"][:, index], expected, atol=4e-6)
    sources = {source["name"] for source in manifest.provenance["sources"]}
    assert ("dust.fits" in sources) == (origin == "map")


def test_negative_fluxes_survive_as_asinh_magnitudes(tmp_path):
    columns = make_injections(1500)
    rng = np.random.default_rng(4)
    for band, sigma in (("r", 40.0), ("i", 70.0)):
        flux = 10 ** (0.4 * (30 - columns[f"t_{band}"])) + rng.normal(0, sigma, 1500)
        columns[f"m_{band}"] = np.where(columns["found"] == 1, flux, np.nan)
        columns[f"m_{band}"][::25] *= -0.01
        columns[f"e_{band}"] = sigma * rng.uniform(0.9, 1.1, 1500)
    manifest = prepare(settings_of(tmp_path, joined_files(columns), {"measured": ASINH}))
    rows, place = by_row(tmp_path / "shards", columns)
    assert sum(kept(manifest)) == columns["found"].sum()
    for index, band in enumerate("ri"):
        column = manifest.schema.measured[index]
        noise = found_of(columns)[f"e_{band}"]
        assert column.softening == pytest.approx(1.042 * np.median(noise), rel=1e-3)
        assert (column.unit, column.zero_point) == ("asinh mag", 30.0)
        flux = columns[f"m_{band}"][place]
        assert (flux < 0).sum() > 20
        mag = rows["measured"][:, index].astype(float)
        recovered = asinh_mag_to_flux(mag, column.zero_point, column.softening)
        # A float32 magnitude near 24 is rounded by up to 1e-6 mag.
        allowed = 1e-6 * np.hypot(flux, 2 * column.softening)
        assert (np.abs(recovered - flux) <= allowed).all()


def test_ordinary_magnitudes_of_negative_fluxes_are_counted(tmp_path):
    columns = make_injections(1500)
    for band in "ri":
        columns[f"m_{band}"] = 10 ** (0.4 * (30 - columns[f"m_{band}"].astype(float)))
    found = np.flatnonzero(columns["found"])
    columns["m_r"][found[:9]] *= -1
    manifest = prepare(
        settings_of(tmp_path, joined_files(columns), {"measured": {"source_unit": "flux"}})
    )
    assert manifest.content["dropped"]["meas_r has a flux that is not positive"] == 9


def test_by_parent_without_parents(tmp_path):
    settings = settings_of(tmp_path, joined_files(make_injections()), {"parent": None})
    with pytest.raises(BalrogError, match="--split parent needs the parents"):
        prepare(replace(settings, split="parent"))
    assert prepare(settings).splits["train"]["rows"] > 0


def neighbour_columns(radius):
    """Entries of the preset, beside those of the base."""
    near = {"radius_arcsec": radius}
    return [
        {"name": "crowding", "group": "truth", "unit": "arcmin-2",
         "neighbor": near | {"statistic": "density"}},
        {"name": "blending", "group": "truth", "unit": "ratio",
         "neighbor": near | {"statistic": "flux_ratio", "source": "t_i", "source_unit": "mag"}},
    ]  # fmt: skip


@pytest.mark.parametrize("batch_rows", [130, 10**6])
def test_neighbours_against_all_pairs(tmp_path, batch_rows):
    columns, radius = make_injections(1500), 600.0
    preset = {"columns": preset_content()["columns"] + neighbour_columns(radius)}
    settings = settings_of(tmp_path, joined_files(columns), preset, batch_rows=batch_rows)
    prepare(settings)
    ra, dec = np.radians(columns["ra"]), np.radians(columns["dec"])
    points = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    apart = np.degrees(np.arccos(np.clip(points @ points.T, -1, 1))) * 3600
    np.fill_diagonal(apart, np.inf)
    density = (apart <= radius).sum(axis=1) / (np.pi * (radius / 60) ** 2)
    nearest, mag = apart.argmin(axis=1), columns["t_i"].astype(float)
    ratio = np.where(apart.min(axis=1) <= radius, 10 ** (-0.4 * (mag[nearest] - mag)), 0)
    for prefix in ("", "detection-"):
        rows, place = by_row(tmp_path / "shards", columns, prefix)
        np.testing.assert_allclose(rows["condition"][:, 2], density[place], rtol=1e-5)
        np.testing.assert_allclose(rows["condition"][:, 3], ratio[place], rtol=1e-5)
    assert (density > 0).mean() > 0.5


def test_neighbours_of_another_catalogue(tmp_path):
    columns = make_injections(1500)
    preset = {"columns": preset_content()["columns"] + neighbour_columns(60.0)[:1]}
    companions = {"ra": columns["ra"], "dec": columns["dec"] + 20 / 3600}
    files = joined_files(columns) | {"neighbors": companions}
    prepare(settings_of(tmp_path, files, preset))
    rows, _ = by_row(tmp_path / "shards", columns)
    assert (rows["condition"][:, 2] >= 0.999 / np.pi).all()
    with pytest.raises(BalrogError, match="no column about neighbours; leave out --neighbors"):
        prepare(settings_of(tmp_path / "other", files))


def test_interpolated_maps(tmp_path):
    columns = make_injections(1500)
    settings = settings_of(tmp_path, joined_files(columns), interpolate=True)
    sky = healpy.read_map(tmp_path / "maps" / "seeing.fits", nest=True, dtype=None)
    manifest = prepare(settings)
    rows, place = by_row(tmp_path / "shards", columns)
    expected = healpy.get_interp_val(
        sky, columns["ra"][place], columns["dec"][place], nest=True, lonlat=True
    )
    np.testing.assert_allclose(rows["condition"][:, 2], expected, rtol=2e-6)
    assert sum(kept(manifest)) == columns["found"].sum()
