import pytest
from memory_catalog import MemoryCatalog
from small_survey import found_of, make_injections, make_preset

from data_prep.errors import BalrogError
from data_prep.preparation.cut_columns import require_cuts, without_cuts
from data_prep.preparation.row_order import RowOrderCatalog
from data_prep.preparation.table_specs import table_spec

CUT = {"column": ["flag", "flags"], "operator": "==", "value": 0, "table": "detection",
       "rows": "all"}  # fmt: skip


def catalog(*without, **more):
    columns = make_injections(20)
    return MemoryCatalog({k: v for k, v in columns.items() if k not in without} | more)


def tables_of(preset, matched, detection):
    return {
        "matched": table_spec("matched", matched, preset, None, None),
        "detection": table_spec("detection", detection, preset, None, None),
    }


def test_missing_cuts(tmp_path):
    preset = make_preset(tmp_path, cuts=[CUT])
    lacking = table_spec("matched", catalog("flag"), preset, None, None)
    with pytest.raises(BalrogError, match="cut flag == 0 needs the column flag or flags of the "
                       "detection catalogue, which is missing; give --detection"):  # fmt: skip
        require_cuts(preset, {"matched": lacking}, "matched")
    with pytest.raises(BalrogError, match="give --replicate-detection"):
        require_cuts(preset, {"oracle": lacking}, "oracle")
    detection = table_spec("detection", catalog(), preset, None, None)
    assert require_cuts(preset, {"matched": lacking, "detection": detection}, "matched") == []
    preset = make_preset(tmp_path, cuts=[CUT | {"optional": True}])
    assert require_cuts(preset, {"matched": lacking}, "matched") == [0]


def test_cut_on_an_expression_needs_all_of_its_columns(tmp_path):
    cut = {"inputs": {"a": "m_r", "b": "other"}, "expression": "a < b", "table": "matched",
           "rows": "detected"}  # fmt: skip
    preset = make_preset(tmp_path, cuts=[cut])
    spec = table_spec("matched", catalog(), preset, None, None)
    assert not spec.aliases("cut 0")
    with pytest.raises(BalrogError, match="cut a < b needs the column m_r and other"):
        require_cuts(preset, {"matched": spec}, "matched")


def test_too_many_cuts(tmp_path):
    preset = make_preset(tmp_path, cuts=[CUT] * 33)
    spec = table_spec("matched", catalog(), preset, None, None)
    with pytest.raises(BalrogError, match="may have 32 cuts, found 33"):
        require_cuts(preset, {"matched": spec}, "matched")


@pytest.mark.parametrize(
    ("table", "rows", "lacking", "message"),
    [
        ("matched", "all", "detection", "column flag or flags of the detection catalogue.*`rows: "),
        ("detection", "all", "detection", "of the detection catalogue.*correct its column"),
        ("detection", "detected", "detection", "of the detection catalogue.*correct its column"),
        ("matched", "detected", "matched", "of the matched catalogue.*correct its column"),
        ("matched", "all", "matched", "of the matched catalogue"),
    ],
)
def test_the_column_must_be_where_the_cut_says(tmp_path, table, rows, lacking, message):
    cut = CUT | {"table": table, "rows": rows}
    preset = make_preset(tmp_path, cuts=[cut])
    files = {
        name: catalog("flag") if name == lacking else catalog() for name in ("matched", "detection")
    }
    tables = tables_of(preset, **files)
    with pytest.raises(BalrogError, match=message):
        require_cuts(preset, tables, "matched")
    assert require_cuts(preset, tables_of(preset, catalog(), catalog()), "matched") == []
    preset = make_preset(tmp_path, cuts=[cut | {"optional": True}])
    assert require_cuts(preset, tables, "matched") == [0]


def test_a_cut_on_the_measurement_need_not_be_in_the_other_catalogue(tmp_path):
    cut = CUT | {"table": "matched", "rows": "detected"}
    preset = make_preset(tmp_path, cuts=[cut])
    assert require_cuts(preset, tables_of(preset, catalog(), catalog("flag")), "matched") == []


def test_misspelt_columns_are_guessed(tmp_path):
    preset = make_preset(tmp_path, cuts=[CUT | {"column": "falg"}])
    with pytest.raises(BalrogError, match=r"missing \(did you mean flag\?\); correct"):
        require_cuts(preset, tables_of(preset, catalog(), catalog()), "matched")


def test_what_only_detected_rows_have_cuts_no_other(tmp_path):
    preset = make_preset(tmp_path, cuts=[CUT | {"table": "matched"}], join="row_order", id=None)
    everyone = make_injections(50)
    flags = {"flag": everyone.pop("flag")}
    matched = found_of(everyone | flags)
    joined = RowOrderCatalog.join(MemoryCatalog(everyone, "all.h5"), MemoryCatalog(matched), preset)
    tables = tables_of(preset, joined, joined)
    with pytest.raises(BalrogError, match="all.h5: the cut flag == 0 needs .* `rows: detected` if"):
        require_cuts(preset, tables, "matched")
    preset = make_preset(tmp_path, cuts=[CUT | {"table": "matched", "rows": "detected"}],
                         join="row_order", id=None)  # fmt: skip
    assert require_cuts(preset, tables, "matched") == []


def test_without_cuts(tmp_path):
    preset = make_preset(tmp_path, cuts=[CUT, CUT | {"column": "found"}])
    spec = table_spec("detection", catalog(), preset, None, None)
    left = without_cuts(spec, [0])
    assert set(spec.elements) - set(left.elements) == {"cut 0 value"}
    assert without_cuts(spec, []) == spec
