import pytest
from memory_catalog import MemoryCatalog
from small_survey import make_injections, make_preset

from data_prep.errors import BalrogError
from data_prep.preparation.table_specs import deep_spec, neighbor_spec, require_weight, table_spec

CUT = {"column": ["flag", "flags"], "operator": "==", "value": 0, "table": "detection",
       "rows": "all"}  # fmt: skip
EXTINCTION = {"extinction": {"column": ["a_{band}"], "map": ["ebv"], "coefficient": 2.0}}


def catalog(*without, **more):
    columns = make_injections(20)
    return MemoryCatalog({k: v for k, v in columns.items() if k not in without} | more)


def elements(spec):
    return {field: str(element) for field, element in spec.elements.items()}


def test_every_column_is_found(tmp_path):
    preset = make_preset(tmp_path, cuts=[CUT], weight="weight")
    matched = table_spec("matched", catalog(), preset, None, None)
    assert elements(matched) == {
        "parent_id": "parent", "ra": "ra", "dec": "dec", "row_id": "id", "weight": "weight",
        "true_r value": "t_r", "true_i value": "t_i", "meas_r value": "m_r",
        "meas_i value": "m_i", "cut 0 value": "flag",
    }  # fmt: skip
    assert matched.columns == ("true_r", "true_i", "meas_r", "meas_i")
    detection = table_spec("detection", catalog("m_r"), preset, None, None)
    assert detection.columns == ("true_r", "true_i")
    assert elements(detection)["detected value"] == "found"


def test_alternatives_in_their_order(tmp_path):
    preset = make_preset(tmp_path, position=[["injected_ra", "ra"], ["dec", "ra"]])
    assert elements(table_spec("matched", catalog(), preset, None, None))["ra"] == "ra"
    both = catalog(injected_ra=make_injections(20)["ra"])
    assert elements(table_spec("matched", both, preset, None, None))["ra"] == "injected_ra"


@pytest.mark.parametrize("missing", [["ra"], ["dec"], ["ra", "dec"], ["t_r"], ["parent"]])
def test_what_the_matched_catalogue_lacks_is_borrowed(tmp_path, missing):
    preset = make_preset(tmp_path, weight="weight")
    detection = table_spec("detection", catalog(), preset, None, None)
    spec = table_spec("matched", catalog(*missing, "weight"), preset, None, detection)
    expected = {
        "ra": {"ra", "dec", "region"}, "dec": {"ra", "dec", "region"}, "t_r": {"true_r"},
        "parent": {"parent_id"},
    }  # fmt: skip
    assert spec.borrowed == {"weight", *expected[missing[0]]}
    assert not {"ra", "dec"} & set(spec.elements) or missing[0] in ("t_r", "parent")


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("id", "the id of an injection"),
        ("parent", "the parent"),
        ("ra", "the position"),
        ("dec", "the position"),
        ("t_r", r"true_r \(mag\)"),
        ("m_i", r"meas_i \(mag\)"),
    ],
)
def test_missing_column_is_named(tmp_path, column, text):
    preset = make_preset(tmp_path)
    with pytest.raises(BalrogError, match=f"{text} needs the column {column}, which is missing"):
        table_spec("matched", catalog(column), preset, None, None)


def test_measured_columns_are_never_borrowed(tmp_path):
    preset = make_preset(tmp_path)
    detection = table_spec("detection", catalog(), preset, None, None)
    with pytest.raises(BalrogError, match="needs the column m_r"):
        table_spec("matched", catalog("m_r"), preset, None, detection)


def test_redraws_detection_catalogue_may_lack_what_the_redraw_has(tmp_path):
    preset = make_preset(tmp_path, cuts=[CUT])
    lacking = catalog("ra", "dec", "parent", "t_r", "t_i", "m_r", "m_i", "found")
    partner = table_spec("oracle-detection", lacking, preset, None, None)
    assert elements(partner) == {"row_id": "id", "cut 0 value": "flag"}
    assert table_spec("oracle", catalog(), preset, None, partner).borrowed == frozenset()
    with pytest.raises(BalrogError, match="the position needs the column ra"):
        table_spec("oracle", catalog("ra"), preset, None, partner)


def test_parents_need_not_be_known(tmp_path):
    preset = make_preset(tmp_path, parent=None)
    spec = table_spec("matched", catalog("parent"), preset, None, None)
    assert "parent_id" not in spec.elements
    assert spec.borrowed == frozenset()


def test_detection_catalogue_needs_what_is_detected(tmp_path):
    with pytest.raises(BalrogError, match="needs the column found"):
        table_spec("detection", catalog("found"), make_preset(tmp_path), None, None)
    preset = make_preset(tmp_path, detected=None)
    with pytest.raises(BalrogError, match="needs `detected` in the preset"):
        table_spec("detection", catalog(), preset, None, None)


def test_deep_table(tmp_path):
    preset = make_preset(tmp_path, deep={"id": "deep_id"}, truth=EXTINCTION)
    columns = make_injections(20)
    table = MemoryCatalog({"deep_id": columns["parent"], "t_r": columns["t_r"],
                           "a_r": columns["t_r"], "m_r": columns["m_r"]})  # fmt: skip
    deep = deep_spec(table, preset)
    assert (deep.columns, deep.reddened) == (("true_r",), frozenset({"true_r"}))
    spec = table_spec("matched", catalog("t_r"), preset, deep, None)
    assert (spec.columns, spec.deep_columns) == (("true_i", "meas_r", "meas_i"), ("true_r",))
    assert spec.values == (*spec.columns, "true_r")
    assert spec.reddened == {"true_r"}
    # What the catalogue itself has is not taken from the parents.
    assert table_spec("matched", catalog(), preset, deep, None).deep_columns == ()


def test_deep_table_that_the_preset_does_not_know(tmp_path):
    with pytest.raises(BalrogError, match="preset small says nothing of a deep-field table"):
        deep_spec(catalog(), make_preset(tmp_path))
    preset = make_preset(tmp_path, deep={"id": "deep_id"})
    with pytest.raises(BalrogError, match="the id of a deep-field galaxy needs the column deep_id"):
        deep_spec(catalog(), preset)


def test_extinction_from_the_catalogue_that_has_it(tmp_path):
    preset = make_preset(tmp_path, truth=EXTINCTION)
    columns = make_injections(20)
    detection = table_spec(
        "detection", catalog(a_r=columns["t_r"], a_i=columns["t_i"]), preset, None, None
    )
    assert detection.reddened == {"true_r", "true_i"}
    borrowing = table_spec("matched", catalog("t_r"), preset, None, detection)
    assert borrowing.reddened == {"true_r"}
    assert elements(detection)["true_i extinction"] == "a_i"


@pytest.mark.parametrize("role", ["matched", "oracle", "detection"])
def test_weights_that_the_preset_names_must_be_there(tmp_path, role):
    preset = make_preset(tmp_path, weight=["wieght", "w"])
    spec = table_spec(role, catalog(), preset, None, None)
    with pytest.raises(BalrogError, match=r"weight.* needs the column wieght or w.*mean weight"):
        require_weight(spec, preset)
    require_weight(spec, make_preset(tmp_path))
    preset = make_preset(tmp_path, weight=["nothing", "weight"])
    detection = table_spec("detection", catalog(), preset, None, None)
    for lacking, partner in ((catalog(), None), (catalog("weight"), detection)):
        require_weight(table_spec("matched", lacking, preset, None, partner), preset)


def test_neighbours_need_positions(tmp_path):
    preset = make_preset(tmp_path)
    assert elements(neighbor_spec(catalog(), preset)) == {"ra": "ra", "dec": "dec"}
    with pytest.raises(BalrogError, match="the position of a neighbour needs the column dec"):
        neighbor_spec(catalog("dec"), preset)
