import sys

import numpy as np
import pytest
from survey_files import make_catalog, matched_of, write_maps, write_table

from data_prep.errors import BalrogError, MissingExtraError
from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings
from data_prep.prepare_tables import look_up, read_tables


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    directory = tmp_path_factory.mktemp("survey")
    detection = make_catalog(500)
    write_maps(directory / "maps", nside=64)
    return PrepareSettings(
        catalog=write_table(directory / "m.parquet", matched_of(detection)),
        detection=write_table(directory / "d.parquet", detection),
        maps=directory / "maps",
        out=directory / "shards",
    )


def test_reading_and_looking_up_need_no_tensorflow(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    tables = read_tables(settings)
    look_up(tables, strict=False)
    assert set(tables.all) == {"matched", "detection"}
    for table in tables.all.values():
        assert np.isfinite(table.columns["sky_noise_z"]).all()
    with pytest.raises(MissingExtraError, match=r"balrog-keras\[cpu\]"):
        prepare(settings)


def test_settings_are_checked():
    for name in ("validation_rows", "shards", "batch_rows"):
        option = name.replace("_", "-")
        with pytest.raises(BalrogError, match=f"--{option} must be at least 1, found 0"):
            PrepareSettings(catalog="c", maps="m", out="o", **{name: 0})
