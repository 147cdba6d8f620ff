"""Arithmetic over columns, as presets write it: ``"sqrt(error)"``, ``"isfinite(d)"``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["FUNCTIONS", "evaluate", "names_in"]

FUNCTIONS = (
    "abs", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "ceil", "cos",
    "cosh", "exp", "expm1", "floor", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "sin",
    "sinh", "sqrt", "tan", "tanh", "where",
)  # fmt: skip
_ALLOWED = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.Load,
    ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip


def evaluate(expression: str, inputs: Mapping[str, np.ndarray], where: str) -> np.ndarray:
    """Value of an expression, row by row.

    Parameters
    ----------
    expression : str
        Arithmetic, comparisons, ``& | ~`` and the functions of :data:`FUNCTIONS` over the names
        of `inputs`; nothing else can be reached.
    inputs : mapping of str to array, shape (N,)
        Numbers or bools; computed in float64, whole numbers in int64.
    where : str
        File and column, for messages.

    Returns
    -------
    float64 or bool array, shape (N,)
        NaN or infinite where the arithmetic is; no warnings.

    Raises
    ------
    BalrogError
        If the expression is malformed, or names what is not in `inputs`.

    Examples
    --------
    >>> evaluate("2.355 * 0.2 * psf", {"psf": np.array([2.0])}, "here")
    array([0.942])
    """
    import numexpr

    names = names_in(expression, where)
    missing = [name for name in names if name not in inputs]
    if missing:
        raise BalrogError(
            f"{where}: the expression {expression!r} may use {', '.join(inputs) or 'no name'}, "
            f"found {', '.join(missing)}"
        )
    arrays = {name: _computable(inputs[name], f"{where}: {name}") for name in names}
    try:
        values: np.ndarray = numexpr.evaluate(
            expression, local_dict=arrays, global_dict={}, truediv=True, sanitize=True
        )
    except (TypeError, ValueError, NotImplementedError) as error:
        raise BalrogError(
            f"{where}: the expression {expression!r} cannot be computed: {error}"
        ) from error
    return values if values.dtype == bool else values.astype(np.float64, copy=False)


@lru_cache(maxsize=1024)
def names_in(expression: str, where: str) -> tuple[str, ...]:
    """Names that an expression uses, in order of appearance.

    Parameters
    ----------
    expression : str
        See :func:`evaluate`.
    where : str
        File and entry, for messages.

    Returns
    -------
    tuple of str

    Raises
    ------
    BalrogError
        If it is no expression, or uses what expressions do not have.

    Examples
    --------
    >>> names_in("(b - a) / sqrt(b)", "here")
    ('b', 'a')
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BalrogError(
            f"{where} must be arithmetic such as 'sqrt(error)', found {expression!r} ({error})"
        ) from error
    functions = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names: dict[str, tuple[int, int]] = {}
    for node in ast.walk(tree):
        _check(node, expression, where)
        if isinstance(node, ast.Name) and node not in functions:
            place = (node.lineno, node.col_offset)
            names[node.id] = min(place, names.get(node.id, place))
    if not names or set(names) & set(FUNCTIONS):
        raise BalrogError(
            f"{where} must use a column, whose name is not that of a function, found {expression!r}"
        )
    return tuple(sorted(names, key=lambda name: names[name]))


def _check(node: ast.AST, expression: str, where: str) -> None:
    problem = ""
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        problem = "comparisons cannot be chained: write (1 < a) & (a < 2)"
    elif isinstance(node, ast.BoolOp | ast.Not):
        problem = "and, or, not do not work on columns: write (a > 1) & (b > 1), |, ~"
    elif isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
        problem = "" if known and not node.keywords else f"functions are {', '.join(FUNCTIONS)}"
    elif isinstance(node, ast.Constant) and not isinstance(node.value, int | float):
        problem = "constants must be numbers"
    elif not isinstance(node, _ALLOWED):
        problem = f"{type(node).__name__} is not allowed"
    if problem:
        raise BalrogError(f"{where} must be arithmetic, found {expression!r}: {problem}")


def _computable(values: np.ndarray, where: str) -> np.ndarray:
    values = np.asarray(values)
    kind = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}.get(values.dtype.kind)
    if kind is None:
        raise BalrogError(f"{where} must hold numbers, found {values.dtype}")
    return values.astype(kind, copy=False)
