import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dask_workers import kill_own_worker, times_loaded, two_workers

from balrog_keras import distributed_cache
from balrog_keras.catalog_emulation import CatalogColumns, emulate_catalog
from balrog_keras.distributed import emulate_partitions
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.emulator import Emulator
from data_prep.errors import BalrogError

dd = pytest.importorskip("dask.dataframe")
BUNDLE = Path(__file__).parents[1] / "saved_models" / "mini-balrog"
ROWS = 3_000
WITH_ALL = {"seed": 3, "detected": True, "in_domain": True}


@pytest.fixture(scope="module")
def emulator():
    return Emulator.load(BUNDLE)


@pytest.fixture(scope="module")
def truth(emulator):
    """Rows inside the domain, one of them without an r magnitude."""
    domain, rng = emulator.info["domain"], np.random.default_rng(0)
    columns = {
        name: rng.uniform(
            *(domain[name]["quantiles"][level] for level in ("0.01", "0.99")), ROWS
        ).astype("float32")
        for name in emulator.schema.condition_names
    }
    columns["true_mag_r"][5] = np.nan
    return pd.DataFrame(
        {
            **columns, "object_id": rng.permutation(ROWS) + 10**12, "redshift": rng.random(ROWS),
            "ra": rng.uniform(0, 20, ROWS), "dec": rng.uniform(-5, 5, ROWS),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def expected(emulator, truth):
    """What one process draws, by object id."""
    drawn = emulator.emulate(truth, row_id=truth.object_id.to_numpy(), **WITH_ALL)
    return drawn.set_index(truth.object_id)


def require_same(computed, expected):
    """Demand the drawn columns of the same objects, to the bit."""
    found = pd.DataFrame(computed).set_index("row_id")[list(expected)]
    assert len(found) == len(expected)
    pd.testing.assert_frame_equal(found.loc[expected.index], expected, check_names=False)


@pytest.fixture(params=["threads", "synchronous"])
def scheduler(request):
    dask = pytest.importorskip("dask")
    with dask.config.set(scheduler=request.param):
        yield


@pytest.mark.parametrize("partitions", [1, 2, 7])
@pytest.mark.parametrize("shuffled", [False, True])
def test_same_bits_in_any_partitions_and_order(truth, expected, partitions, shuffled):
    rows = truth.sample(frac=1, random_state=partitions) if shuffled else truth
    lazy = dd.from_pandas(rows, npartitions=partitions, sort=False)
    drawn = emulate_partitions(lazy, BUNDLE, row_id="object_id", keep=["redshift"], **WITH_ALL)
    assert drawn.npartitions == partitions
    computed = drawn.compute()
    require_same(computed, expected)
    pd.testing.assert_frame_equal(drawn._meta, computed.iloc[:0])
    pd.testing.assert_index_equal(computed.index, rows.index)
    np.testing.assert_array_equal(computed.redshift, rows.redshift)


def test_row_numbers_are_those_of_the_whole_table(emulator, truth, scheduler):
    drawn = emulate_partitions(dd.from_pandas(truth, npartitions=7), BUNDLE, seed=3)
    names, whole = list(emulator.schema.measured_names), emulator.emulate(truth, seed=3)
    computed = drawn.compute()
    np.testing.assert_array_equal(computed.row_id, np.arange(ROWS))
    pd.testing.assert_frame_equal(computed[names], whole)
    # Partitions that are picked afterwards keep the numbers of their rows.
    few = drawn.partitions[4:6].compute()
    pd.testing.assert_frame_equal(few, computed.loc[few.index])


def test_files_with_many_other_columns(emulator, truth, tmp_path):
    """Dask merges the partitions of such files: the rows keep their numbers in every use."""
    others = pd.DataFrame(0.0, index=truth.index, columns=[f"other_{n}" for n in range(60)])
    wide = pd.concat([truth, others], axis=1)
    for number in range(8):
        wide.iloc[number * 300 : number * 310 + 300].to_parquet(tmp_path / f"{number}.parquet")
    lazy = dd.read_parquet(tmp_path)
    whole = pd.read_parquet(tmp_path)
    drawn = emulate_partitions(lazy, BUNDLE, seed=3)
    assert 1 < drawn.npartitions < lazy.npartitions
    names, expected = list(emulator.schema.measured_names), emulator.emulate(whole, seed=3)
    computed = drawn.compute()
    for found in (computed, drawn.persist().compute()):
        np.testing.assert_array_equal(found.row_id, np.arange(len(whole)))
        np.testing.assert_array_equal(found[names], expected)
    sizes = drawn.map_partitions(len).compute().tolist()
    second = drawn.partitions[1:2].compute()
    np.testing.assert_array_equal(second.row_id, sizes[0] + np.arange(sizes[1]))


@pytest.mark.parametrize("options", [{}, {"row_id": "object_id"}])
def test_a_partition_is_read_and_drawn_in_one_task(truth, tmp_path, options):
    dd.from_pandas(truth, npartitions=3).to_parquet(tmp_path)
    drawn = emulate_partitions(dd.read_parquet(tmp_path), BUNDLE, **options)
    assert len(drawn.expr.__dask_graph__()) == drawn.npartitions > 1
    drawn.to_parquet(tmp_path / "out", write_index=False)
    assert len(pd.read_parquet(tmp_path / "out")) == ROWS


def test_empty_partitions_and_empty_catalogues(truth, expected):
    lazy = dd.from_pandas(truth, npartitions=7)
    lazy = dd.concat([lazy.partitions[:3], lazy[lazy.dec > 90], lazy.partitions[3:]])
    assert 0 in lazy.map_partitions(len).compute().tolist()
    for options in ({"row_id": "object_id"}, {}):
        drawn = emulate_partitions(lazy, BUNDLE, **options, **WITH_ALL).compute()
        assert len(drawn) == ROWS
    require_same(
        emulate_partitions(lazy, BUNDLE, row_id="object_id", **WITH_ALL).compute(), expected
    )
    nothing = emulate_partitions(lazy[lazy.dec > 90], BUNDLE, seed=3)
    pd.testing.assert_frame_equal(nothing.compute(), nothing._meta, check_index_type=False)


def test_parquet_to_parquet_as_the_command_writes_it(emulator, truth, tmp_path):
    truth.to_parquet(tmp_path / "truth.parquet")
    plan = DrawPlan(**WITH_ALL, realizations=2, units=("nJy",))
    columns = CatalogColumns(row_id=("object_id",), keep=("redshift",))
    emulate_catalog(emulator, tmp_path / "truth.parquet", tmp_path / "one.parquet", plan=plan,
                    columns=columns)  # fmt: skip
    lazy = dd.read_parquet(tmp_path / "truth.parquet").repartition(npartitions=2)
    drawn = emulate_partitions(lazy, BUNDLE, row_id="object_id", keep=["redshift"],
                               realizations=2, units=("nJy",), **WITH_ALL)  # fmt: skip
    drawn.to_parquet(tmp_path / "two", write_index=False)
    one, two = (pd.read_parquet(tmp_path / name) for name in ("one.parquet", "two"))
    pd.testing.assert_frame_equal(one, two)
    assert len(two) == 2 * ROWS


def test_survey_properties_from_maps(emulator, truth, tmp_path):
    healpy = pytest.importorskip("healpy")
    from data_prep.survey_maps import write_partial_map

    survey = [column.name for column in emulator.schema.survey]
    pixels = np.unique(healpy.ang2pix(64, truth.ra, truth.dec, nest=True, lonlat=True))[:-3]
    for number, name in enumerate(survey):
        source = emulator.info["map_patterns"][name]
        pattern = source[0] if isinstance(source, list) else next(iter(source["maps"].values()))[0]
        low, high = (emulator.info["domain"][name]["quantiles"][at] for at in ("0.16", "0.84"))
        values = np.random.default_rng(number).uniform(low, high, len(pixels))
        write_partial_map(tmp_path / f"{pattern}.fits", pixels, values, nside=64, unit="")
    table = truth.drop(columns=survey)
    whole = emulator.emulate(table, seed=3, maps=tmp_path)
    lazy = dd.from_pandas(table, npartitions=3)
    drawn = emulate_partitions(lazy, BUNDLE, seed=3, maps=tmp_path).compute()
    pd.testing.assert_frame_equal(drawn[list(whole)], whole)
    assert 1 < whole.meas_mag_i.isna().sum() < ROWS / 2
    with pytest.raises(BalrogError, match="the position needs the column RA"):
        emulate_partitions(lazy, BUNDLE, maps=tmp_path, position=("RA", "DEC"))


def test_names_and_vectors_as_the_command_takes_them(truth, expected):
    import pyarrow as pa

    mags = np.ascontiguousarray(truth[[f"true_mag_{band}" for band in "riz"]]).astype("float32")
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(mags.ravel(), from_pandas=True), 3)
    kind = pd.ArrowDtype(vectors.type)
    table = truth.drop(columns=[f"true_mag_{band}" for band in "riz"])
    table = table.assign(MAGS=pd.Series(vectors, dtype=kind, index=truth.index))
    names = {f"true_mag_{band}": (f"MAGS[{number}]",) for number, band in enumerate("riz")}
    columns = CatalogColumns(names, row_id=("COADD_ID", "object_id"))
    lazy = dd.from_pandas(table, npartitions=2)
    computed = emulate_partitions(lazy, BUNDLE, columns=columns, **WITH_ALL).compute()
    require_same(computed, expected)
    objects = dd.from_pandas(table.assign(MAGS=list(mags)), npartitions=2)
    with pytest.raises(BalrogError, match="MAGS must hold numbers; it holds .*; vectors must be"):
        emulate_partitions(objects, BUNDLE, columns=columns)


@pytest.fixture(scope="module")
def lsdb():
    return pytest.importorskip("lsdb")


@pytest.fixture
def sky(lsdb, truth):
    return lsdb.from_dataframe(
        truth, ra_column="ra", dec_column="dec", partition_rows=1_000, margin_threshold=None
    )


def test_lsdb_gives_a_catalogue_with_the_same_bits(lsdb, sky, truth, expected, tmp_path):
    drawn = emulate_partitions(sky, BUNDLE, row_id="object_id", keep=["redshift"], **WITH_ALL)
    assert isinstance(drawn, lsdb.catalog.Catalog)
    assert list(drawn.columns)[:4] == ["row_id", "ra", "dec", "redshift"]
    assert len(drawn.get_healpix_pixels()) == len(sky.get_healpix_pixels()) > 3
    computed = drawn.compute()
    require_same(computed, expected)
    drawn.write_catalog(tmp_path / "measured.hats", catalog_name="measured")
    back = lsdb.open_catalog(tmp_path / "measured.hats").compute()
    require_same(back.astype(dict(computed.dtypes)), expected)
    assert lsdb.open_catalog(tmp_path / "measured.hats").cone_search(5, 0, 3600).compute().size


def test_lsdb_row_numbers_are_in_its_own_order(emulator, sky):
    drawn = emulate_partitions(sky, BUNDLE, seed=3).compute()
    whole = emulator.emulate(pd.DataFrame(sky.compute()), seed=3)
    np.testing.assert_array_equal(drawn.row_id, np.arange(ROWS))
    np.testing.assert_array_equal(drawn[list(whole)], whole)


def test_lsdb_margins_have_the_draws_of_their_rows(lsdb, truth, expected, monkeypatch):
    alignment = pytest.importorskip("hats.pixel_tree.pixel_alignment")
    for name, function in list(vars(alignment).items()):
        # Compiling them takes longer than all else here.
        if hasattr(function, "py_func"):
            monkeypatch.setattr(alignment, name, function.py_func)
    few = truth.iloc[:200]
    sky = lsdb.from_dataframe(few, ra_column="ra", dec_column="dec", partition_rows=150,
                              margin_threshold=3_600)  # fmt: skip
    margin = emulate_partitions(sky, BUNDLE, row_id="object_id", **WITH_ALL).margin.compute()
    assert len(margin)
    unique = pd.DataFrame(margin).drop_duplicates("row_id")
    require_same(unique, expected.loc[unique.row_id])
    with pytest.raises(BalrogError, match="with a margin must have row_id=COLUMN"):
        emulate_partitions(sky, BUNDLE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"row_id": "id"}, "the row id needs the column id, which is missing"),
        ({"keep": ["size"]}, "must have the columns to keep, size"),
        ({"row_id": "id", "columns": CatalogColumns()}, "itself; found row_id='id' besides"),
        ({"member": 2}, "member of mini-balrog must be from 0 to 0"),
        ({"layout": "tall"}, "layout must be"),
        ({"units": ("asinh mag",)}, "asinh"),
        ({"maps": "nowhere", "drop": "fwhm_r"}, "must lie in a directory; .*nowhere is none"),
        ({"drop": "fwhm_r"}, "needs the column fwhm_r, which is missing"),
        ({"drop": "true_mag_i"}, "needs the column true_mag_i, which is missing"),
    ],
)
def test_bad_input_fails_before_anything_is_drawn(truth, options, message):
    table = truth.drop(columns=options.pop("drop", []))
    with pytest.raises(BalrogError, match=message):
        emulate_partitions(dd.from_pandas(table, npartitions=2), BUNDLE, **options)


def test_what_is_drawn_names_the_task(truth):
    lazy = dd.from_pandas(truth, npartitions=1)
    names = [
        emulate_partitions(lazy, BUNDLE, row_id="object_id", seed=seed)._name for seed in (1, 1, 2)
    ]
    assert names[0] == names[1] != names[2]


def test_rows_without_a_draw_are_counted(truth, caplog):
    emulate_partitions(dd.from_pandas(truth, npartitions=1), BUNDLE).compute()
    assert "1 of the 3,000 rows of a partition have no measured values" in caplog.text
    assert "no usable true_mag_r: 1" in caplog.text


def test_other_catalogues_and_clashing_names_are_refused(truth):
    with pytest.raises(BalrogError, match="Dask data frame or an LSDB catalogue.*found DataFrame"):
        emulate_partitions(truth, BUNDLE)
    lazy = dd.from_pandas(truth.assign(meas_mag_r=0.0), npartitions=1)
    with pytest.raises(BalrogError, match="other names than those of the output; found meas_mag_r"):
        emulate_partitions(lazy, BUNDLE, keep=["meas_mag_r"])
    assert "meas_mag_r" in emulate_partitions(lazy, BUNDLE, keep=["all"]).columns


def test_another_emulator_at_the_same_place_is_refused(truth, tmp_path):
    copy = shutil.copytree(BUNDLE, tmp_path / "copy")
    drawn = emulate_partitions(dd.from_pandas(truth, npartitions=1), copy)
    description = copy / "emulator.json"
    description.write_text(description.read_text().replace("realistic maps", "other maps"))
    distributed_cache._loaded.cache_clear()
    with pytest.raises(BalrogError, match="must be the same for all partitions"):
        drawn.compute()


@pytest.mark.slow
def test_killed_worker_leaves_the_same_bytes(truth, expected, tmp_path):
    distributed = pytest.importorskip("distributed")
    flag = tmp_path / "killed"
    lazy = dd.from_pandas(truth, npartitions=7)
    # The first partitions are drawn when the worker of the fifth dies with all that it had.
    fatal = lazy.partitions[4].map_partitions(kill_own_worker, flag, meta=lazy._meta)
    parts = [lazy.partitions[:4], fatal, lazy.partitions[5:]]
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        two_workers(cluster.scheduler_address, tmp_path) as workers,
    ):
        client.wait_for_workers(2, timeout=120)
        drawn = emulate_partitions(dd.concat(parts), BUNDLE, row_id="object_id", **WITH_ALL)
        require_same(drawn.compute(), expected)
        assert list(client.run(times_loaded).values()) == [1]
        assert sorted([worker.poll() for worker in workers], key=str) == [-signal.SIGKILL, None]
    assert flag.exists()
