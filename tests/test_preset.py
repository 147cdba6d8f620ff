from pathlib import Path

import numpy as np
import pytest
import yaml

from data_prep.errors import BalrogError
from data_prep.preset import Cut, load_preset

SHIPPED = Path(__file__).parents[1] / "data_prep" / "presets"


def test_des_y3_sof():
    preset = load_preset("des-y3-sof")
    bands = ("r", "i", "z")
    names = [f"{prefix}_{b}" for prefix in ("true_mag", "fwhm", "sky_noise") for b in bands]
    assert preset.schema.condition_names == tuple(names)
    assert preset.schema.measured_names == tuple(f"meas_mag_{b}" for b in bands)
    assert [column.reference for column in preset.schema.measured] == names[:3]
    assert preset.sources["true_mag_i"].columns == ("true_bdf_mag_deredden[i]",)
    assert preset.sources["meas_mag_z"].columns == ("meas_cm_mag_deredden[z]", "meas_cm_mag[z]")
    assert preset.map_patterns["sky_noise_r"] == ("y3a2_r_o.4096_t.32768_SKYVAR.UNCERTAINTY_EQU",)
    assert set(preset.sentinels["mag"]) >= {37.5, 9.999e9, -9.999e9, -9999}
    assert [str(cut) for cut in preset.cuts] == [
        "flags_foreground == 0",
        "flags_badregions < 2",
        "flags_footprint == 1",
        "meas_FLAGS_GOLD_SOF_ONLY < 2",
        "match_flag_1.5_asec < 2",
    ]
    assert preset.cuts[-1].columns[-1] == "match_flag"


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.yaml")))
def test_every_shipped_preset_is_valid_and_named_as_its_file(name):
    assert load_preset(name).schema.name == name


def minimal():
    return {
        "name": "mine",
        "bands": ["g", "y"],
        "id": "id",
        "parent": "parent",
        "position": ["ra", "dec"],
        "columns": [
            {"name": "t_{band}", "group": "truth", "unit": "mag", "source": "mag_{BAND}"},
            {"name": "m_{band}", "group": "measured", "unit": "mag", "source": ["a[{band}]", "b"],
             "source_unit": "flux", "reference": "t_{band}"},
            {"name": "size", "group": "truth", "unit": "arcsec", "source": "T", "minimum": 0},
        ],
    }  # fmt: skip


def write(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content) if isinstance(content, dict) else content)
    return path


def test_a_preset_of_ones_own_with_any_bands_and_columns(tmp_path):
    preset = load_preset(write(tmp_path, minimal()))
    assert preset.schema.condition_names == ("t_g", "t_y", "size")
    assert preset.sources["t_y"].columns == ("mag_Y",)
    assert preset.sources["m_y"].columns == ("a[y]", "b")
    assert preset.sources["m_y"].unit == "flux"
    assert preset.schema.measured[0].reference == "t_g"
    assert preset.schema.truth[2].minimum == 0
    assert (preset.vector_bands, preset.zero_point, preset.detected) == (("g", "y"), 30.0, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"color": "red"}, "unknown: color"),
        ({"bands": [True]}, "quote it"),
        ({"bands": {"r": 1}}, "must be a list"),
        ({"position": ["ra"]}, "two columns"),
        ({"zero_point": "bright"}, "zero_point must be a number"),
        ({"columns": [{"name": "t", "group": "truth"}]}, r"columns\[0\].*missing: unit"),
        ({"columns": [{"name": "t", "group": "truth", "unit": "mag"}]}, "source or map"),
        ({"columns": 3}, "columns must be a list"),
        ({"cuts": [{"column": "f", "operator": "=", "value": 0, "table": "matched",
                    "rows": "all"}]}, "operator must be one of ==, "),
        ({"cuts": [{"column": "f"}]}, r"cuts\[0\].*missing: operator, rows, table, value"),
        ({"cuts": ["f < 2"]}, "mapping"),
    ],
)  # fmt: skip
def test_malformed_preset(tmp_path, change, message):
    with pytest.raises(BalrogError, match=message):
        load_preset(write(tmp_path, minimal() | change))


def test_not_yaml_and_not_there(tmp_path):
    with pytest.raises(BalrogError, match="must be YAML"):
        load_preset(write(tmp_path, "name: [unclosed"))
    with pytest.raises(BalrogError, match="mapping"):
        load_preset(write(tmp_path, "just text"))
    with pytest.raises(BalrogError, match=r"shipped preset \(.*des-y3-sof.*\).* nope"):
        load_preset("nope")


def test_yaml_cannot_run_code(tmp_path):
    with pytest.raises(BalrogError, match="must be YAML"):
        load_preset(write(tmp_path, "name: !!python/object/apply:os.getcwd []"))


@pytest.mark.parametrize(
    ("operator", "kept"),
    [("==", [1]), ("!=", [0, 2]), ("<", [0]), ("<=", [0, 1]), (">", [2]), (">=", [1, 2])],
)
def test_cut_operators_never_keep_nan(operator, kept):
    cut = Cut(("f",), operator, 1.0, "matched", "all")
    found = cut.keeps(np.array([0.0, 1.0, 2.0, np.nan]))
    assert np.flatnonzero(found).tolist() == kept
