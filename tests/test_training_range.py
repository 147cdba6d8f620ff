import logging

import numpy as np
import pandas as pd
import pytest
from fake_emulator import FakeEmulator, fake_world

from balrog_keras.catalog_emulation import emulate_catalog
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.table_emulation import emulate_table
from balrog_keras.training_range import TrainingRange


@pytest.fixture
def emulator():
    """One that has seen r magnitudes of 20 to 25 and any others."""
    found = FakeEmulator()
    found.info["domain"] = {"true_mag_r": {"min": 20.0, "max": 25.0}}
    return found


def test_both_ends_are_inside_and_nan_is_nowhere(emulator):
    usual = TrainingRange(emulator.info)
    condition = np.full((6, len(emulator.schema.condition_names)), 7e9, np.float32)
    condition[:, 0] = [19.99, 20.0, 25.0, 25.01, np.nan, 22.0]
    assert usual.outside(condition) == {"true_mag_r": 2}


@pytest.mark.parametrize(("rows", "said"), [(200, True), (201, False)])
def test_a_few_rows_are_not_worth_a_warning(emulator, caplog, rows, said):
    TrainingRange(emulator.info).log({"true_mag_r": 2}, rows)
    assert ("true_mag_r outside the training range, 20 to 25 mag" in caplog.text) == said


def test_wrong_units_are_noticed_in_catalogues_and_tables(emulator, tmp_path, caplog):
    """Magnitudes of another zero point are drawn, but not in silence."""
    world = fake_world(tmp_path, 300)
    table = world.table.assign(true_mag_r=world.table["true_mag_r"] + 10)
    table.to_parquet(world.path)
    done = emulate_catalog(emulator, world.path, tmp_path / "out.parquet", batch_rows=50)
    assert done.outside_range == {"true_mag_r": 300}
    assert "300 of 300 rows have a true_mag_r outside the training range" in caplog.text
    record = pd.read_json(tmp_path / "out.parquet.provenance.json", typ="series")
    assert record["outside_range"] == done.outside_range
    caplog.clear()
    emulate_table(emulator, table, DrawPlan())
    assert "300 of 300 rows have a true_mag_r outside" in caplog.text


def test_nothing_is_said_of_usual_rows(emulator, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    world = fake_world(tmp_path, 300)
    inside = world.table.assign(true_mag_r=22.5)
    emulate_table(emulator, inside, DrawPlan())
    assert "training range" not in caplog.text
