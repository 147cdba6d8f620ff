import shutil
from dataclasses import replace
from pathlib import Path

import healpy
import numpy as np
import pytest
from prepare_world import CUT_ROWS, SPLIT_NAMES, all_rows, make_world, shard_bytes
from survey_files import LABEL, MAP_NSIDE, matched_of, write_maps, write_table

import data_prep
from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.manifest import Manifest
from data_prep.preparation.prepare_summary import summary
from data_prep.prepare import prepare
from data_prep.shards import read_split
from data_prep.splits import assign_splits, region_of, split_of_parents

BANDS = "riz"


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("survey"))


@pytest.fixture(scope="module")
def prepared(survey):
    return prepare(survey.settings, "the command")


def test_every_row_is_where_it_was(survey, prepared):
    settings, matched, maps = survey.settings, survey.matched, survey.maps
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
    settings, detection, matched = survey.settings, survey.detection, survey.matched
    content, splits = prepared.content, prepared.splits
    kept = sum(splits[name]["rows"] for name in SPLIT_NAMES)
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
    kept = sum(splits[f"detection-{name}"]["rows"] for name in SPLIT_NAMES)
    assert kept + sum(other["dropped"].values()) == other["rows_read"] == 4000
    assert other["dropped"]["cut flags_foreground == 0"] == CUT_ROWS


def test_splits_follow_the_regions_of_the_whole_survey(survey, prepared):
    settings, detection = survey.settings, survey.detection
    expected = assign_splits(region_of(detection["true_ra"], detection["true_dec"]))
    for prefix in ("", "detection-"):
        for name in SPLIT_NAMES:
            regions = read_split(settings.out, prefix + name)["region"].tolist()
            assert {expected[region] for region in regions} == {name}
    described = prepared.content["regions"]
    assert {k: len(v) for k, v in described["splits"].items()} == {
        name: list(expected.values()).count(name) for name in SPLIT_NAMES
    }
    assert (described["nside"], described["nest"], described["seed"]) == (64, True, 0)


def test_detection_split_has_both_outcomes_and_the_matched_truth(survey, prepared):
    settings, detection = survey.settings, survey.detection
    found = all_rows(settings.out, "detection-")
    by_id = dict(zip(detection["bal_id"].tolist(), detection["detected"].tolist(), strict=True))
    assert found["detected"].tolist() == [by_id[row_id] for row_id in found["row_id"].tolist()]
    assert set(found["detected"].tolist()) == {0, 1}


def test_oracle_redraws_rows_of_the_test_split(survey, prepared):
    settings, replicate = survey.settings, survey.replicate
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
    settings = survey.settings
    provenance = prepared.provenance
    assert prepared.label == LABEL
    assert provenance["command"] == "the command"
    sources = {source["name"]: source for source in provenance["sources"]}
    catalogs = ("balrog_matched", "balrog_detection", "replicate_matched", "replicate_detection")
    assert {f"{name}_catalog.fits" for name in catalogs} < set(sources)
    assert len(sources) == 10
    matched = sources["balrog_matched_catalog.fits"]
    assert matched["sha256"] == sha256_of(settings.catalog)
    assert matched["bytes"] == settings.catalog.stat().st_size
    used = provenance["columns"]["matched"]
    assert used["meas_mag_i value"] == "meas_cm_mag_deredden[2]"
    assert prepared.map_patterns["fwhm_z"]["maps"] == {
        "value": ["y3a2_z_o.4096_t.32768_FWHM.WMEAN_EQU"]
    }
    assert set(prepared.statistics) == {
        f"{kind}_{band}" for kind in ("true_mag", "fwhm", "sky_noise", "meas_mag") for band in BANDS
    }


def test_summary_shows_drops_splits_and_the_next_step(survey, prepared):
    text = summary(prepared)
    assert "1  fwhm_r is off the map" in text
    assert f"{prepared.splits['test']['rows']:,}  test" in text
    assert "--split sky+parent" in text
    assert f"next: python train.py --data {survey.settings.out} --name NAME" in text


@pytest.mark.parametrize(("validation_rows", "expected"), [(40, 40), (10**6, None)])
def test_validation_size(survey, tmp_path, validation_rows, expected):
    settings = survey.settings
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
    manifest = prepare(replace(survey.settings, out=tmp_path / "s", split="sky+parent"))
    assert manifest.content["parents"]["crossing"] == 0
    assert manifest.content["dropped"]["parent belongs to another split"] > 500
    for index, name in enumerate(("train", "validation", "test")):
        parents = read_split(tmp_path / "s", name)["parent_id"]
        assert set(split_of_parents(parents).tolist()) == {index}
    assert "sky+parent" not in summary(manifest)


def test_disjoint_parents_do_not_cross(survey, tmp_path):
    settings, detection = survey.settings, survey.detection
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
    strict = replace(survey.settings, strict=True, out=tmp_path / "s", replicate=None)
    with pytest.raises(BalrogError, match=r"detection.*--strict .* 1 rows .*fwhm_r is off the map"):
        prepare(strict)
    shutil.copytree(strict.maps, tmp_path / "maps")
    write_maps(tmp_path / "maps")
    strict = replace(strict, maps=tmp_path / "maps")
    with pytest.raises(BalrogError, match=r"matched.*--strict .* found 6 rows .*37.5: 1"):
        prepare(strict)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps"]
    catalog = write_table(tmp_path / "m.fits", matched_of(survey.detection))
    manifest = prepare(replace(strict, catalog=catalog))
    assert manifest.content["dropped"]["cut flags_foreground == 0"] > 0


def test_existing_output(survey, tmp_path):
    settings = replace(survey.settings, out=tmp_path / "s", replicate=None)
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


def test_without_detection_shards(survey, prepared, tmp_path):
    manifest = prepare(replace(survey.settings, without_detection=True, out=tmp_path / "s"))
    assert set(manifest.splits) == {"train", "validation", "test", "oracle"}
    assert not list((tmp_path / "s").glob("detection-*"))
    assert set(manifest.content["other_tables"]) == {"oracle"}
    # The detection catalogue still says which matched rows are cut, and where regions are.
    expected = shard_bytes(prepared.directory)
    assert shard_bytes(tmp_path / "s") == {
        name: content for name, content in expected.items() if not name.startswith("detection-")
    }


def test_without_detection_catalogue(survey, tmp_path):
    settings = replace(survey.settings, detection=None, replicate=None, out=tmp_path / "s")
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
    settings, replicate = survey.settings, survey.replicate
    alone = replace(
        settings, replicate=write_table(tmp_path / "redraw.fits", replicate), out=tmp_path / "s"
    )
    with pytest.raises(BalrogError, match="redraw.fits.*--replicate-detection"):
        prepare(alone)
    named = replace(alone, replicate_detection=settings.detection)
    assert prepare(named).splits["oracle"]["rows"] > 0


def test_replicate_of_other_injections(survey, tmp_path):
    settings, detection, replicate = survey.settings, survey.detection, survey.replicate
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


def test_bad_positions_are_counted_and_ra_is_wrapped(survey, tmp_path):
    settings, detection = survey.settings, survey.detection
    ra, dec = detection["true_ra"].copy(), detection["true_dec"].copy()
    good = np.flatnonzero(detection["flags_foreground"] == 0)
    ra[good[:3]] = [np.nan, 361, -720]
    dec[good[3:5]] = [90.5, np.inf]
    ra[good[5:]] -= 360
    moved = detection | {"true_ra": ra, "true_dec": dec}
    manifest = prepare(
        replace(
            settings,
            catalog=write_table(tmp_path / "m.fits", matched_of(moved)),
            detection=write_table(tmp_path / "d.fits", moved),
            replicate=None,
            out=tmp_path / "s",
        )
    )
    dropped = manifest.content["other_tables"]["detection"]["dropped"]
    assert dropped["position is not finite"] == 2
    assert dropped["position is out of range"] == 3
    position = all_rows(tmp_path / "s", "detection-")["position"]
    assert ((position[:, 0] >= 10) & (position[:, 0] <= 20)).all()


def test_maps_of_another_part_of_the_sky(survey, tmp_path):
    settings, detection, matched = survey.settings, survey.detection, survey.matched
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
        prepare(replace(survey.settings, unit="flux", out=tmp_path / "s"))


def test_nothing_left(survey, tmp_path):
    settings, detection = survey.settings, survey.detection
    none = detection | {"flags_footprint": np.zeros(4000, np.int32)}
    catalog = write_table(tmp_path / "d.fits", none)
    with pytest.raises(BalrogError, match="no row is left of .*cut flags_footprint == 1"):
        prepare(replace(settings, detection=catalog, out=tmp_path / "s"))


def test_manifest_on_disk_is_the_one_returned(survey, prepared):
    assert Manifest.load(survey.settings.out) == prepared
