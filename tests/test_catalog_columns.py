import numpy as np
import pytest
from fake_emulator import FakeEmulator
from memory_catalog import MemoryCatalog
from toy import toy_conditions, toy_schema

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.condition_reader import ConditionReader

NAMES = toy_schema().condition_names


def test_a_single_name_may_be_a_string():
    columns = CatalogColumns({"true_mag_r": "MAG"}, ("RA", ["DEC", "dec"]), "id", "redshift")
    assert columns.conditions == {"true_mag_r": ("MAG",)}
    assert columns.position == (("RA",), ["DEC", "dec"])
    assert (columns.row_id, columns.keep) == (("id",), ("redshift",))
    assert columns == CatalogColumns(
        {"true_mag_r": ("MAG",)}, (("RA",), ["DEC", "dec"]), ("id",), ("redshift",)
    )


def test_the_only_element_of_a_column_of_numbers_is_its_number():
    table = dict(zip(NAMES, toy_conditions(5, 1).T, strict=True))
    catalog = MemoryCatalog(table)
    columns = CatalogColumns({"true_mag_r": "true_mag_r[0]"})
    reader = ConditionReader(FakeEmulator(), catalog, columns, None)
    np.testing.assert_array_equal(reader.conditions(table)[:, 0], table["true_mag_r"])


@pytest.mark.parametrize("text", ["true_mag_r[1]", "true_mag_r[r]"])
def test_other_elements_are_refused(text):
    catalog = MemoryCatalog(dict(zip(NAMES, toy_conditions(5, 1).T, strict=True)))
    columns = CatalogColumns({"true_mag_r": text})
    message = "it has 1" if "1" in text else r"by its number, as true_mag_r\[0\]; found true_mag_r"
    with pytest.raises(ValueError, match=message):
        ConditionReader(FakeEmulator(), catalog, columns, None)
