import fitsio
import numpy as np
import pyarrow.parquet as pq
import pytest

from balrog_keras.table_writer import table_writer

BATCH = {
    "row_id": np.arange(3),
    "mag": np.array([20.0, np.nan, 22.0], "float32"),
    "vector": np.arange(6, dtype=">f4").reshape(3, 2),
}


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_batches_are_appended(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with table_writer(path, {"mag": "mag"}, {"label": "x"}) as writer:
        writer.write(BATCH)
        writer.write(BATCH)
    if suffix == ".fits":
        table = fitsio.read(path)
        assert fitsio.read_header(path, 1)["TUNIT2"] == "mag"
        assert fitsio.read_header(path, 1)["LABEL"] == "x"
        np.testing.assert_array_equal(table["vector"][3:], BATCH["vector"])
        np.testing.assert_array_equal(np.isnan(table["mag"]), [0, 1, 0, 0, 1, 0])
    else:
        table = pq.read_table(path)
        assert table["mag"].null_count == 2
        np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()[3:]), BATCH["vector"])
        assert table.schema.field("mag").metadata[b"unit"] == b"mag"
    assert len(table) == 6


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_failure_leaves_nothing(tmp_path, suffix):
    with pytest.raises(OSError, match="full"):
        _fill_the_disk(tmp_path / f"o{suffix}")
    assert not list(tmp_path.iterdir())


def _fill_the_disk(path):
    with table_writer(path, {}, {}) as writer:
        writer.write(BATCH)
        raise OSError("disk full")
