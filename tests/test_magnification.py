import numpy as np
import pandas as pd
import pytest
from analytic_emulator import AnalyticEmulator, power_law, probability
from toy import toy_schema

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.galaxy_groups import GalaxyGroups
from balrog_keras.magnification import Sample, magnification_responses
from balrog_keras.measured_cuts import read_cuts
from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError
from data_prep.preset import load_preset

NAMES = list(toy_schema().condition_names)


def write_truth(path, rows, slope, seed=0, noise=3.0, **more):
    survey = np.tile([1.0, 1.0, 1.0, noise, noise, noise], (rows, 1))
    values = np.concatenate([power_law(rows, seed, slope=slope), survey], axis=1)
    pd.DataFrame(values, columns=NAMES).assign(**more).to_parquet(path)
    return values


def samples(emulator, *limits):
    cuts = [read_cuts([f"meas_mag_i < {limit}"], emulator.schema) for limit in limits]
    return [Sample(f"i < {limit}", tuple(cut)) for limit, cut in zip(limits, cuts, strict=True)]


@pytest.mark.parametrize("slope", [0.2, 0.5])
def test_power_law_counts_with_a_sharp_cut(tmp_path, slope):
    """N(< m) ~ 10^(s m), so alpha = 2.5 s at limits where everything is detected."""
    write_truth(tmp_path / "t.parquet", 60_000, slope, noise=0.01)
    emulator = AnalyticEmulator()
    found = magnification_responses(
        emulator, tmp_path / "t.parquet", samples(emulator, 20.0, 20.8, 21.5), seed=2
    )
    for response in found:
        # The catalogue has a bright end, which changes nothing here: no galaxy leaves there.
        bright = 10 ** (slope * 18)
        limit = 10 ** (slope * (float(response.label.split()[-1]) - 0.1))
        alpha = 2.5 * slope * limit / (limit - bright)
        assert abs(response.alpha - alpha) < 3.5 * response.alpha_error
        assert response.alpha_error < 0.2 * alpha
        assert response.c_total == response.c_sample - 2
    assert found[-1].alpha_error < found[0].alpha_error


def test_response_of_the_detection_alone_is_its_derivative(tmp_path):
    values = write_truth(tmp_path / "t.parquet", 5_000, 0.4)
    emulator = AnalyticEmulator()
    (found,) = magnification_responses(
        emulator, tmp_path / "t.parquet", [Sample("detected")], delta_kappa=0.01
    )
    p = probability(values)
    derivative = (p * (1 - p)).sum() / 0.3 * 2.5 * 2 / np.log(10) / p.sum()
    assert found.c_sample == pytest.approx(derivative, rel=2e-3)
    assert found.selected == pytest.approx(p.sum(), rel=1e-5)


def test_errors_are_the_spread_of_realizations(tmp_path):
    emulator, found = AnalyticEmulator(), []
    for seed in range(24):
        path = tmp_path / f"{seed}.parquet"
        write_truth(path, 4_000, 0.4, seed)
        found += magnification_responses(emulator, path, samples(emulator, 22.0), seed=seed)
    spread = np.std([response.c_sample for response in found])
    assert 0.65 < spread / np.mean([response.c_sample_error for response in found]) < 1.5


def test_batches_make_no_difference(tmp_path):
    write_truth(tmp_path / "t.parquet", 3_000, 0.4)
    emulator = AnalyticEmulator()
    one, many = (
        magnification_responses(
            emulator, tmp_path / "t.parquet", samples(emulator, 22.0), batch_rows=rows
        )[0]
        for rows in (10_000, 271)
    )
    assert one.c_sample == pytest.approx(many.c_sample, rel=1e-12)
    assert one.c_sample_error == pytest.approx(many.c_sample_error, rel=1e-9)


def test_what_is_resampled(tmp_path):
    """Parents if the preset names them, regions if there are positions, else rows."""
    emulator, rows = AnalyticEmulator(), 2_000
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(10, 13, (2, rows))
    path = tmp_path / "t.parquet"
    write_truth(path, rows, 0.4, true_ra=ra, true_dec=dec, true_id=np.arange(rows) // 5)
    table = open_catalog(path)
    preset = load_preset("des-y3-sof")
    kinds = {
        "parent": CatalogColumns(preset=preset),
        "region": CatalogColumns(position=(("true_ra",), ("true_dec",))),
        "row": CatalogColumns(),
    }
    for kind, columns in kinds.items():
        assert GalaxyGroups.of(table, columns).kind == kind
    groups = GalaxyGroups.of(table, kinds["parent"])
    numbers = groups.numbers({"true_id": np.arange(rows) // 5}, None, np.arange(rows))
    assert (numbers.reshape(-1, 5) == numbers[::5, None]).all()
    counts = np.bincount(numbers[::5], minlength=256)
    assert counts.max() <= 4
    (found,) = magnification_responses(
        emulator, path, [Sample("detected")], columns=kinds["region"]
    )
    assert found.bootstrap == "regions of the sky (0.9 deg)"
    assert found.c_sample_error > 0


def test_bad_input(tmp_path, caplog):
    path, emulator = tmp_path / "t.parquet", AnalyticEmulator()
    magnitudes = np.append(np.full(97, 20.0), [np.nan] * 3)
    write_truth(path, 100, 0.4, true_mag_i=magnitudes)
    (found,) = magnification_responses(emulator, path, [Sample("detected")])
    assert found.selected < 97
    assert "3 of 100 rows: no usable true_mag_i" in caplog.text
    with pytest.raises(BalrogError, match="'i < 5.0' must have galaxies"):
        magnification_responses(emulator, path, samples(emulator, 5.0))
    with pytest.raises(BalrogError, match=r"in \(0, 0\.2\], found 0"):
        magnification_responses(emulator, path, [Sample("detected")], delta_kappa=0)
