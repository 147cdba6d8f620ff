import numpy as np
import pytest

from balrog_keras.stated_units import conversion
from data_prep.errors import BalrogError


@pytest.mark.parametrize(
    ("stated", "wanted", "factor"),
    [("deg", "arcsec", 3600), ("rad", "deg", 180 / np.pi), ("hourangle", "deg", 15)],
)
def test_units_that_convert(stated, wanted, factor, caplog):
    convert = conversion(stated, wanted, "t.fits: column x")
    np.testing.assert_allclose(convert(np.float32([1, 2])), [factor, 2 * factor])
    np.testing.assert_allclose(convert(np.array([1, 2])), [factor, 2 * factor])
    assert str(convert) == f"{stated} -> {wanted}"
    assert not caplog.records


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [("", "mag"), ("mag", "mag"), ("MAG", "mag"), ("mag(AB)", "mag"), ("degree", "deg"),
     ("ct", "count"), ("asinh mag", "asinh mag")],
)  # fmt: skip
def test_units_that_are_the_same(stated, wanted, caplog):
    values = np.float32([1, 2])
    assert conversion(stated, wanted, "t.fits: column x")(values) is values
    assert not caplog.records


def test_flux_densities_become_ab_magnitudes():
    found = conversion("nJy", "mag", "t.fits: column x")(np.array([3631e9, 1000.0, 0.0]))
    np.testing.assert_allclose(found, [0.0, 23.9, np.inf], atol=2e-4)


@pytest.mark.parametrize(
    ("stated", "wanted"), [("mags", "mag"), ("counts", "count"), ("arcsecs", "arcsec"),
                           ("mag", "flux")],
)  # fmt: skip
def test_units_that_nobody_knows_are_taken_with_one_warning(stated, wanted, caplog):
    values = np.float32([1, 2])
    assert conversion(stated, wanted, "t.fits: column x")(values) is values
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith(f"t.fits: column x has the unit {stated}, which astropy cannot")
    assert message.endswith(f"its values are taken to be in {wanted}")


@pytest.mark.parametrize(("stated", "wanted"), [("arcsec", "mag"), ("mag", "deg")])
def test_units_that_do_not_convert_are_refused(stated, wanted):
    message = rf"t\.fits: column x must be in {wanted}, .*; found {stated}. Convert the column"
    with pytest.raises(BalrogError, match=message):
        conversion(stated, wanted, "t.fits: column x")
