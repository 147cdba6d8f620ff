from dataclasses import replace

import numpy as np
import pytest

from balrog_keras.measured_cuts import passes, preset_cuts, read_cuts
from data_prep.errors import BalrogError
from data_prep.photometry import flux_to_asinh_mag
from data_prep.preset import load_preset

SOF = load_preset("des-y3-sof").schema


def test_cuts_are_joined_and_unknown_values_fail():
    cuts = read_cuts(["meas_mag_i < 22", "meas_mag_r - meas_mag_i > 0.5"], SOF)
    measured = np.array([[22.0, 21.0, 20.0], [21.2, 21.0, 20.0], [24.0, 23.0, 20.0],
                         [np.nan, 21.0, 20.0]], "float32")  # fmt: skip
    np.testing.assert_array_equal(
        passes(cuts, SOF.measured_names, measured), [True, False, False, False]
    )
    assert passes([], SOF.measured_names, measured).all()
    negated = read_cuts(["~(meas_mag_r > 30)"], SOF)
    np.testing.assert_array_equal(
        passes(negated, SOF.measured_names, measured), [True, True, True, False]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("true_mag_i < 22", "may use the measured columns meas_mag_r.*found true_mag_i"),
        ("meas_mag_i - 22", "must be a comparison"),
        ("meas_mag_i <", "must be arithmetic"),
    ],
)
def test_what_is_no_cut(text, message):
    with pytest.raises(BalrogError, match=message):
        read_cuts([text], SOF)


def test_a_presets_cuts_on_fluxes_hold_for_drawn_asinh_magnitudes():
    """The lensing selection is written for fluxes; the emulator draws asinh magnitudes."""
    preset = load_preset("des-y3-metacal-lensing")
    columns = tuple(
        replace(column, softening=40.0) if column.unit == "asinh mag" else column
        for column in preset.schema.columns
    )
    schema = replace(preset.schema, columns=columns)
    cuts, others = preset_cuts(preset, schema)
    assert len(cuts) == 5
    assert "unsheared/snr > 10" in others
    rng = np.random.default_rng(0)
    i = rng.uniform(17, 24, 4_000)
    mags = np.stack([i + rng.uniform(-2, 5, 4_000), i, i - rng.uniform(-2, 5, 4_000)], axis=1)
    expected = (i > 18) & (i < 23.5) & (np.abs(mags[:, [0, 2]] - 20.5) < 5.5).all(axis=1)
    for colour, low, high in ((mags[:, 0] - i, -1.5, 4), (mags[:, 2] - i, -4, 1.5)):
        expected &= (colour > low) & (colour < high)
    measured = flux_to_asinh_mag(10 ** (0.4 * (30 - mags)), 30.0, 40.0)
    measured = np.concatenate([measured, np.zeros((4_000, len(schema.measured) - 3))], axis=1)
    names = [f"meas_mag_{b}" for b in "riz"]
    order = names + [name for name in schema.measured_names if name not in names]
    found = passes(cuts, order, measured)
    assert 0.1 < found.mean() < 0.9
    # Conversions round; nothing nearer to a cut than that may differ.
    assert np.count_nonzero(found != expected) == 0


def test_a_preset_without_such_cuts():
    cuts, others = preset_cuts(load_preset("des-y3-sof"), SOF)
    assert not cuts
    assert "flags_badregions < 2" in others
