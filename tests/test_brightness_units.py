import numpy as np
import pytest
from mixed_world import mixed_schema
from toy import toy_schema

from balrog_keras.brightness_units import in_units, unit_columns
from data_prep.errors import BalrogError
from data_prep.photometry import convert
from data_prep.schema import Column, Schema


def _schema(unit, **more):
    truth = Column("true", "mag", "truth")
    return Schema("one", ("r",), (truth, Column("meas", unit, "measured", "true", **more)))


ASINH = {"zero_point": 30.0, "softening": 25.0}


@pytest.mark.parametrize(
    ("unit", "more", "wanted"),
    [
        ("asinh mag", ASINH, ("mag", "flux", "nJy")),
        ("flux", {"zero_point": 30.0}, ("mag", "nJy")),
        ("nJy", {}, ("mag", "flux")),
        ("mag", {}, ("nJy",)),
        ("mag", {"zero_point": 22.5}, ("flux", "nJy")),
    ],
)
def test_values_are_those_of_the_conversion(unit, more, wanted):
    schema = _schema(unit, **more)
    values = np.array([23.0, 24.5, 30.0, np.nan], "float32")
    found = in_units({"meas": values}, unit_columns(schema, wanted))
    assert set(found) == {"meas", *(f"meas_{name}" for name in wanted)}
    zero_point = more.get("zero_point", 31.4)
    for name in wanted:
        expected = convert(values, unit, name, zero_point=zero_point, to_zero_point=zero_point,
                           softening=more.get("softening"))  # fmt: skip
        np.testing.assert_allclose(found[f"meas_{name}"], expected, rtol=1e-12)


def test_other_columns_and_the_own_unit_are_left_alone():
    drawn = {name: np.ones(3, "float32") for name in mixed_schema().measured_names}
    found = in_units(drawn, unit_columns(mixed_schema(), ("nJy",)))
    new = set(found) - set(drawn)
    assert new == {"meas_r_nJy", "meas_i_nJy"}


def test_one_unit_must_be_a_sequence_too():
    with pytest.raises(BalrogError, match=r"such as \('nJy',\); found 'nJy'"):
        unit_columns(toy_schema(), "nJy")


def test_finite_wherever_the_draw_is():
    values = np.array([-3e38, -2000, 2000, 3e38], "float32")
    found = in_units({"meas": values}, unit_columns(_schema("asinh mag", **ASINH), ("flux", "mag")))
    assert np.isfinite(found["meas_flux"]).all()
    assert np.isnan(found["meas_mag"]).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("schema", "unit", "message"),
    [
        (toy_schema(), "Jy", "units of brightness are mag, flux"),
        (toy_schema(), "asinh mag", "meas_mag_r cannot be given as asinh mag"),
        (toy_schema(), "flux", "no zero point; nJy needs none"),
        (_schema("arcsec"), "mag", r"measures meas \(arcsec\)"),
    ],
)
def test_what_cannot_be_given_is_named(schema, unit, message):
    with pytest.raises(BalrogError, match=message):
        unit_columns(schema, (unit,))
