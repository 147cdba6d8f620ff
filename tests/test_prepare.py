import errno
import shutil
from dataclasses import replace
from pathlib import Path

import healpy
import numpy as np
import pytest
from survey_files import LABEL, MAP_NSIDE, make_catalog, matched_of, write_maps, write_table

import data_prep
from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.manifest import Manifest
from data_prep.prepare import prepare, summary
from data_prep.prepare_settings import PrepareSettings
from data_prep.shards import read_split
from data_prep.splits import assign_splits, region_of, split_of_parents

pytest.importorskip("tensorflow")

CUT_ROWS = 30
BANDS = "riz"


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """A survey with a few of everything that is bad; what is in it, and its settings."""
    directory = tmp_path_factory.mktemp("survey")
    detection = make_catalog(4000)
    detection["flags_foreground"][:CUT_ROWS] = 1
    detected = np.flatnonzero(detection["detected"] == 1)
    hole = int(
        healpy.ang2pix(
            MAP_NSIDE,
            detection["true_ra"][detected[1000]],
            detection["true_dec"][detected[1000]],
            nest=True,
            lonlat=True,
        )
    )
    maps = write_maps(directory / "maps", hole=hole)
    matched = matched_of(detection)
    by_id = {row_id: row for row, row_id in enumerate(matched["bal_id"].tolist())}
    rows = [by_id[int(row_id)] for row_id in detection["bal_id"][detected[2000:2006]]]
    for row, value in zip(rows, [37.5, np.nan, np.inf, 9.999e9, -9.999e9, -9999], strict=True):
        matched["meas_cm_mag_deredden"][row, 2] = value
    replicate = matched_of(detection, seed=11)
    files = {
        name: write_table(directory / f"{name}_catalog.fits", columns)
        for name, columns in {
            "balrog_matched": matched,
            "balrog_detection": detection,
            "replicate_matched": replicate,
            "replicate_detection": detection,
        }.items()
    }
    settings = PrepareSettings(
        catalog=files["balrog_matched"],
        detection=files["balrog_detection"],
        replicate=files["replicate_matched"],
        maps=directory / "maps",
        out=directory / "shards",
        shards=3,
    )
    return settings, detection, matched, replicate, maps


@pytest.fixture(scope="module")
def prepared(survey):
    return prepare(survey[0], "the command")


def all_rows(directory, prefix="", names=("train", "validation", "test")):
    splits = [read_split(directory, prefix + name) for name in names]
    return {key: np.concatenate([split[key] for split in splits]) for key in splits[0]}


def test_every_row_is_where_it_was(survey, prepared):
    settings, _, matched, _, maps = survey
    found = all_rows(settings.out)
    by_id = {row_id: row for row, row_id in enumerate(matched["bal_id"].tolist())}
    rows = np.array([by_id[row_id] for row_id in found["row_id"].tolist()])
    np.testing.assert_array_equal(found["parent_id"], matched["true_id"][rows])
    truth = matched["true_bdf_mag_deredden"][rows, 1:]
    np.testing.assert_array_equal(found["condition"][:, :3], truth)
    np.testing.assert_array_equal(found["measured"], matched["meas_cm_mag_deredden"][rows, 1:])
    ra, dec = matched["true_ra"][rows], matched["true_dec"][rows]
    np.testing.assert_array_equal(found["position"], np.stack([ra, dec], 1).astype(np.float32))
    np.testing.assert_array_equal(found["region"], region_of(ra, dec))
    pixels = healpy.ang2pix(MAP_NSIDE, ra, dec, nest=True, lonlat=True).tolist()
    for index, name in enumerate(prepared.schema.condition_names[3:], start=3):
        expected = np.array([maps[name][pixel] for pixel in pixels])
        np.testing.assert_array_equal(found["condition"][:, index], expected)


def test_rows_are_neither_lost_nor_doubled_but_counted(survey, prepared):
    settings, detection, matched, _, _ = survey
    content, splits = prepared.content, prepared.splits
    kept = sum(splits[name]["rows"] for name in ("train", "validation", "test"))
    assert content["rows_read"] == len(matched["bal_id"])
    assert kept + sum(content["dropped"].values()) == content["rows_read"]
    assert np.unique(all_rows(settings.out)["row_id"]).size == kept
    surplus = content["dropped"].get("validation surplus", 0)
    assert {**content["dropped"], "validation surplus": surplus} == {
        "cut flags_foreground == 0": int(detection["detected"][:CUT_ROWS].sum()),
        "fwhm_r is off the map": 1,
        "meas_mag_i is the sentinel 37.5": 1,
        "meas_mag_i is the sentinel 9.999e+09": 1,
        "meas_mag_i is the sentinel -9.999e+09": 1,
        "meas_mag_i is the sentinel -9999": 1,
        "meas_mag_i is not finite": 2,
        "validation surplus": surplus,
    }
    other = content["other_tables"]["detection"]
    kept = sum(splits[f"detection-{name}"]["rows"] for name in ("train", "validation", "test"))
    assert kept + sum(other["dropped"].values()) == other["rows_read"] == 4000
    assert other["dropped"]["cut flags_foreground == 0"] == CUT_ROWS


def test_splits_follow_the_regions_of_the_whole_survey(survey, prepared):
    settings, detection, _, _, _ = survey
    expected = assign_splits(region_of(detection["true_ra"], detection["true_dec"]))
    for prefix in ("", "detection-"):
        for name in ("train", "validation", "test"):
            regions = read_split(settings.out, prefix + name)["region"].tolist()
            assert {expected[region] for region in regions} == {name}
    described = prepared.content["regions"]
    assert {k: len(v) for k, v in described["splits"].items()} == {
        name: list(expected.values()).count(name) for name in ("train", "validation", "test")
    }
    assert (described["nside"], described["nest"], described["seed"]) == (64, True, 0)


def test_detection_split_has_both_outcomes_and_the_matched_truth(survey, prepared):
    settings, detection, _, _, _ = survey
    found = all_rows(settings.out, "detection-")
    by_id = dict(zip(detection["bal_id"].tolist(), detection["detected"].tolist(), strict=True))
    assert found["detected"].tolist() == [by_id[row_id] for row_id in found["row_id"].tolist()]
    assert set(found["detected"].tolist()) == {0, 1}


def test_oracle_redraws_rows_of_the_test_split(survey, prepared):
    settings, _, _, replicate, _ = survey
    test, oracle = read_split(settings.out, "test"), read_split(settings.out, "oracle")
    assert set(oracle["row_id"].tolist()) <= set(test["row_id"].tolist())
    assert len(oracle["row_id"]) > 0.9 * len(test["row_id"])
    order = np.argsort(test["row_id"])
    partner = order[np.searchsorted(test["row_id"], oracle["row_id"], sorter=order)]
    np.testing.assert_array_equal(oracle["condition"], test["condition"][partner])
    assert not np.array_equal(oracle["measured"], test["measured"][partner])
    by_id = {row_id: row for row, row_id in enumerate(replicate["bal_id"].tolist())}
    rows = [by_id[row_id] for row_id in oracle["row_id"].tolist()]
    np.testing.assert_array_equal(oracle["measured"], replicate["meas_cm_mag_deredden"][rows, 1:])


def test_manifest_says_where_everything_came_from(survey, prepared):
    settings = survey[0]
    provenance = prepared.provenance
    assert prepared.label == LABEL
    assert provenance["command"] == "the command"
    names = [source["name"] for source in provenance["sources"]]
    catalogs = ("balrog_matched", "balrog_detection", "replicate_matched", "replicate_detection")
    assert names[:4] == [f"{name}_catalog.fits" for name in catalogs]
    assert len(names) == 10
    assert provenance["sources"][0]["sha256"] == sha256_of(settings.catalog)
    used = provenance["columns"]["matched"]
    assert used["meas_mag_i"] == "meas_cm_mag_deredden[2]"
    assert prepared.map_patterns["fwhm_z"] == ["y3a2_z_o.4096_t.32768_FWHM.WMEAN_EQU"]
    assert set(prepared.statistics) == {
        f"{kind}_{band}" for kind in ("true_mag", "fwhm", "sky_noise", "meas_mag") for band in BANDS
    }


def test_summary_shows_drops_splits_and_the_next_step(survey, prepared):
    text = summary(prepared)
    assert "1  fwhm_r is off the map" in text
    assert f"{prepared.splits['test']['rows']:,}  test" in text
    assert "--split sky+parent" in text
    assert f"next: python train.py --data {survey[0].out} --name NAME" in text


def test_row_order_and_batches_do_not_change_the_shards(survey, prepared, tmp_path):
    settings, detection, matched, _, _ = survey
    order = np.random.default_rng(5).permutation(len(matched["bal_id"]))
    shuffled = {name: values[order] for name, values in matched.items()}
    other = replace(
        settings,
        catalog=write_table(tmp_path / "matched.parquet", shuffled),
        detection=write_table(tmp_path / "detection.parquet", detection),
        out=tmp_path / "shards",
        batch_rows=77,
    )
    again = prepare(other)
    assert again.splits == prepared.splits
    assert prepare(replace(other, split_seed=1, force=True)).splits != prepared.splits


@pytest.mark.parametrize(("validation_rows", "expected"), [(40, 40), (10**6, None)])
def test_validation_size(survey, tmp_path, validation_rows, expected):
    settings, _, _, _, _ = survey
    other = replace(
        settings, out=tmp_path / "s", validation_rows=validation_rows, validation_fraction=0.3,
        replicate=None,
    )  # fmt: skip
    manifest = prepare(other)
    rows = {name: split["rows"] for name, split in manifest.splits.items()}
    surplus = manifest.content["dropped"]["validation surplus"]
    kept = rows["train"] + rows["validation"] + rows["test"] + surplus
    assert rows["validation"] == (expected or kept // 10)


def test_sky_and_parent(survey, prepared, tmp_path):
    assert prepared.content["parents"]["crossing"] > 300
    manifest = prepare(replace(survey[0], out=tmp_path / "s", split="sky+parent"))
    assert manifest.content["parents"]["crossing"] == 0
    assert manifest.content["dropped"]["parent belongs to another split"] > 500
    for index, name in enumerate(("train", "validation", "test")):
        parents = read_split(tmp_path / "s", name)["parent_id"]
        assert set(split_of_parents(parents).tolist()) == {index}
    assert "sky+parent" not in summary(manifest)


def test_disjoint_parents_do_not_cross(survey, tmp_path):
    settings, detection, _, _, _ = survey
    names = assign_splits(region_of(detection["true_ra"], detection["true_dec"]))
    regions = region_of(detection["true_ra"], detection["true_dec"]).tolist()
    pool = {"train": 0, "validation": 1000, "test": 2000}
    shift = np.array([pool[names[region]] for region in regions])
    disjoint = detection | {"true_id": detection["true_id"] + shift}
    other = replace(
        settings,
        catalog=write_table(tmp_path / "m.fits", matched_of(disjoint)),
        detection=write_table(tmp_path / "d.fits", disjoint),
        replicate=None,
        out=tmp_path / "s",
    )
    assert prepare(other).content["parents"]["crossing"] == 0


def test_strict_refuses_bad_values_but_not_cuts(survey, tmp_path):
    settings, detection, _, _, _ = survey
    strict = replace(settings, strict=True, out=tmp_path / "s")
    with pytest.raises(BalrogError, match=r"--strict allows no bad value, found 7 rows .*37.5: 1"):
        prepare(strict)
    clean = matched_of(detection)
    shutil.copytree(settings.maps, tmp_path / "maps")
    write_maps(tmp_path / "maps")
    catalog = write_table(tmp_path / "m.fits", clean)
    manifest = prepare(replace(strict, catalog=catalog, maps=tmp_path / "maps", replicate=None))
    assert manifest.content["dropped"]["cut flags_foreground == 0"] > 0


def test_existing_output(survey, tmp_path):
    settings = replace(survey[0], out=tmp_path / "s", replicate=None)
    settings.out.mkdir()
    prepare(settings)
    with pytest.raises(BalrogError, match="holds shards already; give --force"):
        prepare(settings)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    for force in (False, True):
        with pytest.raises(BalrogError, match="must be new or hold shards"):
            prepare(replace(settings, out=tmp_path / "thesis", force=force))
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "precious"


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("where", ["data_prep.shards.frame_records", "data_prep.shards.write_json"])
def test_disk_full_keeps_the_old_shards_and_leaves_nothing(survey, tmp_path, monkeypatch, where):
    settings = replace(survey[0], out=tmp_path / "s", replicate=None)
    prepare(settings)
    before = contents(settings.out)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, full)
    with pytest.raises(OSError, match="No space left"):
        prepare(replace(settings, force=True, split_seed=3))
    assert contents(settings.out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_without_detection_catalogue(survey, tmp_path):
    settings = replace(survey[0], detection=None, replicate=None, out=tmp_path / "s")
    with pytest.raises(BalrogError, match="flags_foreground.*give --detection"):
        prepare(settings)
    shipped = Path(data_prep.__file__).parent / "presets" / "des-y3-sof.yaml"
    preset = tmp_path / "mine.yaml"
    text = shipped.read_text().replace(", rows:", ", optional: true, rows:")
    preset.write_text(text)
    manifest = prepare(replace(settings, preset=str(preset)))
    assert set(manifest.splits) == {"train", "validation", "test"}
    assert len(manifest.content["cuts_not_applied"]) == 5
    assert manifest.content["cuts"] == []
    assert "cut not applied (no such column): flags_foreground == 0" in summary(manifest)


def test_replicate_needs_its_own_detection_catalogue(survey, tmp_path):
    settings, _, _, replicate, _ = survey
    alone = replace(
        settings, replicate=write_table(tmp_path / "redraw.fits", replicate), out=tmp_path / "s"
    )
    with pytest.raises(BalrogError, match="redraw.fits.*--replicate-detection"):
        prepare(alone)
    named = replace(alone, replicate_detection=settings.detection)
    assert prepare(named).splits["oracle"]["rows"] > 0


def test_replicate_of_other_injections(survey, tmp_path):
    settings, detection, _, replicate, _ = survey
    other = replicate | {"bal_id": replicate["bal_id"] + 10**6}
    detection = detection | {"bal_id": detection["bal_id"] + 10**6}
    wrong = replace(
        settings,
        replicate=write_table(tmp_path / "m.fits", other),
        replicate_detection=write_table(tmp_path / "d.fits", detection),
        out=tmp_path / "s",
    )
    with pytest.raises(BalrogError, match="injections of the test split, found none"):
        prepare(wrong)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("true_ra", 360.0, r"ra in \[0, 360\).*row 3 has ra .*360"),
        ("true_dec", -90.5, "row 3 has .*-90.5"),
        ("true_ra", np.nan, "row 3 has ra .*nan"),
    ],
)
def test_position_out_of_range(survey, tmp_path, column, value, message):
    settings, _, matched, _, _ = survey
    values = matched[column].copy()
    values[3] = value
    catalog = write_table(tmp_path / "m.fits", matched | {column: values})
    with pytest.raises(BalrogError, match=message):
        prepare(replace(settings, catalog=catalog, out=tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_maps_of_another_part_of_the_sky(survey, tmp_path):
    settings, detection, matched, _, _ = survey
    moved = matched | {"true_ra": matched["true_ra"] + 180}
    other = detection | {"true_ra": detection["true_ra"] + 180}
    wrong = replace(
        settings,
        catalog=write_table(tmp_path / "m.fits", moved),
        detection=write_table(tmp_path / "d.fits", other),
        replicate=None,
        out=tmp_path / "s",
    )
    with pytest.raises(BalrogError, match="covers none of its .* galaxies"):
        prepare(wrong)


def test_wrong_unit_flag(survey, tmp_path):
    with pytest.raises(BalrogError, match="look like magnitudes; give --unit mag"):
        prepare(replace(survey[0], unit="flux", out=tmp_path / "s"))


def test_nothing_left(survey, tmp_path):
    settings, detection, _, _, _ = survey
    none = detection | {"flags_footprint": np.zeros(4000, np.int32)}
    catalog = write_table(tmp_path / "d.fits", none)
    with pytest.raises(BalrogError, match="no row is left of .*cut flags_footprint == 1"):
        prepare(replace(settings, detection=catalog, out=tmp_path / "s"))


def test_manifest_on_disk_is_the_one_returned(survey, prepared):
    assert Manifest.load(survey[0].out) == prepared
