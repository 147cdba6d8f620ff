import dataclasses

import pytest
from mixed_world import mixed_schema

from balrog_keras.band_families import band_families, link_indices
from data_prep.preset import load_preset
from data_prep.schema import Column, Schema

TRUTH = Column("true_mag_r", "mag", "truth")


def schema_of(*measured, bands=("g", "r", "i", "z")):
    return Schema("mine", bands, (TRUTH, *measured))


def errors(*bands, **kwargs):
    settings = {"unit": "count", "group": "measured", "minimum": 1e-6, "transform": "log10"}
    return [Column(f"flux_err_{band}", **settings | kwargs) for band in bands]


def test_families_are_in_the_order_of_the_bands():
    schema = schema_of(*errors("z", "r"), Column("size", "arcsec", "measured"))
    assert band_families(schema, lambda column: True) == [{"r": 1, "z": 0}]


def test_only_wanted_columns_are_looked_at():
    schema = schema_of(*errors("r", "i", "z"))
    found = band_families(schema, lambda column: column.name != "flux_err_i")
    assert found == [{"r": 0, "z": 2}]


def test_errors_are_linked_each_to_the_one_before():
    others = Column("meas_mag_r", "mag", "measured", "true_mag_r"), Column("T", "", "measured")
    first, *rest = errors("r", "i", "z")
    assert link_indices(schema_of(first, others[0], *rest, others[1])) == [-1, -1, 0, 2, -1]


def test_shapes_have_linked_errors_and_no_other_links():
    schema = load_preset("mini-balrog-shapes").schema
    links = link_indices(schema)
    names = schema.measured_names
    assert {names[a]: names[b] for a, b in enumerate(links) if b >= 0} == {
        "meas_flux_err_i": "meas_flux_err_r",
        "meas_flux_err_z": "meas_flux_err_i",
    }


@pytest.mark.parametrize("preset", ["des-y3-sof", "des-y3-metacal", "des-y6", "lsst-ssi"])
def test_columns_with_a_reference_are_not_linked(preset):
    assert max(link_indices(load_preset(preset).schema)) == -1


def test_a_reference_that_is_not_comparable_does_not_keep_from_a_link():
    """A flux beside a magnitude is not a residual: such columns are learned without."""
    fluxes = errors("r", "i", unit="flux", zero_point=30.0, reference="true_mag_r")
    assert link_indices(schema_of(*fluxes)) == [-1, 0]


@pytest.mark.parametrize("other", [{"unit": "mag"}, {"transform": "identity"}])
def test_other_units_or_transforms_are_not_linked(other):
    first, second = errors("r", "i")
    assert link_indices(schema_of(first, dataclasses.replace(second, **other))) == [-1, -1]


def test_asinh_magnitudes_of_other_softening_are_not_linked():
    asinh = {"unit": "asinh mag", "zero_point": 30.0, "transform": "identity", "minimum": None}
    first, second = errors("r", "i", **asinh, softening=20.0)
    assert link_indices(schema_of(first, second)) == [-1, 0]
    other = dataclasses.replace(second, softening=30.0)
    assert link_indices(schema_of(first, other)) == [-1, -1]


def test_mixed_columns():
    schema = mixed_schema()
    links = link_indices(schema)
    assert links[schema.measured_names.index("meas_i_err")] == 2
    assert sum(link >= 0 for link in links) == 1
