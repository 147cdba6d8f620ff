import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from data_prep.errors import BalrogError
from data_prep.preset import Cut, Extinction, Input, Neighbor, Softening, load_preset

SHIPPED = Path(__file__).parents[1] / "data_prep" / "presets"
DOCUMENT = Path(__file__).parents[1] / "docs" / "presets.md"


def test_des_y3_sof():
    preset = load_preset("des-y3-sof")
    bands = ("r", "i", "z")
    names = [f"{prefix}_{b}" for prefix in ("true_mag", "fwhm", "sky_noise") for b in bands]
    assert preset.schema.condition_names == tuple(names)
    assert preset.schema.measured_names == tuple(f"meas_mag_{b}" for b in bands)
    assert [column.reference for column in preset.schema.measured] == names[:3]
    assert preset.sources["true_mag_i"].columns == ("true_bdf_mag_deredden[i]",)
    assert preset.sources["meas_mag_z"].columns == ("meas_cm_mag_deredden[z]", "meas_cm_mag[z]")
    assert preset.map_sources["sky_noise_r"] == {
        "maps": {"value": ["y3a2_r_o.4096_t.32768_SKYVAR.UNCERTAINTY_EQU"]},
        "expression": "",
        "zero_is_missing": False,
    }
    assert preset.position == (("true_ra",), ("true_dec",))
    assert (preset.id, preset.parent, preset.join) == (("bal_id",), ("true_id",), "key")
    assert preset.detected.columns == ("detected",)
    emulator = SHIPPED.parents[1] / "saved_models" / "mini-balrog" / "emulator.json"
    assert preset.schema.fingerprint == json.loads(emulator.read_text())["fingerprint"]
    assert set(preset.sentinels["mag"]) >= {37.5, 9.999e9, -9.999e9, -9999}
    assert [str(cut) for cut in preset.cuts] == [
        "flags_foreground == 0",
        "flags_badregions < 2",
        "flags_footprint == 1",
        "meas_FLAGS_GOLD_SOF_ONLY < 2",
        "match_flag_1.5_asec < 2",
    ]
    assert preset.cuts[-1].columns[-1] == "match_flag"


SHIPPED_NAMES = sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def test_the_shipped_presets():
    wanted = {"des-y3-metacal", "des-y3-sof", "des-y6", "lsst-ssi", "mini-balrog"}
    assert wanted <= set(SHIPPED_NAMES)


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_every_shipped_preset(name):
    preset = load_preset(name)
    assert preset.schema.name == name
    for column in preset.schema.measured:
        truth = column.name.replace("meas_", "true_")
        assert column.reference == (truth if truth in preset.schema.condition_names else "")
    for column in preset.schema.survey:
        assert column.name in preset.map_sources
    assert json.loads(json.dumps(preset.map_sources)) == preset.map_sources
    assert pickle.loads(pickle.dumps(preset)) == preset
    assert len({str(cut) for cut in preset.cuts}) == len(preset.cuts)


def test_flux_surveys_measure_asinh_magnitudes():
    for name, zero_point, unit, error in (
        ("des-y3-metacal", 30.0, "flux", "unsheared/flux_err_i"),
        ("des-y6", 30.0, "flux", "meas_bdf_flux_err[i]"),
        ("lsst-ssi", 31.4, "nJy", "i_sersicFluxErr"),
    ):
        preset = load_preset(name)
        column = preset.schema.measured[1]
        assert (column.unit, column.zero_point) == ("asinh mag", zero_point)
        source = preset.sources[column.name]
        assert source.unit == unit
        assert source.softening.value is None
        assert source.softening.inputs["error"].names[0] == error
        assert all(column.unit == "mag" for column in preset.schema.truth)
    metacal = load_preset("des-y3-metacal").sources["meas_mag_r"]
    assert metacal.softening.expression == "sqrt(error)"


def test_dust_is_a_condition_or_reddens_the_truth():
    metacal = load_preset("des-y3-metacal")
    assert metacal.schema.condition_names[-1] == "ebv"
    assert metacal.sources["true_mag_r"].extinction is None
    y6 = load_preset("des-y6")
    assert "ebv" not in y6.schema.condition_names
    found = y6.sources["true_mag_i"].extinction
    assert (found.coefficient, found.columns) == (1.569, ("ext_mags[i]",))
    assert y6.map_sources["ebv"]["maps"]["value"] == list(found.maps)
    assert y6.map_sources["ebv"] == metacal.map_sources["ebv"]


def test_properties_are_converted_by_expression():
    source = load_preset("des-y6").map_sources["fwhm_z"]
    assert source["expression"] == "0.263 * pixels"
    assert source["maps"]["pixels"][0] == "y6a2_decasu_z_fwhm_wmean"
    source = load_preset("lsst-ssi").map_sources["fwhm_z"]
    assert source["expression"] == "2.355 * 0.2 * pixels"
    assert source["maps"]["pixels"][0].startswith("z/deepCoadd_psf_size")


def test_joins():
    y6, ssi = load_preset("des-y6"), load_preset("lsst-ssi")
    assert (y6.join, y6.id, y6.weight) == ("row_order", (), ("weight_scheme",))
    assert y6.position_check == ("meas_ra", "meas_dec", 2.0)
    assert (ssi.join, ssi.detected.expression) == ("none", "isfinite(d)")
    assert ssi.position == (("ref_ra", "ra"), ("ref_dec", "dec"))
    assert load_preset("des-y3-metacal").deep_id == ("ID",)


def test_the_lensing_selection_has_every_cut_and_keeps_no_negative_flux():
    from data_prep.expressions import evaluate

    cuts = load_preset("des-y3-metacal-lensing").cuts
    assert cuts[:-5] == load_preset("des-y3-metacal").cuts

    def kept(**mag):
        values = {
            "r": mag.get("r", 22.0), "i": mag.get("i", 21.5), "z": mag.get("z", 21.2),
            "T": mag.get("T", 0.5), "snr": mag.get("snr", 50.0),
        }  # fmt: skip
        for name in "riz":
            values[name] = 10 ** (0.4 * (30 - values[name])) * mag.get("sign", 1)
        arrays = {name: np.array([value]) for name, value in values.items()}
        chosen = [cut for cut in cuts if cut.expression]
        assert len(chosen) == 6
        return all(cut.keeps(evaluate(cut.expression, arrays, "here"))[0] for cut in chosen)

    assert kept()
    assert not kept(sign=-1)
    for bad in ({"i": 17.9}, {"i": 23.6}, {"r": 26.1}, {"z": 14.9}, {"T": 3.0, "snr": 29.0}):
        assert not kept(**bad), bad
    for bad in ({"r": 25.6}, {"i": 23.4, "r": 21.8}, {"z": 17.4}, {"z": 23.1}):
        assert not kept(**bad), bad
    assert kept(T=3.0, snr=31.0)
    assert kept(r=25.4)


def test_mini_balrog_extends_des_y3_sof():
    mini, sof = load_preset("mini-balrog"), load_preset("des-y3-sof")
    assert mini.schema.name == "mini-balrog"
    assert mini.schema.fingerprint == sof.schema.fingerprint
    assert mini.cuts == sof.cuts


def test_mini_balrog_shapes_has_nine_measured_columns():
    schema = load_preset("mini-balrog-shapes").schema
    mini = load_preset("mini-balrog").schema
    assert len(schema.measured) == 9
    assert set(mini.condition_names) < set(schema.condition_names)
    assert set(mini.measured) < set(schema.measured)


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
    assert (preset.vector_bands, preset.zero_point, preset.detected) == (("g", "y"), 30.0, None)


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
        ({"cuts": [{"inputs": {"f": "f"}, "table": "matched", "rows": "all"}]},
         "missing: expression"),
        ({"cuts": [{"column": "f", "inputs": {"f": "f"}, "operator": "<", "value": 1,
                    "table": "matched", "rows": "all"}]}, "either column, or inputs"),
        ({"cuts": [{"inputs": {"f": "f"}, "expression": "f > g", "table": "matched",
                    "rows": "all"}]}, r"cuts\[0\]: expression must use each of f .* uses f, g"),
        ({"join": "position"}, "join must be one of key, row_order, none, found 'position'"),
        ({"position_check": {"columns": ["ra"], "arcsec": 2}}, "must name two"),
        ({"deep": "ID"}, "deep must be a mapping"),
        ({"sentinels": [99]}, "must map a unit"),
        ({"detected": {"inputs": {"d": "d", "e": "e"}}}, "expression"),
        ({"extends": "nope"}, "shipped preset .* nope"),
        ({"extends": "mine.yaml"}, "must not extend itself"),
    ],
)  # fmt: skip
def test_malformed_preset(tmp_path, change, message):
    with pytest.raises(BalrogError, match=message):
        load_preset(write(tmp_path, minimal() | change))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"map": "m", "maps": {"a": "b"}}, "exactly one of .*found map, maps"),
        ({"source": "s", "neighbor": {}}, "found source, neighbor"),
        ({"source": "s", "expression": "2 * value"}, "expression goes with inputs or maps"),
        ({"inputs": {"a": "b", "c": "d"}}, "expression must be arithmetic"),
        ({"inputs": {"a": "b"}, "expression": "a +"}, "must be arithmetic"),
        ({"inputs": {"extinction": "b"}}, "alias must be a name such as flux"),
        ({"inputs": {"a b": "b"}}, "found 'a b'"),
        ({"inputs": "a"}, "must map an alias to names"),
        ({"source": "s", "minimum": {"g": 1}}, "give one for band y"),
        ({"source": "s", "transform": "log10"}, "needs a minimum above 0"),
        ({"source": "s", "softening": 3}, "asinh mag needs a softening, and nothing else"),
        ({"source": "s", "unit": "asinh mag"}, "softening None"),
        ({"source": "s", "source_unit": "asinh mag", "softening": {"error": "e"}}, "a number"),
        ({"source": "s", "unit": "asinh mag", "softening": -1}, "must be above 0"),
        ({"source": "s", "extinction": {"coefficient": 2}}, "must have a column"),
        ({"source": "s", "extinction": {"map": "ebv"}}, "its coefficient"),
        ({"source": "s", "unit": "flux", "extinction": {"column": "a"}}, "column in mag"),
        ({"neighbor": {"statistic": "count", "radius_arcsec": 3}}, "density, flux_ratio"),
        ({"neighbor": {"statistic": "flux_ratio", "radius_arcsec": 3}}, "needs source"),
        ({"neighbor": {"statistic": "density", "radius_arcsec": 0}}, r"lie in .0, 600., found 0"),
        ({"map": "m", "zero_is_missing": 1}, "true or false, found 1"),
    ],
)
def test_malformed_column(tmp_path, column, message):
    content = minimal()
    content["columns"].append({"name": "x_{band}", "group": "truth", "unit": "mag"} | column)
    with pytest.raises(BalrogError, match=rf"columns?(\[3\]|.x_).*{message}"):
        load_preset(write(tmp_path, content))


def test_one_dust_map_for_everything(tmp_path):
    content = minimal()
    for band, pattern in (("g", "ebv_a"), ("y", "ebv_b")):
        content["columns"].append(
            {"name": f"x{band}", "group": "truth", "unit": "mag", "source": "a",
             "extinction": {"coefficient": 3, "map": pattern}}
        )  # fmt: skip
    with pytest.raises(BalrogError, match="one E.B-V. map .*ebv_a.* and .*ebv_b"):
        load_preset(write(tmp_path, content))


def test_everything_a_column_can_say(tmp_path):
    content = minimal() | {"zero_point": 22.5}
    content["columns"] += [
        {"name": "f_{band}", "group": "measured", "unit": "asinh mag", "source": "f_{band}",
         "source_unit": "flux", "softening": {"g": 2, "y": "3e1"}},
        {"name": "n_{band}", "group": "measured", "unit": "nJy", "transform": "asinh",
         "inputs": {"a": "a_{BAND}", "b": ["b[{band}]", "c"]}, "expression": "a - b"},
        {"name": "e_{band}", "group": "truth", "unit": "mag", "source": "t",
         "extinction": {"coefficient": {"g": 3.2, "y": 1}, "column": "A_{band}", "map": "ebv*"}},
        {"name": "d_{band}", "group": "survey", "unit": "1", "zero_is_missing": True,
         "maps": {"p": "p_{band}", "q": ["q1", "q2"]}, "expression": "p / q"},
        {"name": "near", "group": "truth", "unit": "1", "transform": "log1p", "minimum": 0,
         "neighbor": {"statistic": "flux_ratio", "radius_arcsec": 3, "source": "m[g]"}},
        {"name": "old", "group": "truth", "unit": "mag", "source": "lupt",
         "source_unit": "asinh mag", "softening": 0.5},
    ]  # fmt: skip
    preset = load_preset(write(tmp_path, content))
    columns = {column.name: column for column in preset.schema.columns}
    assert [columns[f"f_{b}"].softening for b in "gy"] == [2.0, 30.0]
    assert columns["f_g"].zero_point == 22.5
    assert preset.sources["f_y"].softening == Softening(30.0, {}, "")
    assert (columns["n_g"].zero_point, columns["n_g"].transform) == (31.4, "asinh")
    assert preset.sources["n_y"].inputs == {
        "a": Input(("a_Y",), "nJy"),
        "b": Input(("b[y]", "c"), "nJy"),
    }
    assert preset.sources["n_y"].columns == ()
    assert preset.sources["e_g"].extinction == Extinction(3.2, ("A_g",), ("ebv*",))
    assert preset.map_sources["d_y"] == {
        "maps": {"p": ["p_y"], "q": ["q1", "q2"]}, "expression": "p / q", "zero_is_missing": True,
    }  # fmt: skip
    assert preset.sources["near"].neighbor == Neighbor("flux_ratio", 3.0, ("m[g]",), "mag")
    assert columns["old"].softening is None
    assert preset.sources["old"].softening.value == 0.5
    assert preset.map_sources["ebv"]["maps"] == {"value": ["ebv*"]}


def test_a_preset_extends_one_beside_it(tmp_path):
    write(tmp_path, minimal())
    child = tmp_path / "child.yaml"
    cut = {"column": "f", "operator": "<", "value": 1, "table": "matched", "rows": "all"}
    child.write_text(yaml.safe_dump({"extends": "mine.yaml", "name": "child", "more_cuts": [cut]}))
    preset = load_preset(child)
    assert preset.schema.name == "child"
    assert preset.schema.fingerprint == load_preset(tmp_path / "mine.yaml").schema.fingerprint
    assert [str(cut) for cut in preset.cuts] == ["f < 1"]


def test_every_example_of_the_document_loads(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) > 20
    keys = {"columns": set(), "cuts": set(), "preset": set()}
    for block in blocks:
        content = yaml.safe_load(block)
        keys["preset"] |= set(content)
        for group in ("columns", "cuts"):
            keys[group] |= {key for entry in content.get(group, []) for key in entry}
        if "columns" in content and "name" not in content:
            truth = {"name": "true_mag_{band}", "group": "truth", "unit": "mag", "source": "m"}
            measured = truth | {"name": "m_{band}", "group": "measured"}
            content = {"bands": ["r", "i"], "columns": [truth, measured, *content["columns"]]}
        base = {} if "extends" in content else minimal()
        load_preset(write(tmp_path, base | content))
    from data_prep import preset, preset_yaml

    assert keys["columns"] == preset_yaml._COLUMN_ALLOWED
    assert keys["cuts"] == preset_yaml._CUT_ALLOWED
    assert keys["preset"] == preset._ALLOWED | {"extends"}


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


def test_a_cut_on_an_expression_is_named_by_it():
    cut = Cut((), "!=", 0, "matched", "detected", inputs={"t": ("T",)}, expression="t > 2")
    assert str(cut) == "t > 2"
    assert cut.keeps(np.array([True, False])).tolist() == [True, False]
    cut = Cut((), "<", 4, "matched", "detected", inputs={"t": ("T",)}, expression="log10(t)")
    assert str(cut) == "log10(t) < 4"
