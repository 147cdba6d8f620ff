import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_survey import make_injections, write_map, write_preset

from data_prep.catalogs import LsdbCatalog
from data_prep.errors import BalrogError
from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings

lsdb = pytest.importorskip("lsdb")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    rows = 1500
    return pd.DataFrame(
        {
            "ra": rng.uniform(0, 20, rows),
            "dec": rng.uniform(-5, 5, rows),
            "mag": rng.normal(22, 1, rows).astype(np.float32),
            "id": rng.permutation(rows) + 10**14,
            "name": [f"galaxy {row}" for row in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def lazy(frame):
    return lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", partition_rows=200)


@pytest.fixture(scope="module")
def catalog(lazy):
    return LsdbCatalog(lazy)


def test_rows_are_those_that_lsdb_computes(lazy, catalog, frame):
    computed = lazy.compute()
    assert catalog.rows == len(frame) == len(computed)
    assert catalog.widths["name"] == 0
    for batch_rows in (70, 10_000):
        batches = list(catalog.batches(["id", "mag"], batch_rows))
        assert max(len(batch["id"]) for batch in batches) <= batch_rows
        found = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        np.testing.assert_array_equal(found["id"], computed["id"].to_numpy())
        np.testing.assert_array_equal(found["mag"], computed["mag"].to_numpy())
        assert found["id"].dtype == np.int64


def test_pieces_cover_every_row_once_and_pickle(catalog):
    copy = pickle.loads(pickle.dumps(catalog))
    pieces = catalog.pieces(300)
    assert len(pieces) > 2
    assert [start for start, _ in pieces] == [0, *[stop for _, stop in pieces[:-1]]]
    assert pieces[-1][1] == catalog.rows
    whole = np.concatenate([batch["id"] for batch in catalog.batches(["id"], 10_000)])
    parts = [b["id"] for start, stop in pieces for b in copy.batches(["id"], 50, start, stop)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    middle = [batch["id"] for batch in catalog.batches(["id"], 1000, 123, 777)]
    np.testing.assert_array_equal(np.concatenate(middle), whole[123:777])


def test_other_objects_are_refused(frame):
    with pytest.raises(BalrogError, match="an LSDB catalogue is needed"):
        LsdbCatalog(frame)


def test_prepare_gives_the_bytes_of_the_file(tmp_path):
    columns = make_injections(900)
    preset = write_preset(tmp_path, join="none", weight="weight")
    write_map(tmp_path / "maps")
    frame = pd.DataFrame(columns)
    frame.to_parquet(tmp_path / "all.parquet")
    settings = PrepareSettings(
        catalog=tmp_path / "all.parquet",
        maps=tmp_path / "maps",
        out=tmp_path / "file",
        preset=preset,
    )
    lazy = lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", partition_rows=200)
    ours = LsdbCatalog(lazy, label="computed")
    first = prepare(settings)
    second = prepare(replace(settings, catalog=ours, out=tmp_path / "lsdb"))
    assert second.splits == first.splits
    assert second.label == "computed"
    assert second.provenance["sources"][0]["sha256"] is None
