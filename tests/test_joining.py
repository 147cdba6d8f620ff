from dataclasses import replace

import numpy as np
import pytest
from small_job import CUT, SkyMaps, chunks_of, make_job, make_settings, make_sky, tables_of
from small_survey import found_of, make_injections, sky_values

from data_prep.errors import BalrogError
from data_prep.preparation.joining import join_tables, look_up, read_tables

OWN_CUT = {
    "column": "flag",
    "operator": "<",
    "value": 1,
    "table": "matched",
    "rows": "detected",
}


def joined(job, maps=None):
    """All buckets read and joined: role -> tables."""
    buckets = []
    for bucket in range(job.buckets):
        tables = read_tables(job, chunks_of(job), bucket)
        join_tables(tables, job)
        if maps is not None:
            look_up(tables, maps, job.plan.preset)
        buckets.append(tables)
    return {role: [tables[role] for tables in buckets] for role in buckets[0]}


def dropped(tables):
    counts = {}
    for table in tables:
        for reason, rows in table.selection.dropped.items():
            counts[reason] = counts.get(reason, 0) + rows
    return counts


def column(tables, name):
    """Row id -> value of a column or field, of the rows that stay."""
    values = {}
    for table in tables:
        source = table.columns[name] if name in table.columns else table.rows[name]
        keep = table.selection.keep
        ids, kept = table.rows["row_id"][keep].tolist(), source[keep].tolist()
        values |= dict(zip(ids, kept, strict=True))
    return values


def test_cuts_are_joined_by_id_and_counted(tmp_path):
    columns = make_injections()
    found = joined(make_job(make_settings(tmp_path, columns)))
    good = found_of({name: v[columns["flag"] == 0] for name, v in columns.items()})
    flagged = found_of(columns)["flag"].sum()
    assert dropped(found["matched"]) == {"cut flag == 0": flagged}
    expected = dict(zip(good["id"].tolist(), good["m_r"].tolist(), strict=True))
    assert column(found["matched"], "meas_r") == expected
    assert dropped(found["detection"]) == {"cut flag == 0": columns["flag"].sum()}


def test_measured_rows_that_the_detection_catalogue_denies_are_counted(tmp_path):
    columns = make_injections()
    matched, detection = tables_of(columns)
    denied = detection.columns["id"][columns["found"] == 1][:9]
    detection.columns["found"] = np.where(np.isin(columns["id"], denied), 0, columns["found"])
    settings = make_settings(tmp_path, columns, {"cuts": []}, catalog=matched, detection=detection)
    tables = joined(make_job(settings))
    assert dropped(tables["matched"]) == {"not detected in detection.fits": 9}
    assert sum(table.selection.bad_values for table in tables["matched"]) == 9
    assert not set(denied.tolist()) & set(column(tables["matched"], "meas_r"))


def test_cuts_on_the_measurement_do_not_concern_the_detection_rows(tmp_path):
    columns = make_injections()
    preset = {"cuts": [CUT | {"rows": "detected"}]}
    found = joined(make_job(make_settings(tmp_path, columns, preset)))
    assert dropped(found["detection"]) == {}
    assert dropped(found["matched"]) == {"cut flag == 0": found_of(columns)["flag"].sum()}


@pytest.mark.parametrize(("table", "cut_in"), [("matched", "own"), ("detection", "partner")])
def test_where_both_have_the_column_the_preset_says_which_counts(tmp_path, table, cut_in):
    columns = make_injections()
    matched, detection = tables_of(columns)
    matched.columns["flag"] = (np.arange(matched.rows) < 5).astype(np.int32)
    matched.widths["flag"] = 1
    settings = make_settings(tmp_path, columns, {"cuts": [OWN_CUT | {"table": table}]},
                             catalog=matched, detection=detection)  # fmt: skip
    expected = 5 if cut_in == "own" else found_of(columns)["flag"].sum()
    assert dropped(joined(make_job(settings))["matched"]) == {"cut flag < 1": expected}


def test_cuts_come_before_bad_values_and_a_row_counts_once(tmp_path):
    columns = make_injections()
    rows = np.flatnonzero(columns["found"])
    columns["flag"][:] = 0
    columns["flag"][rows[:10]] = 1
    columns["m_r"][rows[5:20]] = 99
    found = joined(make_job(make_settings(tmp_path, columns)))
    assert dropped(found["matched"]) == {"cut flag == 0": 10, "meas_r is the sentinel 99": 10}
    assert sum(table.selection.bad_values for table in found["matched"]) == 10


def test_rows_that_the_detection_catalogue_lacks(tmp_path):
    columns = make_injections()
    matched, _ = tables_of(columns)
    _, rest = tables_of({name: values[200:] for name, values in columns.items()})
    settings = make_settings(tmp_path, columns, catalog=matched, detection=rest)
    found = dropped(joined(make_job(settings))["matched"])
    assert found["no row in detection.fits"] == columns["found"][:200].sum()


@pytest.mark.parametrize("buckets", [1, 40])
def test_truth_parent_and_position_are_borrowed(tmp_path, buckets):
    columns = make_injections(300)
    rows = np.flatnonzero((columns["found"] == 1) & (columns["flag"] == 0))
    columns["t_r"][rows[:4]] = 99
    columns["ra"][rows[4:6]] = np.nan
    missing = ("t_r", "t_i", "parent", "ra", "dec", "weight")
    settings = make_settings(tmp_path, columns, {"weight": "weight"}, without=missing)
    found = joined(make_job(settings, shards=1, buckets_per_shard=buckets))["matched"]
    assert dropped(found) == {
        "cut flag == 0": found_of(columns)["flag"].sum(),
        "true_r is the sentinel 99": 4,
        "position is not finite": 2,
    }
    ids = columns["id"][rows[6:]].tolist()
    for name, source in (
        ("true_r", "t_r"), ("true_i", "t_i"), ("parent_id", "parent"), ("ra", "ra"),
        ("dec", "dec"), ("weight", "weight"), ("meas_i", "m_i"),
    ):  # fmt: skip
        expected = dict(zip(ids, columns[source][rows[6:]].tolist(), strict=True))
        assert column(found, name) == expected


def test_nothing_to_borrow_from(tmp_path):
    columns = make_injections(40)
    matched, _ = tables_of(columns, "t_r", "ra", "dec")
    nobody = make_injections(40) | {"id": columns["id"] + 1000}
    settings = make_settings(tmp_path, columns, catalog=matched, detection=tables_of(nobody)[1])
    found = joined(make_job(settings, shards=1, buckets_per_shard=60))["matched"]
    assert dropped(found) == {"no row in detection.fits": columns["found"].sum()}


def test_repeated_id(tmp_path):
    columns = make_injections()
    columns["id"][[3, 400]] = 77
    job = make_job(make_settings(tmp_path, columns))
    with pytest.raises(BalrogError, match=r"detection.fits: ids must be unique; 77 is"):
        joined(job)


def test_survey_properties_are_looked_up_once_for_all_tables(tmp_path):
    columns, sky = make_injections(), make_sky()
    off = columns["id"][np.flatnonzero(columns["found"] & (columns["flag"] == 0))[0]]
    sky[np.flatnonzero(sky == sky_values(sky, columns)[columns["id"] == off])] = np.nan
    found = joined(make_job(make_settings(tmp_path, columns)), SkyMaps(seeing=sky))
    by_id = dict(zip(columns["id"].tolist(), sky_values(sky, columns).tolist(), strict=True))
    for role in ("matched", "detection"):
        assert dropped(found[role])["seeing is off the map"] >= 1
        values = column(found[role], "seeing")
        assert off not in values
        assert values == {row_id: by_id[row_id] for row_id in values}
        assert sum(table.selection.bad_values for table in found[role]) >= 1


def test_values_out_of_a_propertys_range(tmp_path):
    columns, sky = make_injections(), make_sky()
    sky[sky < 0.6] = -91
    job = make_job(make_settings(tmp_path, columns))
    schema = job.plan.preset.schema
    ranged = tuple(replace(c, minimum=0.1) if c.name == "seeing" else c for c in schema.columns)
    preset = replace(job.plan.preset, schema=replace(schema, columns=ranged))
    job = replace(job, plan=replace(job.plan, preset=preset))
    found = joined(job, SkyMaps(seeing=sky))
    unflagged = {name: v[columns["flag"] == 0] for name, v in columns.items()}
    expected = int((sky_values(sky, unflagged) == -91).sum())
    assert dropped(found["detection"])["seeing is out of range [0.1, inf]"] == expected > 0


def test_covered_rows_are_counted(tmp_path):
    job, sky = make_job(make_settings(tmp_path), shards=1, buckets_per_shard=1), make_sky()
    sky[::2] = np.nan
    tables = read_tables(job, chunks_of(job), 0)
    join_tables(tables, job)
    kept = sum(table.selection.keep.sum() for table in tables.values())
    covered = look_up(tables, SkyMaps(seeing=sky), job.plan.preset)["seeing"]
    assert covered == sum(table.selection.keep.sum() for table in tables.values())
    assert 0 < covered < kept


def test_extinction_from_the_map_reddens_the_truth(tmp_path):
    columns, ebv = make_injections(), make_sky(0.01, 0.2)
    columns["t_r"][:50] = 34.95
    extinction = {"coefficient": {"r": 2.14, "i": 1.569}, "map": ["ebv"]}
    job = make_job(make_settings(tmp_path, columns, {"truth": {"extinction": extinction}}))
    assert job.plan.needs_reddening
    found = joined(job, SkyMaps(seeing=make_sky(), ebv=ebv))
    dust = sky_values(ebv, columns).astype(float)
    reddened = columns["t_r"] + 2.14 * dust
    by_id = dict(zip(columns["id"].tolist(), reddened.tolist(), strict=True))
    values = column(found["detection"], "true_r")
    for row_id, value in values.items():
        assert value == pytest.approx(by_id[row_id], abs=3e-6)
    assert (np.array(list(values.values())) <= 35).all()
    out = ((reddened > 35) & (columns["flag"] == 0)).sum()
    assert dropped(found["detection"])["true_r is out of range [10, 35]"] == out > 0


def test_extinction_off_the_map(tmp_path):
    ebv = make_sky()
    ebv[::2] = np.nan
    extinction = {"coefficient": 2.0, "map": ["ebv"]}
    job = make_job(make_settings(tmp_path, preset={"truth": {"extinction": extinction}}))
    found = joined(job, SkyMaps(seeing=make_sky(), ebv=ebv))
    assert dropped(found["matched"])["E(B-V) is off the map"] > 100


def test_truth_that_a_catalogue_reddened_is_not_reddened_again(tmp_path):
    columns = make_injections() | {"a_r": np.full(600, 0.5), "a_i": np.full(600, 0.25)}
    extinction = {"coefficient": 2.0, "column": ["a_{band}"], "map": ["ebv"]}
    job = make_job(make_settings(tmp_path, columns, {"truth": {"extinction": extinction}}))
    assert not job.plan.needs_reddening
    found = joined(job, SkyMaps(seeing=make_sky(), ebv=make_sky()))
    by_id = dict(zip(columns["id"].tolist(), (columns["t_r"] + 0.5).tolist(), strict=True))
    values = column(found["matched"], "true_r")
    assert len(values) > 300
    for row_id, value in values.items():
        assert value == pytest.approx(by_id[row_id], abs=3e-6)


def test_redraw_is_cut_by_its_own_detection_catalogue(tmp_path):
    columns = make_injections()
    again, its_detection = tables_of(columns | {"flag": 1 - columns["flag"]})
    again.path, its_detection.path = again.path.with_name("a.fits"), again.path.with_name("b.fits")
    settings = make_settings(tmp_path, columns, replicate=again, replicate_detection=its_detection)
    found = joined(make_job(settings))
    unflagged = (found_of(columns)["flag"] == 0).sum()
    assert dropped(found["oracle"]) == {"cut flag == 0": unflagged}


def test_where_nothing_is_looked_up_no_map_is_blamed(tmp_path):
    columns = make_injections()
    columns["flag"][:] = 1
    job = make_job(make_settings(tmp_path, columns), shards=1, buckets_per_shard=1)
    tables = read_tables(job, chunks_of(job), 0)
    join_tables(tables, job)
    assert look_up(tables, SkyMaps(seeing=make_sky()), job.plan.preset) == {}
    assert np.isnan(tables["matched"].columns["seeing"]).all()
