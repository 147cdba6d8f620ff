import numpy as np
import pytest
from small_job import make_job, make_settings, tables_of
from small_survey import found_of, make_injections, sky_values
from test_prepare_write import SKY, rows_of, write

from data_prep.errors import BalrogError
from data_prep.manifest import Manifest
from data_prep.preparation.prepare_assemble import assemble, check_results, total
from data_prep.preparation.prepare_summary import summary
from data_prep.shards import read_split
from data_prep.splits import SPLITS

CONTENT = {"preset": "small", "label": "in memory", "cuts_not_applied": ["b < 2"],
           "regions": {"splits": {"train": [1, 2], "validation": [3], "test": [4]}},
           "map_patterns": {}, "provenance": {}}  # fmt: skip


def assembled(directory, columns, **options):
    job = make_job(make_settings(directory, columns, **options))
    results = write(job, columns)
    out = directory / "assembled"
    out.mkdir()
    assemble(out, results, job, CONTENT)
    return job, results, Manifest.load(out)


def test_totals_of_nested_counts():
    results = [{"n": {"a": 1, "b": {"x": 2}}}, {"n": {"a": 5, "b": {"x": 1, "y": 7}}}]
    assert total(results, "n") == {"a": 6, "b": {"x": 3, "y": 7}}
    assert total([], "n") == {}


def test_shards_hold_the_pieces_in_order(tmp_path):
    job, _, manifest = assembled(tmp_path, make_injections())
    for name, split in manifest.splits.items():
        found, expected = read_split(manifest.directory, name), rows_of(job, name)
        assert found["row_id"].tolist() == expected["row_id"][: split["rows"]].tolist()
        assert sum(shard["rows"] for shard in split["shards"]) == split["rows"]
    assert len(manifest.splits["train"]["shards"]) == job.shards


def test_statistics_are_numpys_on_the_train_split(tmp_path):
    _, _, manifest = assembled(tmp_path, make_injections())
    train = read_split(manifest.directory, "train")
    names = (*manifest.schema.condition_names, *manifest.schema.measured_names)
    assert list(manifest.statistics) == list(names)
    for name, found in manifest.statistics.items():
        group = "condition" if name in manifest.schema.condition_names else "measured"
        place = getattr(manifest.schema, f"{group}_names").index(name)
        values = train[group][:, place].astype(float)
        assert found["count"] == len(values)
        assert found["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert found["std"] == pytest.approx(values.std(), rel=1e-9)
        assert (found["min"], found["max"]) == (values.min(), values.max())


def test_stratification_says_how_far_held_out_means_are(tmp_path):
    _, results, manifest = assembled(tmp_path, make_injections())
    train, test = (read_split(manifest.directory, name) for name in ("train", "test"))
    truth = train["condition"][:, 0].astype(float)
    shift = (test["condition"][:, 0].astype(float).mean() - truth.mean()) / truth.std()
    assert manifest.content["stratification"]["test"]["true_r"] == pytest.approx(shift)
    # The whole validation split is compared, also the rows beyond the cap.
    kept = total(results, "kept")["validation"]
    assert kept > manifest.splits["validation"]["rows"]
    assert set(manifest.content["stratification"]) == {"validation", "test"}


@pytest.mark.parametrize("validation_rows", [7, 10**6])
def test_validation_is_capped_and_the_surplus_counted(tmp_path, validation_rows):
    _, results, manifest = assembled(tmp_path, make_injections(), validation_rows=validation_rows)
    kept = total(results, "kept")
    for prefix in ("", "detection-"):
        everyone = sum(kept[prefix + name] for name in SPLITS)
        expected = min(kept[prefix + "validation"], validation_rows, everyone // 10)
        rows = {name: manifest.splits[prefix + name]["rows"] for name in SPLITS}
        assert rows["validation"] == expected
        table = manifest.content["other_tables"]["detection"] if prefix else manifest.content
        surplus = table["dropped"].get("validation surplus", 0)
        assert not surplus or "(surplus: validation rows beyond" in summary(manifest)
        assert surplus == kept[prefix + "validation"] - expected
        assert sum(rows.values()) + sum(table["dropped"].values()) == table["rows_read"]


def test_summary_of_what_was_made(tmp_path):
    columns = make_injections()
    _, results, manifest = assembled(tmp_path, columns)
    text = summary(manifest)
    flagged = found_of(columns)["flag"].sum()
    assert f"matched catalogue: {columns['found'].sum():,} rows read, dropped" in text
    assert f"{flagged:>14,}  cut flag == 0" in text
    assert "cut not applied (no such column): b < 2" in text
    assert f"{manifest.splits['test']['rows']:,}  test (" in text
    parents = manifest.content["parents"]
    assert f"parents: {parents['distinct']} distinct, {parents['crossing']} crossing" in text
    assert "--split sky+parent" in text
    shifts = manifest.content["stratification"]["test"]
    worst = max(shifts, key=lambda name: abs(shifts[name]))
    assert f"largest shift of a mean {shifts[worst]:+.3f} spreads ({worst})" in text
    assert f"next: python train.py --data {manifest.directory} --name NAME" in text


def test_summary_without_drops_or_crossing_parents(tmp_path):
    columns = make_injections()
    columns["flag"][:] = 0
    _, _, manifest = assembled(tmp_path, columns, split="parent")
    manifest.content["dropped"].clear()
    text = summary(manifest)
    assert f"{0:>14,}" in text
    assert "0 crossing splits" in text
    assert "sky+parent" not in text


def test_summary_says_when_few_regions_leave_few_rows_to_train_on(tmp_path):
    _, _, manifest = assembled(tmp_path, make_injections())
    assert "rows to train on" not in summary(manifest)
    manifest.splits["train"]["rows"] = 5
    manifest.content["regions"]["splits"] = {"train": [1], "validation": [2], "test": [3, 4]}
    assert "only 5 rows to train on: there are but 4 regions; --split parent" in summary(manifest)
    manifest.content["parents"]["split"] = "parent"
    assert "rows to train on" not in summary(manifest)
    manifest.content["parents"]["split"] = "sky"
    manifest.content["parents"]["distinct"] = 0
    assert "4 regions; another --split-seed" in summary(manifest)
    manifest.content["regions"]["splits"]["test"] = list(range(3, 40))
    assert "rows to train on" not in summary(manifest)


def test_parents_that_the_preset_does_not_name_are_not_counted(tmp_path):
    _, _, manifest = assembled(tmp_path, make_injections(), preset={"parent": None})
    assert manifest.content["parents"] == {"distinct": 0, "crossing": 0, "split": "sky"}
    text = summary(manifest)
    assert "parents: not known" in text
    assert "sky+parent" not in text
    test = read_split(manifest.directory, "detection-test")
    assert test["parent_id"].tolist() == test["row_id"].tolist()


def results_of(tmp_path, columns, sky=SKY, **options):
    job = make_job(make_settings(tmp_path, columns, **options))
    return write(job, columns, sky), job


def test_strict_refuses_bad_values_but_not_cuts(tmp_path):
    columns = make_injections()
    check_results(*results_of(tmp_path / "a", columns, strict=True))
    columns["m_r"][columns["found"] == 1] = 99
    columns["m_r"][7:] = 20
    with pytest.raises(BalrogError, match=r"matched.fits: --strict allows no bad value, found . "):
        check_results(*results_of(tmp_path / "b", columns, strict=True))


def test_nothing_left(tmp_path):
    columns = make_injections()
    columns["flag"][:] = 1
    with pytest.raises(BalrogError, match=r"no row is left of \d+; dropped: cut flag == 0: \d+"):
        check_results(*results_of(tmp_path, columns))


def test_detection_catalogue_without_detected_rows(tmp_path):
    columns = make_injections()
    matched, detection = tables_of(columns)
    detection.columns["found"] = np.zeros(600, np.int32)
    rows = matched.rows
    message = (
        rf"no row is left of {rows}; dropped: .*not detected in detection.fits: .*right column"
    )
    with pytest.raises(BalrogError, match=message):
        check_results(*results_of(tmp_path, columns, catalog=matched, detection=detection))


def test_split_without_rows(tmp_path):
    columns = make_injections()
    sky = SKY.copy()
    job_results = results_of(tmp_path / "a", columns)
    test = rows_of(job_results[1], "test")["row_id"].tolist()
    tested = [row_id in set(test) for row_id in columns["id"].tolist()]
    off = sky_values(SKY, {name: v[tested] for name, v in columns.items()})
    sky[[value in set(off.tolist()) for value in sky.tolist()]] = float("nan")
    with pytest.raises(BalrogError, match="no row is left for the test split; give another"):
        check_results(*results_of(tmp_path / "b", columns, sky))


def test_redraw_of_other_injections(tmp_path):
    columns = make_injections()
    redraw, its_detection = tables_of(columns | {"id": columns["id"] + 10**6})
    options = {"replicate": redraw, "replicate_detection": its_detection}
    with pytest.raises(BalrogError, match="injections of the test split, found none"):
        check_results(*results_of(tmp_path, columns, **options))
