import healpy
import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.splits import (
    REGION_NSIDE,
    SPLITS,
    assign_splits,
    crossing_parents,
    keyed_hash,
    merge_parents,
    pack_regions,
    region_of,
    split_of_parents,
    unique_parents,
    unpack_regions,
    with_neighbors,
)


def test_region_is_healpys_nested_pixel():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 1000), rng.uniform(-90, 90, 1000)
    regions = region_of(ra, dec)
    assert regions.dtype == np.int64
    np.testing.assert_array_equal(regions, healpy.ang2pix(64, ra, dec, nest=True, lonlat=True))
    assert healpy.nside2resol(REGION_NSIDE, arcmin=True) / 60 == pytest.approx(0.92, abs=0.01)


def test_assignment_depends_on_the_set_of_regions_and_the_seed_alone():
    regions = np.arange(100, 160)
    once = assign_splits(regions)
    again = assign_splits(np.random.default_rng(1).permutation(np.repeat(regions, 3)))
    assert once == again
    assert once != assign_splits(regions, seed=1)


@pytest.mark.parametrize(("count", "test", "validation"), [(3, 1, 1), (10, 2, 1), (11, 3, 2)])
def test_counts_round_up(count, test, validation):
    names = list(assign_splits(range(count), validation_fraction=0.1, test_fraction=0.2).values())
    assert (names.count("test"), names.count("validation")) == (test, validation)
    assert names.count("train") == count - test - validation


def test_counts_are_not_spoiled_by_floating_point():
    names = list(assign_splits(range(100), validation_fraction=0.07, test_fraction=0.29).values())
    assert (names.count("validation"), names.count("test")) == (7, 29)


def test_assignment_is_frozen():
    # Shards made on different days must agree: these values must never change.
    expected = {10: "validation", 20: "test", 30: "train", 40: "train", 50: "train"}
    assert assign_splits([10, 20, 30, 40, 50]) == expected


@pytest.mark.parametrize("regions", [[], [1], [1, 2, 2]])
def test_too_few_regions(regions):
    with pytest.raises(BalrogError, match=rf"at least one region .* found {len(set(regions))}"):
        assign_splits(regions)


@pytest.mark.parametrize("fractions", [(0.0, 0.2), (0.1, 1.0), (0.5, 0.5), (0.6, 0.3)])
def test_bad_fractions(fractions):
    with pytest.raises(BalrogError, match="fraction"):
        assign_splits(range(5), 0, *fractions)


def test_hash_is_keyed_by_key_seed_and_stream_and_never_ties():
    keys = np.arange(-50_000, 50_000)
    base = keyed_hash(keys, 0, "shuffle")
    assert np.unique(base).size == keys.size
    np.testing.assert_array_equal(keyed_hash(keys[::-1], 0, "shuffle"), base[::-1])
    for other in (keyed_hash(keys, 1, "shuffle"), keyed_hash(keys, 0, "parent")):
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.02
    histogram = np.bincount((base >> np.uint64(58)).astype(int), minlength=64)
    # 64 bins of 1562.5 expected: chi-square of 63 degrees of freedom.
    assert 25 < np.sum((histogram - 1562.5) ** 2 / 1562.5) < 120


def test_hash_against_plain_integers():
    def mix(state):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return state ^ (state >> 31)

    # Published first outputs of splitmix64 from the state 1234567.
    assert mix(1234567) == 6457827717110365317
    start = mix((7 * 0x9E3779B97F4A7C15 + 1) % 2**64)
    keys = [0, 1, -1, 10**14, -(2**63)]
    expected = [mix(mix((key % 2**64 + start) % 2**64)) for key in keys]
    assert keyed_hash(keys, 7, "region").tolist() == expected


def test_parents_are_split_by_fraction_and_by_id_alone():
    parents = np.arange(20_000)
    splits = split_of_parents(parents, validation_fraction=0.1, test_fraction=0.2)
    shares = np.bincount(splits, minlength=3) / parents.size
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.012)
    np.testing.assert_array_equal(split_of_parents(parents[::7]), splits[::7])
    assert SPLITS == ("train", "validation", "test")


@pytest.mark.parametrize("pieces", [1, 4])
def test_parents_and_their_splits_against_sets(pieces):
    rng = np.random.default_rng(3)
    parents, splits = rng.integers(-5, 300, 900), rng.integers(0, 3, 900)
    expected: dict[int, set[int]] = {}
    for parent, split in zip(parents.tolist(), splits.tolist(), strict=True):
        expected.setdefault(parent, set()).add(split)
    merged = unique_parents([], [])
    for rows in np.array_split(np.arange(900), pieces):
        merged = merge_parents(merged, unique_parents(parents[rows], splits[rows]))
    assert merged[0].tolist() == sorted(expected)
    assert merged[1].tolist() == [sum(1 << k for k in expected[p]) for p in sorted(expected)]
    crossing = sum(len(of_parent) > 1 for of_parent in expected.values())
    assert 0 < crossing_parents(merged[1]) == crossing < len(expected)


def test_no_parents_cross_when_there_are_none():
    parents, found_in = merge_parents(unique_parents([], []), unique_parents([], []))
    assert (parents.size, found_in.size, crossing_parents(found_in)) == (0, 0, 0)


def test_neighbouring_regions_hold_every_position_nearby():
    regions = region_of([45.0, 359.99, 10.0], [41.8, -0.01, 89.9])
    found = with_neighbors(np.unique(regions))
    assert set(regions.tolist()) < set(found.tolist())
    assert (np.diff(found) > 0).all()
    for region in regions:
        corners = healpy.boundaries(64, int(region), step=20, nest=True)
        around = healpy.query_disc(64, healpy.pix2vec(64, int(region), nest=True), 0.001, nest=True)
        assert set(around.tolist()) <= set(found.tolist())
        # Just beyond each edge; 1.002 stretches the region about its centre.
        centre = np.array(healpy.pix2vec(64, int(region), nest=True))[:, None]
        beyond = centre + 1.002 * (corners - centre)
        assert set(healpy.vec2pix(64, *beyond, nest=True).tolist()) <= set(found.tolist())


def test_packed_regions_are_united():
    first, second = np.array([0, 5, 49151]), np.array([4, 5])
    found = unpack_regions([pack_regions(first), pack_regions(second), pack_regions(first[:0])])
    np.testing.assert_array_equal(found, [0, 4, 5, 49151])
    assert len(pack_regions(first)) == 2 * 49152 // 8
