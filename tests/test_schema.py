import json
from pathlib import Path

import pytest

from data_prep.errors import BalrogError
from data_prep.schema import Column, Schema

TRUTH = Column("true_mag_r", "mag", "truth", minimum=10.0, maximum=35.0)
SURVEY = Column("fwhm_r", "arcsec", "survey")
MEASURED = Column("meas_mag_r", "mag", "measured", reference="true_mag_r")
SCHEMA = Schema("mine", ("r",), (MEASURED, SURVEY, TRUTH))


def test_groups_and_condition_order():
    assert SCHEMA.truth == (TRUTH,)
    assert SCHEMA.survey == (SURVEY,)
    assert SCHEMA.measured == (MEASURED,)
    assert SCHEMA.condition_names == ("true_mag_r", "fwhm_r")
    assert SCHEMA.measured_names == ("meas_mag_r",)


def test_round_trip_through_json():
    assert Schema.from_dict(json.loads(json.dumps(SCHEMA.to_dict()))) == SCHEMA


def test_fingerprint_is_of_the_columns_in_array_order():
    same = Schema("other", ("r",), (TRUTH, SURVEY, MEASURED))
    assert same.fingerprint == SCHEMA.fingerprint
    assert len(SCHEMA.fingerprint) == 64
    changed = Column("fwhm_r", "pixel", "survey")
    assert Schema("mine", ("r",), (TRUTH, changed, MEASURED)).fingerprint != same.fingerprint


def test_require_same_names_the_first_difference():
    SCHEMA.require_same(Schema("other", (), (TRUTH, SURVEY, MEASURED)), "shards")
    other = Schema("other", ("r",), (TRUTH, Column("sky_r", "count", "survey"), MEASURED))
    with pytest.raises(BalrogError, match=r"shards: .* schema mine.*'fwhm_r'.*'sky_r'"):
        SCHEMA.require_same(other, "shards")
    fainter = Column(TRUTH.name, "nJy", "truth", zero_point=31.4)
    expected = "first that differs is 'true_mag_r', of which the unit should be 'mag', found 'nJy'"
    with pytest.raises(BalrogError, match=expected):
        SCHEMA.require_same(Schema("other", ("r",), (fainter, SURVEY, MEASURED)), "shards")
    longer = Schema("l", (), (TRUTH, SURVEY, MEASURED, Column("meas_mag_i", "mag", "measured")))
    with pytest.raises(BalrogError, match="3 columns .* found 4 ending with meas_mag_i"):
        SCHEMA.require_same(longer, "shards")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((TRUTH, TRUTH, MEASURED), "repeat: true_mag_r"),
        ((TRUTH, SURVEY), "truth and a measured"),
        ((TRUTH, Column("m", "mag", "measured", reference="fwhm_r")), "'fwhm_r'"),
    ],
)
def test_impossible_schemas(columns, message):
    with pytest.raises(BalrogError, match=message):
        Schema("bad", ("r",), columns)


def test_impossible_columns():
    with pytest.raises(BalrogError, match="group must be one of truth, survey, measured"):
        Column("x", "mag", "label")
    with pytest.raises(BalrogError, match="minimum 3"):
        Column("x", "mag", "truth", minimum=3, maximum=3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit": "count", "transform": "sqrt"}, "identity, log10, log1p, asinh, found 'sqrt'"),
        ({"unit": "count", "transform": "log10"}, "log10 needs a minimum above 0, found None"),
        ({"unit": "count", "transform": "log10", "minimum": 0}, "minimum above 0, found 0"),
        ({"unit": "count", "transform": "log1p", "minimum": -1}, "minimum above -1, found -1"),
        ({"unit": "asinh mag"}, "asinh mag needs a zero_point"),
        ({"unit": "nJy", "zero_point": 30.0}, "zero_point of nJy is 31.4, found 30.0"),
        ({"unit": "mag", "softening": 2.0}, "found 2.0 and the unit mag"),
        ({"unit": "asinh mag", "zero_point": 30.0, "softening": 0.0}, "above 0 .* found 0.0"),
    ],
)
def test_impossible_transforms_and_photometry(fields, message):
    with pytest.raises(BalrogError, match=f"column x: .*{message}"):
        Column("x", group="measured", **fields)


def test_new_fields_are_written_only_where_they_say_something():
    plain = {"name", "unit", "group", "reference", "minimum", "maximum"}
    assert set(TRUTH.to_dict()) == plain
    airmass = Column("airmass", "", "survey", minimum=1.0, transform="log10")
    asinh = Column("m", "asinh mag", "measured", zero_point=30.0, softening=41.5)
    assert set(airmass.to_dict()) == plain | {"transform"}
    assert set(asinh.to_dict()) == plain | {"zero_point", "softening"}
    schema = Schema("mine", (), (TRUTH, airmass, asinh))
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    softer = Column("m", "asinh mag", "measured", zero_point=30.0, softening=41.6)
    assert Schema("mine", (), (TRUTH, airmass, softer)).fingerprint != schema.fingerprint


def test_fingerprint_of_the_committed_emulator_is_still_its_own():
    path = Path(__file__).parents[1] / "saved_models" / "mini-balrog" / "emulator.json"
    content = json.loads(path.read_text())
    assert Schema.from_dict(content["schema"]).fingerprint == content["fingerprint"]
    assert Schema.from_dict(content["schema"]).to_dict() == content["schema"]


@pytest.mark.parametrize("content", [{}, {"name": "x", "bands": [], "columns": [{"nme": 1}]}])
def test_malformed_dictionary(content):
    with pytest.raises(BalrogError, match="a schema needs"):
        Schema.from_dict(content)
