import json

import numpy as np
import pytest
from memory_catalog import MemoryCatalog
from small_job import chunks_of, make_job, make_settings
from small_survey import found_of, make_injections

from data_prep.errors import BalrogError
from data_prep.preparation.prepare_job import Job
from data_prep.preparation.prepare_plan import plan_job
from data_prep.preparation.prepare_read import read_range, read_tasks
from data_prep.preparation.spill import read_bucket
from data_prep.splits import region_of, unpack_regions


def test_tasks_are_the_pieces_of_every_catalogue(tmp_path):
    settings = make_settings(tmp_path, batch_rows=250)
    job = Job(tmp_path, plan_job(settings), settings, 2, 2)
    detected = settings.catalog.rows
    found = {(task.roles, task.start, task.stop) for task in read_tasks(job)}
    assert found == {
        (("detection",), 0, 250), (("detection",), 250, 500), (("detection",), 500, 600),
        (("matched",), 0, 250), (("matched",), 250, detected),
    }  # fmt: skip
    assert [task.number for task in read_tasks(job)] == [0, 1, 2, 3, 4]


def test_tables_of_one_catalogue_are_read_together(tmp_path):
    columns = make_injections()
    catalog = MemoryCatalog(columns)
    settings = make_settings(tmp_path, columns, {"join": "none", "id": None}, catalog=catalog,
                             detection=None, batch_rows=300)  # fmt: skip
    job = make_job(settings)
    tasks = read_tasks(job)
    assert [(set(task.roles), task.start) for task in tasks] == [
        ({"matched", "detection"}, 0), ({"matched", "detection"}, 300),
    ]  # fmt: skip
    rows = {role: sum(c["rows"] for c in chunks_of(job) if c["role"] == role)
            for role in ("matched", "detection")}  # fmt: skip
    assert rows == {"matched": columns["found"].sum(), "detection": 600}
    # One sample for the units, then each row once.
    assert len(catalog.read) == 3


def test_every_row_lies_in_the_bucket_of_its_key(tmp_path):
    columns = make_injections()
    job = make_job(make_settings(tmp_path, columns))
    expected = {"matched": found_of(columns)["id"], "detection": columns["id"]}
    for role, ids in expected.items():
        chunks = [chunk for chunk in chunks_of(job) if chunk["role"] == role]
        dtype, found = job.plan.tables[role].dtype, []
        for bucket in range(job.buckets):
            rows, _ = read_bucket(job.rows_directory, chunks, bucket, dtype)
            limits = rows["key"].astype(float) / 2.0**64 * job.buckets
            assert ((limits >= bucket) & (limits <= bucket + 1)).all()
            found.append(rows["row_id"])
        assert sorted(np.concatenate(found).tolist()) == sorted(ids.tolist())


def test_occupied_regions_and_reasons(tmp_path):
    columns = make_injections()
    columns["ra"][:3] = np.nan
    settings = make_settings(tmp_path, columns, batch_rows=1000)
    job = make_job(settings)
    results = [json.loads(path.read_text()) for path in sorted((job.work / "read").iterdir())]
    by_role = {result["chunks"][0]["role"]: result for result in results}
    expected = np.unique(region_of(columns["ra"][3:], columns["dec"][3:]))
    found = unpack_regions([by_role["detection"]["regions"]])
    np.testing.assert_array_equal(found, expected)
    chunk = by_role["detection"]["chunks"][0]
    assert chunk["reasons"] == ["", "position is not finite"]
    assert chunk["bad_reasons"] == ["position is not finite"]


def test_catalogue_that_ends_early(tmp_path):
    settings = make_settings(tmp_path, batch_rows=1000)
    job = Job(tmp_path, plan_job(settings), settings, 2, 2)
    task = read_tasks(job)[0]
    catalog = job.plan.tables[task.roles[0]].catalog
    catalog.columns = {name: values[:-9] for name, values in catalog.columns.items()}
    match = f"rows 0 to {task.stop:,} were expected, the file ends at {task.stop - 9:,}; it is trun"
    with pytest.raises(BalrogError, match=match):
        read_range(task)
