from dataclasses import replace

import numpy as np
import pytest
from toy import toy_conditions, toy_schema

from balrog_keras.lensing import lensed, magnified_columns
from data_prep.errors import BalrogError
from data_prep.photometry import asinh_mag_to_flux
from data_prep.schema import Column, Schema


def one_truth(unit, **more):
    columns = (Column("t", unit, "truth", **more), Column("m", "mag", "measured"))
    return Schema("one", ("i",), columns)


@pytest.mark.parametrize(
    ("unit", "more", "expected"),
    [
        ("mag", {}, 20 - 2.5 * np.log10(1.1)),
        ("flux", {"zero_point": 30.0}, 22.0),
        ("nJy", {}, 22.0),
        ("arcsec", {}, 20 * 1.1**0.5),
        ("arcsec2", {}, 22.0),
        ("1", {}, 20.0),
    ],
)
def test_fluxes_grow_by_mu_and_radii_by_its_root(unit, more, expected):
    schema = one_truth(unit, **more)
    if unit == "1":
        with pytest.raises(BalrogError, match=r"t \(1\)"):
            magnified_columns(schema)
        schema = replace(schema, columns=(Column("b", "mag", "truth"), *schema.columns))
        found = lensed(np.array([[19.0, 20.0]], "float32"), schema, 0.05)[0, 1]
    else:
        found = lensed(np.array([[20.0]], "float32"), schema, 0.05)[0, 0]
    assert found == pytest.approx(expected, rel=1e-6)


def test_asinh_magnitudes_of_any_flux():
    schema = one_truth("asinh mag", zero_point=30.0, softening=50.0)
    values = np.array([[20.0], [26.0], [28.0]], "float32")
    before, after = (asinh_mag_to_flux(each[:, 0], 30.0, 50.0)
                     for each in (values, lensed(values, schema, 0.05)))  # fmt: skip
    np.testing.assert_allclose(after, 1.1 * before, rtol=2e-5, atol=1e-3)
    with pytest.raises(BalrogError, match="softening"):
        lensed(values, one_truth("asinh mag", zero_point=30.0), 0.05)


def test_nothing_else_is_changed_and_zero_changes_nothing():
    schema, condition = toy_schema(), toy_conditions(50, 1)
    np.testing.assert_array_equal(lensed(condition, schema, 0.0), condition)
    found = lensed(condition, schema, 0.02)
    np.testing.assert_array_equal(found[:, 3:], condition[:, 3:])
    assert (found[:, :3] < condition[:, :3]).all()
    assert magnified_columns(schema) == (["true_mag_r", "true_mag_i", "true_mag_z"], [])
