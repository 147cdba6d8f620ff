"""Any map and any survey: what prepare reads and writes equals a few lines of NumPy."""

import fitsio
import healpy
import healsparse
import numpy as np
import pandas as pd
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from table_files import write_any_table

from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings
from data_prep.shards import read_split
from data_prep.splits import region_of
from data_prep.survey_maps import SurveyMaps

# A failure is reported as found: to make it smaller would take minutes.
QUICK = {
    "deadline": None,
    "derandomize": True,
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
DEGRADED_UNSEEN = float(np.float32(-1.6375e30))
POLES_AND_WRAP = np.array([[0.0, 90], [359.99999, 0], [0, 0], [123, -90], [45, 41.8103149]]).T
ROWS, SIDE_DEG, NSIDE = 400, 8.0, 64
ZERO_POINT, NANOJANSKY = 30.0, 31.4
MEANS_NONE = (-9999.0, 99.0, 9.999e9)


@given(
    seed=st.integers(0, 2**32),
    nside=st.sampled_from([1, 2, 8, 64]),
    nest=st.booleans(),
    layout=st.sampled_from(["full", "partial", "healsparse"]),
    dtype=st.sampled_from(["f4", "f8"]),
    missing=st.sampled_from([healpy.UNSEEN, DEGRADED_UNSEEN, np.nan]),
    suffix=st.sampled_from([".fits", ".fits.gz"]),
)
@settings(max_examples=60, **QUICK)
def test_any_map_equals_its_array(
    tmp_path_factory, seed, nside, nest, layout, dtype, missing, suffix
):
    rng = np.random.default_rng(seed)
    sky = rng.normal(1, 5, 12 * nside**2).astype(dtype)
    has_value = rng.random(sky.size) < 0.7
    has_value[0] = True
    path = tmp_path_factory.mktemp("map") / f"map{suffix}"
    if layout == "healsparse":
        path, nest = path.with_name("map.hsp"), True
        sparse = healsparse.HealSparseMap.make_empty(min(nside, 32), nside, sky.dtype)
        sparse.update_values_pix(np.flatnonzero(has_value), sky[has_value])
        sparse.write(str(path))
    else:
        _write_healpix(path, sky, has_value, nside, nest, missing, partial=layout == "partial")
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    ra, dec = np.append(ra, POLES_AND_WRAP[0]), np.append(dec, POLES_AND_WRAP[1])
    maps = SurveyMaps({"x": path})
    stores = maps.build_stores(path.parent / "stores", np.unique(region_of(ra, dec)))
    pixels = healpy.ang2pix(nside, ra, dec, nest=nest, lonlat=True)
    expected = np.where(has_value, sky, np.nan)[pixels].astype(np.float32)
    np.testing.assert_array_equal(maps.values_at(ra, dec)["x"], expected)
    np.testing.assert_array_equal(stores.values_at(ra, dec)["x"], expected)


def _write_healpix(path, sky, has_value, nside, nest, missing, partial):
    header = {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED" if nest else "RING", "NSIDE": nside}
    values = np.where(has_value, sky, np.array(missing, sky.dtype))
    if partial:
        # Some missing pixels are left out, others are there with the value for missing.
        pixels = np.flatnonzero(has_value | (np.arange(sky.size) % 2 == 0))
        columns = {"PIXEL": pixels, "SIGNAL": values[pixels]}
        header |= {"INDXSCHM": "EXPLICIT", "OBJECT": "PARTIAL"}
    else:
        columns = {"SIGNAL": values}
    fitsio.write(str(path), list(columns.values()), names=list(columns), header=header)


SURVEYS = st.fixed_dictionaries({
    "seed": st.integers(0, 2**32),
    "bands": st.sampled_from(["r", "riz", "ugy"]),
    "vectors": st.booleans(),
    "dtype": st.sampled_from(["f4", "f8"]),
    "source_units": st.tuples(*[st.sampled_from(["mag", "flux", "nJy"])] * 2),
    "units": st.tuples(*[st.sampled_from(["mag", "flux", "nJy", "asinh mag"])] * 2),
    "sentinels": st.lists(st.sampled_from(MEANS_NONE), max_size=3, unique=True),
    "transform": st.sampled_from(["identity", "log10", "log1p"]),
    "softening": st.floats(0.5, 200),
    "suffixes": st.permutations([".fits", ".parquet", ".hdf5"]),
    "batch_rows": st.integers(50, 2 * ROWS),
})  # fmt: skip


@given(survey=SURVEYS)
@settings(max_examples=20, **QUICK)
def test_any_survey_equals_numpy(tmp_path_factory, survey):
    directory = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(survey["seed"])
    table = _table(survey, rng)
    preset = directory / "own.yaml"
    preset.write_text(yaml.safe_dump(_preset(survey)))
    sky, covered = _write_map(directory / "maps", rng)
    first, second = (
        _prepare(directory / f"{number}", table.iloc[order], suffix, survey, preset, batch_rows)
        for number, (order, suffix, batch_rows) in enumerate([
            (np.arange(ROWS), survey["suffixes"][0], survey["batch_rows"]),
            (rng.permutation(ROWS), survey["suffixes"][1], 10 * ROWS),
        ])
    )  # fmt: skip
    assert _checksums(first) == _checksums(second)
    assert first.content["dropped"] == second.content["dropped"]

    expected = _expected_columns(survey, table)
    pixels = healpy.ang2pix(NSIDE, table["ra"], table["dec"], nest=True, lonlat=True)
    expected["seeing"] = np.where(covered, sky, np.nan)[pixels].astype(np.float32)
    good = _has_all(survey, table, expected)
    found = _read_all(first.directory)
    surplus = first.content["dropped"].get("validation surplus", 0)
    ids = table["id"].to_numpy()
    assert set(found["row_id"].tolist()) <= set(ids[good].tolist())
    assert len(found["row_id"]) == np.count_nonzero(good) - surplus
    assert sum(first.content["dropped"].values()) == ROWS - len(found["row_id"])
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids, found["row_id"], sorter=order)]
    names = (*first.schema.condition_names, *first.schema.measured_names)
    values = np.concatenate([found["condition"], found["measured"]], axis=1)
    for name, column in zip(names, values.T, strict=True):
        # What was converted may round otherwise in the last place.
        np.testing.assert_allclose(column, expected[name][rows], rtol=3e-7, err_msg=name)


def _read_all(directory):
    splits = [read_split(directory, name) for name in ("train", "validation", "test")]
    return {name: np.concatenate([split[name] for split in splits]) for name in splits[0]}


def _has_all(survey, table, expected):
    """Rows with a value in every column, in the catalogue and in the schema's unit."""
    good = np.all([np.isfinite(values) for values in expected.values()], axis=0)
    for name in _magnitudes(survey):
        sentinels = np.array(survey["sentinels"], survey["dtype"])
        good &= np.isfinite(table[name]) & ~np.isin(table[name], sentinels)
    return good


def _magnitudes(survey):
    return [f"{kind}_{band}" for kind in ("true", "meas") for band in survey["bands"]]


def _table(survey, rng):
    """Truth and measured values with negative fluxes and values that mean none."""
    mags = rng.uniform(18, 25, (ROWS, 2 * len(survey["bands"])))
    table = pd.DataFrame({
        "id": rng.permutation(ROWS) + 10**15,
        "parent": rng.integers(0, 50, ROWS),
        "ra": rng.uniform(0, SIDE_DEG, ROWS) - SIDE_DEG / 2,
        "dec": rng.uniform(0, SIDE_DEG, ROWS),
        "size": rng.uniform(0.1, 3, ROWS),
    })  # fmt: skip
    table["ra"] %= 360
    for index, name in enumerate(_magnitudes(survey)):
        measured = name.startswith("meas")
        values, unit = mags[:, index], survey["source_units"][measured]
        if unit != "mag":
            zero_point = ZERO_POINT if unit == "flux" else NANOJANSKY
            values = 10 ** (0.4 * (zero_point - values))
            values[rng.random(ROWS) < 0.05 * measured] *= -1
        values[rng.integers(0, ROWS, 3)] = rng.choice(MEANS_NONE, 3)
        values[rng.integers(0, ROWS, 2)] = np.nan, np.inf
        table[name] = values.astype(survey["dtype"])
    return table


def _preset(survey):
    columns = [
        {"name": "size", "group": "truth", "unit": "arcsec", "source": ["size"],
         "minimum": 0.01, "transform": survey["transform"]},
        {"name": "seeing", "group": "survey", "unit": "arcsec", "map": ["seeing"]},
    ]  # fmt: skip
    for kind, group, source_unit, unit in zip(
        ("true", "meas"),
        ("truth", "measured"),
        survey["source_units"],
        survey["units"],
        strict=True,
    ):
        source = f"{kind}[{{band}}]" if survey["vectors"] else f"{kind}_{{band}}"
        entry = {"name": f"{kind}_{{band}}", "group": group, "unit": unit, "source": [source]}
        entry |= {"source_unit": source_unit}
        entry |= {"minimum": 10, "maximum": 35} if unit == "mag" else {}
        entry |= {"softening": survey["softening"]} if unit == "asinh mag" else {}
        columns.append(entry)
    return {
        "name": "own", "bands": list(survey["bands"]), "zero_point": ZERO_POINT, "id": "id",
        "parent": "parent", "position": ["ra", "dec"], "columns": columns,
        "sentinels": dict.fromkeys(("mag", "flux", "nJy"), survey["sentinels"]),
    }  # fmt: skip


def _prepare(directory, table, suffix, survey, preset, batch_rows):
    """Write the catalogue with vector columns if asked, and prepare it."""
    columns = {name: table[name].to_numpy() for name in table}
    if survey["vectors"]:
        for kind in ("true", "meas"):
            names = [f"{kind}_{band}" for band in survey["bands"]]
            columns[kind] = np.stack([columns.pop(name) for name in names], axis=1)
    directory.mkdir()
    path = write_any_table(directory / f"catalog{suffix}", columns)
    return prepare(
        PrepareSettings(
            catalog=path,
            maps=directory.parent / "maps",
            out=directory / "shards",
            preset=preset,
            batch_rows=batch_rows,
            shards=2,
        )
    )


def _write_map(directory, rng):
    directory.mkdir()
    sky = rng.uniform(0.5, 2, 12 * NSIDE**2).astype(np.float32)
    covered = rng.random(sky.size) < 0.97
    _write_healpix(
        directory / "seeing.fits", sky, covered, NSIDE, True, healpy.UNSEEN, partial=True
    )
    return sky, covered


def _expected_columns(survey, table):
    """Schema column -> float32 values, NaN or infinite where there is none."""
    expected = {"size": table["size"].to_numpy().astype(np.float32)}
    for name in _magnitudes(survey):
        which = name.startswith("meas")
        source, unit = survey["source_units"][which], survey["units"][which]
        values = table[name].to_numpy()
        if source != unit:
            values = _convert(values.astype(np.float64), source, unit, survey["softening"])
        with np.errstate(over="ignore"):
            expected[name] = values.astype(np.float32)
        if unit == "mag":
            outside = ~((expected[name] >= 10) & (expected[name] <= 35))
            expected[name][outside] = np.nan
    return expected


def _convert(values, source, unit, softening):
    with np.errstate(all="ignore"):
        if source == "mag":
            values = 10 ** (0.4 * (ZERO_POINT - values))
        elif source == "nJy":
            values = values * 10 ** (0.4 * (ZERO_POINT - NANOJANSKY))
        if unit == "mag":
            return ZERO_POINT - 2.5 * np.log10(np.where(values > 0, values, np.nan))
        if unit == "nJy":
            return values * 10 ** (0.4 * (NANOJANSKY - ZERO_POINT))
        if unit == "asinh mag":
            scaled = np.arcsinh(values / (2 * softening)) + np.log(softening)
            return ZERO_POINT - 2.5 / np.log(10) * scaled
        return values


def _checksums(manifest):
    return {
        shard["file"]: shard["sha256"]
        for split in manifest.splits.values()
        for shard in split["shards"]
    }
