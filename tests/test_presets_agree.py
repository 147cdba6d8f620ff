"""The same injections in the files of every survey give the same shards.

Compared is what each format can express: SOF magnitudes have no negative fluxes, and truth is
dereddened in DES Y3 but behind the dust in DES Y6 and Rubin.
"""

from dataclasses import replace

import numpy as np
import pytest
from format_files import write_format
from format_world import FLAGGED_ROWS, ZERO_POINT, drawn_world, simulated_world

from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings
from data_prep.shards import read_split
from data_prep.splits import SPLITS

MAGNITUDES = ("des-y3-sof", "mini-balrog")
FLUXES = ("des-y3-metacal", "des-y6", "lsst-ssi")
ROW_NUMBERS = ("des-y6", "lsst-ssi")
BEHIND_DUST = ("des-y6", "lsst-ssi")
RIZ = slice(1, 4)
# Half a unit in the last place of float32 between 16 and 32, a little more for two roundings.
MAG_ROUNDING = 1.5e-6


class Prepared:
    """Shards of one preset, their rows put beside the world's."""

    def __init__(self, preset, world, directory):
        self.preset, self.world = preset, world
        files = write_format(preset, world, directory / preset)
        self.settings = PrepareSettings(
            preset=preset, out=directory / f"{preset}-shards", validation_fraction=0.04,
            shards=2, **files,
        )  # fmt: skip
        self.manifest = prepare(self.settings)
        self.schema = self.manifest.schema
        self.matched, self.detection = self._read(""), self._read("detection-")

    def _read(self, prefix):
        """Features of all splits with the world's row of each and the split it is in."""
        splits = [read_split(self.settings.out, prefix + name) for name in SPLITS]
        found = {name: np.concatenate([split[name] for split in splits]) for name in splits[0]}
        sizes = [len(split["row_id"]) for split in splits]
        found["split"] = np.repeat(np.arange(len(SPLITS)), sizes)
        if self.preset in ROW_NUMBERS:
            return found | {"rows": found["row_id"]}
        order = np.argsort(self.world.row_id)
        place = np.searchsorted(self.world.row_id, found["row_id"], sorter=order)
        return found | {"rows": order[place]}

    def column(self, name, table="matched"):
        """Values of a schema column."""
        for group, names in (
            ("condition", self.schema.condition_names),
            ("measured", self.schema.measured_names),
        ):
            if name in names:
                return getattr(self, table)[group][:, names.index(name)].astype(np.float64)
        raise KeyError(name)

    def flux(self, band):
        """Measured flux behind the dust, zero point 30, and how far rounding may move it."""
        name, rows = f"meas_mag_{band}", self.matched["rows"]
        mag = self.column(name)
        if self.preset in MAGNITUDES:
            mag = mag + self.world.extinction[rows, "griz".index(band)]
            flux = 10 ** (0.4 * (ZERO_POINT - mag))
            # float32: catalogue, dust, shards, and log10, whose last bits vary with the processor.
            return flux, 3 * MAG_ROUNDING * flux
        (column,) = [column for column in self.schema.measured if column.name == name]
        softening = column.softening
        pogson = 2.5 / np.log(10)
        flux = 2 * softening * np.sinh((column.zero_point - mag) / pogson - np.log(softening))
        rounding = MAG_ROUNDING / pogson * np.sqrt(flux**2 + 4 * softening**2)
        scale = 10 ** (0.4 * (ZERO_POINT - column.zero_point))
        return flux * scale, rounding * scale + 2e-7 * np.abs(flux * scale)


@pytest.fixture(
    scope="module", params=["drawn", pytest.param("mini-Balrog", marks=pytest.mark.slow)]
)
def survey(request, tmp_path_factory):
    """The world, and its shards by each preset."""
    directory = tmp_path_factory.mktemp("formats")
    if request.param == "drawn":
        world = drawn_world()
    else:
        pytest.importorskip("galsim")
        from data_prep.mini_balrog.simulate_settings import SimulateSettings
        from data_prep.simulate import simulate

        simulate(SimulateSettings(out=str(directory / "sim"), tiles=30, realizations=1))
        world = simulated_world(directory / "sim")
    return world, {name: Prepared(name, world, directory) for name in MAGNITUDES + FLUXES}


@pytest.fixture(params=MAGNITUDES + FLUXES)
def prepared(request, survey):
    return survey[1][request.param]


def expected_rows(world, preset):
    """World rows that the preset's cuts and sentinels leave."""
    keep = world.detected.copy()
    keep[world.bad] = keep[world.flagged] = False
    if preset in MAGNITUDES:
        keep &= (world.flux[:, RIZ] > 0.001).all(axis=1)
    return np.flatnonzero(keep)


def test_rows_are_those_that_the_format_can_express(prepared):
    world = prepared.world
    found = np.sort(prepared.matched["rows"])
    np.testing.assert_array_equal(found, expected_rows(world, prepared.preset))
    dropped = prepared.manifest.content["dropped"]
    assert sum(dropped.values()) == prepared.manifest.content["rows_read"] - found.size
    gone = {reason: count for reason, count in dropped.items() if "meas_mag_r" in reason}
    assert sum(gone.values()) >= world.bad.size - 1


def test_truth_is_the_injected_magnitude(prepared):
    rows = prepared.matched["rows"]
    for index, band in enumerate("riz", start=1):
        expected = prepared.world.truth_mag[rows, index].astype(np.float64)
        if prepared.preset in BEHIND_DUST:
            expected += prepared.world.extinction[rows, index]
        found = prepared.column(f"true_mag_{band}")
        np.testing.assert_allclose(found, expected, rtol=0, atol=2 * MAG_ROUNDING)


def test_survey_properties_are_those_of_the_maps(prepared):
    rows = prepared.matched["rows"]
    for name in prepared.world.survey:
        expected = prepared.world.map_values(name, rows)
        np.testing.assert_allclose(prepared.column(name), expected, rtol=3e-7)
    if prepared.preset == "des-y3-metacal":
        expected = prepared.world.map_values("ebv", rows)
        np.testing.assert_array_equal(prepared.column("ebv"), expected)


def test_flux_is_recovered_to_the_rounding_of_float32(prepared):
    for index, band in enumerate("riz", start=1):
        found, rounding = prepared.flux(band)
        expected = prepared.world.flux[prepared.matched["rows"], index]
        assert (np.abs(found - expected) <= rounding).all()


@pytest.mark.parametrize("preset", FLUXES)
def test_negative_fluxes_survive(survey, preset):
    world, shards = survey
    rows = expected_rows(world, preset)
    for index, band in enumerate("riz", start=1):
        negative = np.count_nonzero(world.flux[rows, index] < 0)
        assert np.count_nonzero(shards[preset].flux(band)[0] < 0) == negative


def test_splits_parents_and_positions_agree(survey):
    world, shards = survey
    split_of, first = {}, shards["des-y3-sof"]
    for table in (first.matched, first.detection):
        split_of |= dict(zip(table["rows"].tolist(), table["split"].tolist(), strict=True))
    for prepared in shards.values():
        for table in (prepared.matched, prepared.detection):
            rows = table["rows"]
            known = np.isin(rows, list(split_of))
            assert [split_of[row] for row in rows[known].tolist()] == table["split"][known].tolist()
            np.testing.assert_array_equal(table["parent_id"], world.parent_id[rows])
            position = np.stack([world.ra[rows], world.dec[rows]], axis=1).astype(np.float32)
            np.testing.assert_array_equal(table["position"], position)


def test_detection_shards_have_every_injection(prepared):
    world, table = prepared.world, prepared.detection
    every = np.arange(len(world.row_id))
    # In DES Y6 the foreground flag is known of detected injections alone.
    expected = every if prepared.preset == "des-y6" else every[FLAGGED_ROWS:]
    np.testing.assert_array_equal(np.sort(table["rows"]), expected)
    np.testing.assert_array_equal(table["detected"], world.detected[table["rows"]])
    for index, band in enumerate("riz", start=1):
        truth = world.truth_mag[table["rows"], index].astype(np.float64)
        if prepared.preset in BEHIND_DUST:
            truth += world.extinction[table["rows"], index]
        found = prepared.column(f"true_mag_{band}", "detection")
        np.testing.assert_allclose(found, truth, rtol=0, atol=2 * MAG_ROUNDING)


def test_weights_are_carried_by_the_format_that_has_them(survey):
    world, shards = survey
    for preset, prepared in shards.items():
        if preset == "des-y6":
            rows = prepared.matched["rows"]
            np.testing.assert_array_equal(prepared.matched["weight"], world.weight[rows])
        else:
            assert "weight" not in prepared.matched


def test_mini_balrog_is_des_y3_sof_by_another_name(survey):
    _, shards = survey
    sof, mini = (shards[name].manifest.splits for name in MAGNITUDES)
    assert sof == mini


def test_deep_table_as_pickle_gives_the_same_bytes(survey, tmp_path):
    prepared = survey[1]["des-y3-metacal"]
    deep = prepared.settings.deep.with_suffix(".pkl")
    settings = replace(prepared.settings, deep=deep, out=tmp_path / "shards", allow_pickle=True)
    assert prepare(settings).splits == prepared.manifest.splits
