"""True redshifts reach the report, whether they are a condition or in a catalogue alone."""

import json
from functools import partial

import light
import numpy as np
import pandas as pd
import pytest
from small_survey import BASE, make_injections, write_columns, write_map, write_preset

from balrog_keras.emulator import Emulator
from balrog_keras.evaluate_command import main
from balrog_keras.evaluation import evaluate
from balrog_keras.numpy_noise import keyed_normals
from balrog_keras.science_statistics import evaluate_science
from balrog_keras.true_redshift import RedshiftSource
from data_prep.errors import BalrogError
from data_prep.manifest import Manifest
from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings

REDSHIFT = {"name": "true_redshift", "group": "truth", "unit": "1", "source": ["z_true"],
            "minimum": -0.1, "maximum": 10}  # fmt: skip


class Shifted:
    """Draws that are 0.3 mag too bright."""

    label, members, has_detection = "shifted", 1, False

    def __init__(self, schema):
        self.schema, self.info = schema, {"name": "shifted"}

    def location_scale(self, condition):
        return condition[:, :2] - 0.3, np.full((len(condition), 2), 0.1)

    def draw(self, condition, row_id, seed):
        noise = keyed_normals(seed, row_id, 2)
        return (condition[:, :2] - 0.3 + 0.1 * noise).astype("float32")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """A catalogue of injections whose redshift follows the r magnitude; some are not known."""
    directory = tmp_path_factory.mktemp("survey")
    columns = make_injections(2_000)
    columns["z_true"] = (0.2 * (columns["t_r"] - 18)).astype(np.float32)
    write_map(directory / "maps")
    return write_columns(directory / "injections.fits", columns)


def evaluated(catalog, out, columns, *options):
    """Prepare with more columns, evaluate; metrics and page."""
    preset = write_preset(out, join="none", columns=[*BASE["columns"], *columns])
    prepare(PrepareSettings(
        preset=preset, catalog=catalog, maps=catalog.parent / "maps", out=out / "shards",
        test_fraction=0.4, shards=1,
    ))  # fmt: skip
    schema = Manifest.load(out / "shards").schema
    (out / "emulator.json").write_text("{}")
    words = [str(out), "--data", str(out / "shards"), "--out", str(out / "evaluation")]
    words += ["--draws", "20", "--cut", "meas_r < 22", "--quiet", *options]
    here = "balrog_keras.bundle_evaluation"
    quick = {"replicates": 20, "least_draws": 1}
    with (
        light.quick_classifiers(), light.unrendered_figures(), pytest.MonkeyPatch.context() as patch
    ):  # fmt: skip
        patch.setattr(Emulator, "load", lambda directory: Shifted(schema))
        patch.setattr(f"{here}.evaluate", partial(evaluate, **quick))
        few = partial(evaluate_science, simulations=20, replicates=20)
        patch.setattr(f"{here}.evaluate_science", few)
        assert main(words) == 0
    metrics = json.loads((out / "evaluation/metrics.json").read_text())
    return metrics, (out / "evaluation/report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("as_condition", [True, False])
def test_mean_redshift_of_what_is_selected(catalog, tmp_path, as_condition):
    """Limits of 22.3 in place of 22 move a mean redshift that rises by 0.2 per magnitude."""
    options = [] if as_condition else ["--redshift", str(catalog), "z_true", "id"]
    metrics, page = evaluated(catalog, tmp_path, [REDSHIFT] if as_condition else [], *options)
    shift = metrics["science"]["redshift_shift"]["meas_r < 22"]
    assert shift["value"] == pytest.approx(0.5 * 0.3 * 0.2, abs=0.01)
    assert shift["interval"][0] < shift["value"] < shift["interval"][1]
    assert abs(shift["null"]) < 0.01
    assert shift["real"] == pytest.approx(0.5, abs=0.05)
    assert "Mean true redshift of what is selected" in page
    settings = metrics["provenance"]["settings"]
    assert ("redshift" in settings) == (not as_condition)
    assert settings.get("redshift", "z_true id injection").endswith("z_true id injection")


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    ids = 10**15 + rng.permutation(1_000)
    found = pd.DataFrame({"id": ids, "galaxy": ids % 7, "z": 1e-3 * (ids - 10**15)})
    found.loc[found["id"] == 10**15 + 5, "z"] = -99.0
    found.loc[found["id"] == 10**15 + 6, "z"] = np.nan
    found.to_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def test_by_injection_sentinels_and_strangers_are_not_known(table, monkeypatch):
    monkeypatch.setattr("balrog_keras.true_redshift._BATCH_ROWS", 128)
    rows = {"row_id": 10**15 + np.array([999, 5, 3, 6, 0, 3_000, -1])}
    found = RedshiftSource(table, "z", "id").read(rows)
    np.testing.assert_allclose(found, [0.999, np.nan, 0.003, np.nan, 0, np.nan, np.nan])


def test_by_parent_one_redshift_serves_many_rows(tmp_path):
    pd.DataFrame({"galaxy": [3, 1, 2], "z": [0.3, 0.1, 0.2]}).to_csv(tmp_path / "t.csv")
    rows = {"row_id": np.arange(4), "parent_id": np.array([1, 3, 3, 9])}
    found = RedshiftSource(tmp_path / "t.csv", "z", "galaxy", "parent").read(rows)
    np.testing.assert_allclose(found, [0.1, 0.3, 0.3, np.nan])


def test_what_is_missing_is_named(table):
    rows = {"row_id": np.arange(5)}
    with pytest.raises(BalrogError, match="the true redshift needs the column redshift"):
        RedshiftSource(table, "redshift", "id").read(rows)
    with pytest.raises(BalrogError, match="z of test rows by the injection ids .* none of 5"):
        RedshiftSource(table, "z", "id").read(rows)
    with pytest.raises(BalrogError, match="injection or parent, found 'galaxy'"):
        RedshiftSource(table, "z", "id", "galaxy")
