from pathlib import Path

import numpy as np
import pytest
from memory_catalog import MemoryCatalog
from small_job import CUT, make_settings, tables_of
from small_survey import ASINH, found_of, make_injections, write_columns

from data_prep.errors import BalrogError
from data_prep.preparation.prepare_plan import plan_job
from data_prep.preparation.row_order import RowOrderCatalog

ONE_CATALOGUE = {"join": "none", "id": None}


def test_tables_and_their_partners(tmp_path):
    redraw, its_detection = tables_of(make_injections(seed=5))
    settings = make_settings(tmp_path, replicate=redraw, replicate_detection=its_detection)
    plan = plan_job(settings)
    assert set(plan.tables) == {"matched", "detection", "oracle", "oracle-detection"}
    partners = {role: plan.partner(role) for role in plan.tables}
    assert partners == {
        "matched": "detection", "oracle": "oracle-detection", "detection": None,
        "oracle-detection": None,
    }  # fmt: skip
    assert plan.catalogs == [settings.detection, settings.catalog, its_detection, redraw]
    assert (plan.deep, plan.weighted, plan.not_applied) == (None, False, [])


def test_weights_in_either_catalogue(tmp_path):
    assert plan_job(make_settings(tmp_path, preset={"weight": "weight"})).weighted
    without = make_settings(tmp_path, preset={"weight": "weight"}, without=("weight",))
    assert plan_job(without).weighted
    with pytest.raises(BalrogError, match=r"needs the column wieght.*did you mean weight"):
        plan_job(make_settings(tmp_path, preset={"weight": "wieght"}))


def test_weights_of_detection_shards(tmp_path):
    matched, detection = tables_of(make_injections())
    detection.widths.pop("weight")
    files = {"catalog": matched, "detection": detection}
    with pytest.raises(BalrogError, match=r"detection.fits: `weight`.* needs the column weight"):
        plan_job(make_settings(tmp_path, preset={"weight": "weight"}, **files))
    alone = make_settings(tmp_path, preset={"weight": "weight"}, without_detection=True, **files)
    assert plan_job(alone).weighted


def test_optional_cuts_that_not_every_catalogue_has_are_not_applied(tmp_path):
    matched, detection = tables_of(make_injections())
    matched.widths["only"] = 1
    cut = CUT | {"column": "only", "table": "matched", "optional": True}
    settings = make_settings(tmp_path, preset={"cuts": [cut]}, catalog=matched, detection=detection)
    plan = plan_job(settings)
    assert plan.not_applied == ["only == 0"]
    assert not plan.tables["matched"].aliases("cut 0")


def test_one_catalogue_of_every_injection(tmp_path):
    catalog = MemoryCatalog(make_injections())
    settings = make_settings(tmp_path, preset=ONE_CATALOGUE, catalog=catalog, detection=None)
    plan = plan_job(settings)
    assert set(plan.tables) == {"matched", "detection"}
    assert plan.tables["matched"].only_detected
    assert plan.partner("matched") is None
    assert plan.catalogs == [catalog]
    alone = make_settings(tmp_path, preset=ONE_CATALOGUE, catalog=catalog, detection=None,
                          without_detection=True)  # fmt: skip
    assert set(plan_job(alone).tables) == {"matched"}


def test_catalogues_in_row_order_are_both_sources(tmp_path):
    columns = make_injections()
    injected = MemoryCatalog({k: v for k, v in columns.items() if k[:2] != "m_"}, "injected.h5")
    measured = {name: v for name, v in found_of(columns).items() if name[:2] == "m_"}
    settings = make_settings(tmp_path, preset={"join": "row_order", "id": None},
                             catalog=MemoryCatalog(measured), detection=injected)  # fmt: skip
    plan = plan_job(settings)
    assert isinstance(plan.tables["matched"].catalog, RowOrderCatalog)
    assert plan.catalogs == [injected, settings.catalog]
    with pytest.raises(BalrogError, match="in order; give that as --detection"):
        plan_job(make_settings(tmp_path, preset={"join": "row_order"}, detection=None))


def test_softenings_are_filled_in(tmp_path):
    columns = make_injections()
    for band in "ri":
        columns[f"m_{band}"] = 10 ** (0.4 * (30 - columns[f"m_{band}"]))
        columns[f"e_{band}"] = np.full(600, 40.0)
    plan = plan_job(make_settings(tmp_path, columns, {"measured": ASINH}))
    assert [c.softening for c in plan.preset.schema.measured] == [pytest.approx(41.68)] * 2


@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        ({"id": None}, {}, "must name the id column"),
        ({"join": "none", "detected": None}, {}, "`join: none` must say what is `detected:`"),
        (
            ONE_CATALOGUE,
            {},
            "preset small has every injection in one catalogue; leave out --detection",
        ),
        ({"parent": None}, {"split": "parent"}, "--split parent needs the parents"),
        ({}, {"unit": "flux"}, "column t_r is said to hold fluxes.*give --unit mag"),
        ({"columns": []}, {}, "needs a truth and a measured column"),
        ({}, {"detection": None}, "the cut flag == 0 needs the column flag.*give --detection"),
    ],
)
def test_what_cannot_be_prepared(tmp_path, preset, options, message):
    with pytest.raises(BalrogError, match=message):
        plan_job(make_settings(tmp_path, preset=preset, **options))


def test_empty_catalogue(tmp_path):
    columns = make_injections()
    columns["found"][:] = 0
    with pytest.raises(BalrogError, match="matched.fits must hold injections; it has no rows"):
        plan_job(make_settings(tmp_path, columns))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(BalrogError, match="none.fits"):
        plan_job(make_settings(tmp_path, catalog=tmp_path / "none.fits"))
    with pytest.raises(BalrogError, match="deep-field table"):
        plan_job(make_settings(tmp_path, deep=MemoryCatalog(make_injections())))


def test_redraws_detection_catalogue_is_found_by_its_name(tmp_path, caplog):
    caplog.set_level("INFO")
    columns = make_injections()
    matched, detection = tables_of(columns)
    for name, catalog in (("a_matched", matched), ("a_detection", detection)):
        write_columns(tmp_path / f"{name}.fits", catalog.columns)
    plan = plan_job(make_settings(tmp_path, replicate=Path(tmp_path / "a_matched.fits")))
    assert plan.tables["oracle-detection"].catalog.path == tmp_path / "a_detection.fits"
    assert "cuts of a_matched.fits from a_detection.fits" in caplog.text


def test_deep_table_only_if_something_comes_from_it(tmp_path):
    columns = make_injections()
    parents = np.arange(1, 60)
    deep = MemoryCatalog({"ID": parents, "t_r": parents * 0.1 + 18, "t_i": parents * 0.1 + 18})
    preset = {"deep": {"id": "ID"}}
    assert plan_job(make_settings(tmp_path, columns, preset, deep=deep)).deep is None
    lacking = {name: values for name, values in columns.items() if name != "t_i"}
    plan = plan_job(make_settings(tmp_path, lacking, preset, deep=deep))
    assert plan.deep.spec.columns == ("true_i",)
    assert deep in plan.catalogs


def test_optional_cuts_that_are_not_applied(tmp_path):
    cut = {"column": "other", "operator": "<", "value": 1, "table": "matched", "rows": "detected"}
    preset = {"cuts": [cut | {"optional": True}]}
    redraw, its_detection = tables_of(make_injections(seed=5))
    settings = make_settings(tmp_path, preset=preset, replicate=redraw,
                             replicate_detection=its_detection)  # fmt: skip
    assert plan_job(settings).not_applied == ["other < 1"]
