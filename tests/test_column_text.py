import pytest
from mixed_world import mixed_schema

from balrog_keras.column_text import axis_label, residual_labels, unit_text, value_text

COLUMNS = {column.name: column for column in mixed_schema().columns}


@pytest.mark.parametrize(
    ("value", "text"),
    [(17.25, "17.250"), (0, "0.000"), (-0.5, "-0.500"), (2e-5, "2e-05"), (3.21e9, "3.21e+09")],
)
def test_values_keep_their_digits(value, text):
    assert value_text(value) == text
    assert float(value_text(value)) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("true_mag_r", "mag"),
        ("true_size", "arcsec (log10)"),
        ("meas_r", "asinh mag (b = 25, zero point 30)"),
        ("meas_snr", "sigma (asinh)"),
        ("meas_ellipticity", ""),
    ],
)
def test_units(name, text):
    assert unit_text(COLUMNS[name]) == text


def test_labels_say_what_is_on_the_axis():
    assert axis_label(COLUMNS["true_size"]) == "true size [arcsec]"
    assert axis_label(COLUMNS["meas_ellipticity"]) == "meas ellipticity"
    labels = residual_labels(mixed_schema())
    assert labels["meas_r"] == "residual of meas r [asinh mag]"
    assert labels["meas_size"] == "residual of meas size [dex]"
    assert labels["meas_flux"] == "meas flux [nJy]"
    assert labels["meas_snr"] == "asinh of meas snr [asinh sigma]"
    assert labels["meas_ellipticity"] == "meas ellipticity"
