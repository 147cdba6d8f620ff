import pytest

from data_prep.errors import BalrogError
from data_prep.preset import load_preset
from data_prep.preset_file import read_yaml


@pytest.mark.parametrize(
    ("text", "key", "first", "again"),
    [
        ("name: a\nbands: [r]\nname: b\n", "name", 1, 3),
        ("name: a\ncolumns:\n  - {unit: mag,\n     source: m,\n     unit: flux}\n", "unit", 3, 5),
        ("a: {x: 1, x: 1}\n", "x", 1, 1),
        ("a: 1\n'a': 2\n", "a", 1, 2),
    ],
)
def test_a_key_twice_is_refused(tmp_path, text, key, first, again):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    message = f"mine.yaml must give every key once; {key} of line {first} .* in line {again}; rem"
    with pytest.raises(BalrogError, match=message):
        read_yaml(path)
    with pytest.raises(BalrogError, match=message):
        load_preset(path)


def test_anchors_and_the_same_key_in_two_mappings(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: &b {x: 1, y: 2}\nmore: {<<: *b, x: 3}\nlist: [{x: 1}, {x: 1}, *b]\n")
    base = {"x": 1, "y": 2}
    assert read_yaml(path) == {"base": base, "more": {"x": 3, "y": 2},
                               "list": [{"x": 1}, {"x": 1}, base]}  # fmt: skip


def test_extends_is_a_known_key(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: des-y3-sof\nextend: x\n")
    with pytest.raises(BalrogError, match=r"unknown: extend \(known: .*extends.*mean extends\?"):
        load_preset(path)
