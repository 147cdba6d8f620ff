import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.expressions import FUNCTIONS, evaluate, names_in

TWO = ("arctan2",)
THREE = ("where",)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {*TWO, *THREE}))
def test_every_function_is_numpys(name):
    x = np.array([0.1, 0.5, 0.99, 1.0, 1.7, -0.5, 0.0, np.nan, np.inf], np.float32)
    found = evaluate(f"{name}(x)", {"x": x}, "here")
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x.astype(np.float64))
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("arctan2(a, b)", lambda a, b: np.arctan2(a, b)),
        ("where(a > b, a, b)", lambda a, b: np.where(a > b, a, b)),
        ("-2.5 * log10(a / b) + 30", lambda a, b: -2.5 * np.log10(a / b) + 30),
        ("a ** 2 % b", lambda a, b: a**2 % b),
        ("(a > 1) & ~(b < 2) | (a == b)", lambda a, b: (a > 1) & ~(b < 2) | (a == b)),
    ],
)
def test_arithmetic_is_numpys(expression, expected):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.1, 3, (2, 1000)).astype(">f4")
    found = evaluate(expression, {"a": a, "b": b, "unused": a}, "here")
    np.testing.assert_allclose(found, expected(a.astype(float), b.astype(float)), rtol=1e-13)


def test_whole_numbers_are_divided_and_masked_as_such():
    n = np.array([1, 2, 3, 2**60 + 1], np.int64)
    np.testing.assert_array_equal(evaluate("n / 2", {"n": n[:3]}, "here"), [0.5, 1.0, 1.5])
    odd = evaluate("(n & 1) == 1", {"n": n}, "here")
    assert odd.tolist() == [True, False, True, True]
    assert evaluate("n + 1", {"n": n.astype(np.uint8)}, "here").dtype == np.float64


def test_one_dtype_whatever_the_input():
    for dtype in (np.float32, ">f8", np.int16):
        assert evaluate("2 * x", {"x": np.ones(3, dtype)}, "here").dtype == np.float64
    assert evaluate("~x", {"x": np.array([True, False])}, "here").tolist() == [False, True]


def test_values_do_not_depend_on_the_batch():
    x = np.random.default_rng(1).uniform(0, 1e4, 10_001).astype(np.float32)
    expression = "30 - 2.5 * log10(sqrt(x) + exp(-x))"
    whole = evaluate(expression, {"x": x}, "here")
    parts = [evaluate(expression, {"x": part}, "here") for part in np.array_split(x, 37)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_names_are_in_order_of_appearance_without_functions():
    assert names_in("(sqrt(b) - a) / b + B", "here") == ("b", "a", "B")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "must be arithmetic"),
        ("2 *", "must be arithmetic"),
        ("(" * 500, "must be arithmetic"),
        ("1 + 2", "must use a column"),
        ("sqrt + 1", "not that of a function"),
        ("1 < x < 3", "write .1 < a. & .a < 2."),
        ("x > 1 and x < 3", "and, or, not do not work"),
        ("not x", "and, or, not do not work"),
        ("open('x')", "functions are abs, "),
        ("sum(x)", "functions are abs, "),
        ("x.real", "Attribute is not allowed"),
        ("x[0]", "Subscript is not allowed"),
        ("__import__('os').system('true')", "functions are"),
        ("(lambda: x)()", "functions are"),
        ("sqrt(x=x)", "functions are"),
        ("x + 'a'", "constants must be numbers"),
        ("x + 1j", "constants must be numbers"),
        ("x if x else 1", "IfExp is not allowed"),
    ],
)
def test_nothing_but_arithmetic(expression, message):
    with pytest.raises(BalrogError, match=f"^file.yaml: columns.*{message}"):
        names_in(expression, "file.yaml: columns[0]")


@pytest.mark.parametrize(
    ("expression", "values", "message"),
    [
        ("x + y", np.ones(2), "may use x, found y"),
        ("sqrt(x, x)", np.ones(2), "cannot be computed"),
        ("x & 1", np.ones(2), "cannot be computed"),
        ("x + 1", np.array(["a", "b"]), "x must hold numbers"),
    ],
)
def test_what_cannot_be_computed(expression, values, message):
    with pytest.raises(BalrogError, match=f"here.*{message}"):
        evaluate(expression, {"x": values}, "here")


def test_nothing_outside_the_inputs_is_reached():
    values = np.ones(2)
    with pytest.raises(BalrogError, match="found values"):
        evaluate("x + values", {"x": values}, "here")
