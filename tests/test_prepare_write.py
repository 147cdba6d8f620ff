import numpy as np
import pytest
from small_job import SkyMaps, make_job, make_settings, make_sky, tables_of
from small_survey import found_of, make_injections, sky_values

from data_prep.errors import BalrogError
from data_prep.preparation.prepare_write import (
    WriteTask,
    piece_path,
    read_summary,
    split_names,
    write_shard,
)
from data_prep.shards import feature_widths, read_records
from data_prep.splits import (
    SPLITS,
    assign_splits,
    keyed_hash,
    region_of,
    split_of_parents,
    unique_parents,
)
from data_prep.statistics import ColumnStatistics

SKY = make_sky()


def write(job, columns, sky=SKY):
    """Write every range; results, and the task of each."""
    split_of_region = assign_splits(region_of(columns["ra"], columns["dec"]))
    splits = np.zeros(49152, np.int8)
    for region, name in split_of_region.items():
        splits[region] = SPLITS.index(name)
    maps = SkyMaps(seeing=sky)
    tasks = [WriteTask(job, shard, maps, splits) for shard in range(job.shards)]
    return [write_shard(task) for task in tasks]


def read(job, split, shard):
    widths = feature_widths(job.plan.preset.schema, split, job.plan.weighted)
    blocks = list(read_records(piece_path(job.work, split, shard), widths))
    if not blocks:
        return {"row_id": np.empty(0, np.int64)}
    return {name: np.concatenate([block[name] for block in blocks]) for name in widths}


def rows_of(job, split):
    parts = [
        part for shard in range(job.shards) if len((part := read(job, split, shard))["row_id"])
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_pieces_hold_ranges_of_the_shuffle_key_in_order(tmp_path):
    columns = make_injections()
    job = make_job(make_settings(tmp_path, columns), shards=3)
    results = write(job, columns)
    assert split_names(job) == [*SPLITS, *(f"detection-{name}" for name in SPLITS)]
    for split in split_names(job):
        keys = []
        for shard in range(3):
            found = read(job, split, shard)["row_id"]
            assert results[shard]["pieces"][split]["rows"] == len(found)
            shuffled = keyed_hash(found, 0, "shuffle") if len(found) else np.empty(0, np.uint64)
            assert (np.floor(shuffled * (3 / 2.0**64)) == shard).all()
            keys.append(shuffled)
        together = np.concatenate(keys)
        assert (together[1:] > together[:-1]).all()
    ids = np.concatenate([rows_of(job, name)["row_id"] for name in SPLITS])
    good = found_of({name: v[columns["flag"] == 0] for name, v in columns.items()})
    assert sorted(ids.tolist()) == sorted(good["id"].tolist())


def test_rows_are_whole_and_in_their_split(tmp_path):
    columns = make_injections()
    job = make_job(make_settings(tmp_path, columns, {"weight": "weight"}))
    write(job, columns)
    place = {row_id: row for row, row_id in enumerate(columns["id"].tolist())}
    split_of_region = assign_splits(region_of(columns["ra"], columns["dec"]))
    for split in split_names(job):
        found = rows_of(job, split)
        rows = np.array([place[row_id] for row_id in found["row_id"].tolist()])
        condition = [columns["t_r"], columns["t_i"], sky_values(SKY, columns)]
        np.testing.assert_array_equal(found["condition"], np.stack(condition, axis=1)[rows])
        position = np.stack([columns["ra"], columns["dec"]], axis=1).astype(np.float32)
        np.testing.assert_array_equal(found["position"], position[rows])
        np.testing.assert_array_equal(found["weight"][:, 0], columns["weight"][rows])
        np.testing.assert_array_equal(found["parent_id"], columns["parent"][rows])
        regions = found["region"].tolist()
        assert {split_of_region[region] for region in regions} == {split.split("-")[-1]}
        if split.startswith("detection"):
            np.testing.assert_array_equal(found["detected"], columns["found"][rows])
        else:
            measured = np.stack([columns["m_r"], columns["m_i"]], axis=1)
            np.testing.assert_array_equal(found["measured"], measured[rows])


@pytest.mark.parametrize("split", ["parent", "sky+parent"])
def test_parents_stay_in_their_split(tmp_path, split):
    columns = make_injections()
    job = make_job(make_settings(tmp_path, columns, split=split))
    results = write(job, columns)
    for index, name in enumerate(SPLITS):
        for prefix in ("", "detection-"):
            parents = rows_of(job, prefix + name)["parent_id"]
            assert set(split_of_parents(parents).tolist()) == {index}
    dropped = sum(
        r["dropped"]["matched"].get("parent belongs to another split", 0) for r in results
    )
    kept = sum(r["kept"][name] for r in results for name in SPLITS)
    good = found_of(columns)
    if split == "parent":
        assert dropped == 0
    names = assign_splits(region_of(columns["ra"], columns["dec"]))
    of_region = [SPLITS.index(names[r]) for r in region_of(good["ra"], good["dec"]).tolist()]
    same = (split_of_parents(good["parent"]) == of_region) | (split == "parent")
    assert kept == (same & (good["flag"] == 0)).sum()


def test_counts_add_up(tmp_path):
    columns = make_injections()
    columns["m_r"][:40] = 99
    results = write(make_job(make_settings(tmp_path, columns)), columns)
    for role, prefix in (("matched", ""), ("detection", "detection-")):
        read_rows = sum(result["read"][role] for result in results)
        kept = sum(result["kept"][prefix + name] for result in results for name in SPLITS)
        dropped = sum(sum(result["dropped"][role].values()) for result in results)
        assert read_rows == kept + dropped
    bad = sum(result["bad_values"]["matched"] for result in results)
    expected = found_of({name: v[:40] for name, v in columns.items()})
    assert bad == (expected["flag"] == 0).sum()
    covered = sum(result["covered"]["seeing"] for result in results)
    assert covered == sum(sum(result["kept"].values()) for result in results)


def test_statistics_and_parents_of_the_rows_written(tmp_path):
    columns = make_injections()
    job = make_job(make_settings(tmp_path, columns))
    write(job, columns)
    for shard in range(job.shards):
        arrays = read_summary(job.work, shard)
        for name in SPLITS:
            found = read(job, name, shard)
            keys = {key: arrays[f"{name} {key}"] for key in ("count", "moments", "keys", "sample")}
            described = ColumnStatistics.from_arrays(keys).describe()
            values = np.concatenate([found["condition"], found["measured"]], axis=1).astype(float)
            for index, column in enumerate(described):
                assert column["count"] == len(values)
                assert column["mean"] == pytest.approx(values[:, index].mean(), abs=1e-9)
        rows = [(read(job, p + name, shard), k) for k, name in enumerate(SPLITS)
                for p in ("", "detection-")]  # fmt: skip
        parents = np.concatenate([part["parent_id"] for part, _ in rows])
        splits = np.concatenate([np.full(len(part["row_id"]), k) for part, k in rows])
        expected = unique_parents(parents, splits)
        np.testing.assert_array_equal(arrays["parents"], expected[0])
        np.testing.assert_array_equal(arrays["parent_splits"], expected[1])


def test_validation_piece_has_no_more_rows_than_asked(tmp_path):
    columns = make_injections()
    job = make_job(make_settings(tmp_path, columns, validation_rows=5))
    results = write(job, columns)
    for result in results:
        for name in ("validation", "detection-validation"):
            assert result["pieces"][name]["rows"] == 5 < result["kept"][name]


def test_redraw_keeps_the_rows_of_the_test_split(tmp_path):
    columns = make_injections()
    again = make_injections()
    again["m_r"] = again["m_r"] + np.float32(0.5)
    redraw, its_detection = tables_of(again)
    settings = make_settings(tmp_path, columns, replicate=redraw, replicate_detection=its_detection)
    job = make_job(settings)
    results = write(job, columns)
    test, oracle = rows_of(job, "test"), rows_of(job, "oracle")
    np.testing.assert_array_equal(oracle["row_id"], test["row_id"])
    np.testing.assert_array_equal(
        oracle["measured"][:, 0], test["measured"][:, 0] + np.float32(0.5)
    )
    others = sum(r["dropped"]["oracle"]["no such row in the test split"] for r in results)
    assert others == sum(r["kept"][name] for r in results for name in ("train", "validation"))


def test_lost_intermediate_file(tmp_path):
    columns = make_injections()
    job = make_job(make_settings(tmp_path, columns))
    next(job.rows_directory.glob("matched-*")).unlink()
    with pytest.raises(BalrogError, match="missing or truncated; run prepare again"):
        write(job, columns)
    assert not list((job.work / "pieces").iterdir())


def test_what_a_killed_job_left_half_written_is_not_read(tmp_path):
    columns = make_injections()
    job = make_job(make_settings(tmp_path, columns))
    result = next((job.work / "read").iterdir())
    (job.work / "read" / f".abc.partial.{result.name}").write_bytes(result.read_bytes())
    results = write(job, columns)
    assert sum(found["read"]["detection"] for found in results) == 600
