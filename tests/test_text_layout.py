from data_prep.inspection.text_layout import fields, short_number, table


def test_fields_are_aligned_and_wrapped():
    lines = fields([("a", "one"), ("empty", ""), ("b", "word " * 40)])
    assert lines[0] == "a            one"
    assert len(lines) > 2
    assert all(len(line) <= 96 for line in lines)
    assert all(line[13] != " " and not line[:13].strip(" ab") for line in lines)


def test_long_labels_widen_all():
    assert fields([("a", "one"), ("a-label-of-length-24-here", "two")]) == [
        "a                          one",
        "a-label-of-length-24-here  two",
    ]


def test_table_leaves_out_empty_columns():
    rows = [["a", "", "1"], ["long", "", "10"]]
    assert table(["name", "unit", "n"], rows, "llr") == ["name   n", "a      1", "long  10"]
    assert table(["name", "n"], []) == [""]


def test_short_number_tells_ids_apart():
    import numpy as np

    assert short_number(np.int64(10**15 + 1)) == "1000000000000001"
    assert short_number(np.float32(37.5)) == "37.5"
    assert short_number(9.999e9) == "9.999e+09"
