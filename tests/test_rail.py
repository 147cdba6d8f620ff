import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from balrog_keras.emulator import Emulator
from data_prep.errors import BalrogError, MissingExtraError

pytest.importorskip("rail.core", reason="RAIL is not installed: pip install -e '.[rail]'")
stages = pytest.importorskip("balrog_keras.rail")

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "saved_models" / "mini-balrog"
BANDS = ("r", "i", "z")
NAMES = {f"true_mag_{band}": f"mag_{band}" for band in BANDS}
COMMON = {"emulator": str(BUNDLE), "columns": NAMES, "row_id_col": "id", "output_mode": "return"}


@pytest.fixture(scope="module")
def emulator():
    return Emulator.load(BUNDLE)


@pytest.fixture(scope="module")
def sample():
    """Galaxies of i = 20 to 24.5 in RAIL's style, with one that has no r."""
    rng, rows = np.random.default_rng(0), 600
    i = rng.uniform(20, 24.5, rows)
    table = pd.DataFrame({"mag_r": i + 0.4, "mag_i": i, "mag_z": i - 0.3})
    table.loc[7, "mag_r"] = np.nan
    fwhm = dict(zip(BANDS, (0.98, 0.92, 0.88), strict=True))
    sky = dict(zip(BANDS, (3.6, 6.8, 12.3), strict=True))
    table = table.assign(
        redshift=rng.random(rows), id=rng.permutation(rows) + 10**10,
        **{f"fwhm_{band}": fwhm[band] for band in BANDS},
        **{f"sky_noise_{band}": sky[band] for band in BANDS},
    )  # fmt: skip
    table.index = np.arange(rows) * 3 + 50
    return table


def direct(emulator, sample, **more):
    """What the emulator gives without RAIL."""
    table = sample.rename(columns={new: old for old, new in NAMES.items()})
    return emulator.emulate(table, 5, row_id=sample.id.to_numpy(), **more)


def test_noisifier_adds_what_the_emulator_draws(emulator, sample):
    stage = stages.BalrogNoisifier.make_stage(name="measure", seed=5, **COMMON)
    output = stage(sample)()
    pd.testing.assert_frame_equal(output[sample.columns], sample)
    drawn = direct(emulator, sample)
    pd.testing.assert_frame_equal(output[list(drawn)], drawn)
    assert output.meas_mag_r.isna().sum() == 1
    shuffled = sample.sample(frac=1, random_state=1).iloc[:100]
    again = stages.BalrogNoisifier.make_stage(name="again", seed=5, **COMMON)(shuffled)()
    pd.testing.assert_frame_equal(again, output.loc[shuffled.index])
    other = stages.BalrogNoisifier.make_stage(name="other", seed=6, **COMMON)(sample)()
    assert (other.meas_mag_i != output.meas_mag_i).mean() > 0.99


def test_noisifier_without_a_seed_draws_anew(sample):
    pair = [stages.BalrogNoisifier.make_stage(name=name, **COMMON) for name in ("one", "two")]
    first, second = (stage(sample)() for stage in pair)
    assert (first.meas_mag_i != second.meas_mag_i).mean() > 0.99


def test_noisifier_may_overwrite_and_mark_what_is_not_detected(emulator, sample):
    outputs = {f"meas_mag_{band}": f"mag_{band}" for band in BANDS}
    stage = stages.BalrogNoisifier.make_stage(
        name="marked", seed=5, detected=True, in_domain=True, nondetect_val=99.0,
        output_columns=outputs, **COMMON,
    )  # fmt: skip
    output, drawn = stage(sample)(), direct(emulator, sample, detected=True, in_domain=True)
    assert list(output) == [*sample.columns, "p_detect", "detected", "in_domain"]
    lost = ~drawn.detected
    assert (output.mag_i[lost] == 99.0).all()
    np.testing.assert_array_equal(output.mag_i[~lost], drawn.meas_mag_i[~lost])
    assert np.isnan(output.p_detect[sample.index[7]])


def test_selector_keeps_those_that_are_detected(emulator, sample):
    detected = direct(emulator, sample, detected=True).detected
    kept = stages.BalrogSelector.make_stage(name="select", seed=5, **COMMON)(sample)()
    pd.testing.assert_frame_equal(kept, sample[detected])
    flagged = stages.BalrogSelector.make_stage(name="flag", seed=5, drop_rows=False, **COMMON)(
        sample
    )()
    np.testing.assert_array_equal(flagged.flag, detected.astype(int))
    assert detected[sample.mag_i.between(20, 22)].mean() > 0.95
    assert detected[sample.mag_i > 24.3].mean() < 0.3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"columns": {"true_mag_q": "mag_r"}}, "conditions of the emulator.*found true_mag_q"),
        ({"columns": {**NAMES, "true_mag_r": "mag_g"}}, "must have the columns mag_g"),
        ({"columns": {}}, r"the columns true_mag_r \(did you mean mag_r\?\), true_mag_i"),
        ({"columns": {**NAMES, "fwhm_R": "fwhm_r"}}, r"found fwhm_R \(did you mean fwhm_r\?\)"),
        ({"columns": {**NAMES, "fwhm_r": "FWHM"}, "maps": "maps"}, "must have the columns FWHM"),
        ({"row_id_col": "ID"}, r"must have the columns ID \(did you mean id\?\)"),
        ({"output_columns": {"meas_mag_g": "mag_g"}}, "columns that are drawn.*found meas_mag_g"),
        (
            {"output_columns": {"meas_mag_r": "meas_mag_i"}},
            "distinct names, found meas_mag_r -> meas_mag_i, meas_mag_i -> meas_mag_i",
        ),
        ({"output_columns": {"meas_mag_r": "x", "meas_mag_z": "x"}}, "meas_mag_r -> x, meas_mag_z"),
        ({"emulator": "nowhere"}, "no exported emulator"),
        ({"member": 3}, "member of mini-balrog must be from 0 to 0"),
    ],
)
def test_bad_configurations_say_what_is_wrong(sample, changed, message):
    stage = stages.BalrogNoisifier.make_stage(name="bad", **(COMMON | changed))
    with pytest.raises(BalrogError, match=message):
        stage(sample)


def test_nothing_is_overwritten_unasked(sample):
    stage = stages.BalrogNoisifier.make_stage(name="twice", **COMMON)
    with pytest.raises(BalrogError, match="has meas_mag_r already"):
        stage(sample.assign(meas_mag_r=0.0))
    with pytest.raises(BalrogError, match="pandas data frame"):
        stages.BalrogSelector.make_stage(name="dict", **COMMON)({"mag_r": np.ones(3)})
    with pytest.raises(BalrogError, match="distinct names, found mag_r more than once"):
        stage(pd.concat([sample, sample[["mag_r"]]], axis=1))


def test_without_rail_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ceci.config", None)
    monkeypatch.delitem(sys.modules, "balrog_keras.rail")
    with pytest.raises(MissingExtraError, match=r"balrog-keras\[rail\]"):
        importlib.import_module("balrog_keras.rail")


@pytest.mark.slow
def test_example_runs_its_saved_pipeline_to_redshifts(tmp_path):
    spec = importlib.util.spec_from_file_location("photoz", ROOT / "examples" / "rail_photoz.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    options = [str(BUNDLE), "--out", str(tmp_path), "--rows", "2000", "--in-process"]
    numbers = example.main(options)
    assert (tmp_path / "photoz.png").read_bytes().startswith(b"\x89PNG")
    pipeline = (tmp_path / "pipeline.yml").read_text()
    assert "balrog_keras.rail" in pipeline
    assert 0.2 < numbers["detected"] < 0.5
    # Photometric errors cost precision; redshifts are still far better than a guess.
    assert 1.5 * numbers["scatter"]["true"] < numbers["scatter"]["measured"] < 0.25
    assert numbers["outliers"]["true"] < numbers["outliers"]["measured"] < 0.6
    # The faint galaxies that are lost are the distant ones.
    assert numbers["mean_redshift"]["detected"] < numbers["mean_redshift"]["all"] - 0.05
