import argparse

import pytest

from balrog_keras.truth_options import add_truth_options, selection_cuts, truth_columns
from data_prep.errors import BalrogError
from data_prep.preset import load_preset

LENSING = load_preset("des-y3-metacal-lensing")


def parsed(*extra):
    parser = argparse.ArgumentParser()
    add_truth_options(parser)
    return parser.parse_args(["bundle", "--catalog", "truth.parquet", *extra])


def test_names_in_the_catalogue():
    columns = truth_columns(parsed("--columns", "true_mag_r=MAGS[1]", "fwhm_r=F"))
    assert columns.conditions == {"true_mag_r": ("MAGS[1]",), "fwhm_r": ("F",)}
    assert columns.position == (("ra",), ("dec",))
    assert columns.row_id == ()
    assert truth_columns(parsed("--preset", "des-y3-sof")).preset.schema.name == "des-y3-sof"
    with pytest.raises(BalrogError, match="leave out --columns"):
        truth_columns(parsed("--preset", "des-y3-sof", "--columns", "a=b"))
    with pytest.raises(BalrogError, match="takes CONDITION=COLUMN, found a"):
        truth_columns(parsed("--columns", "a"))


def test_cuts_of_a_preset_are_added_and_the_others_named(caplog):
    caplog.set_level("INFO")
    options = parsed("--cut", "meas_mag_r < 24", "--cuts-of", "des-y3-metacal-lensing")
    cuts = selection_cuts(options, LENSING.schema)
    assert cuts[0].text == "meas_mag_r < 24"
    assert len(cuts) == 6
    assert "nothing is drawn for it: unsheared/snr > 10" in caplog.text
    with pytest.raises(BalrogError, match="flags_badregions < 2"):
        selection_cuts(parsed("--cuts-of", "des-y3-sof"), LENSING.schema)
