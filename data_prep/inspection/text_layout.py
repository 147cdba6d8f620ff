"""Plain aligned text for the screen."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from numbers import Integral

__all__ = ["fields", "short_number", "table"]

_WIDTH = 96
_LABEL_WIDTH = 13


def fields(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of label and text, aligned, long texts wrapped; pairs without a text are left out.

    Examples
    --------
    >>> fields([("rows", "1,000"), ("label", "")])
    ['rows         1,000']
    """
    shown = [(label, text) for label, text in pairs if text]
    width = max([_LABEL_WIDTH, *(len(label) + 2 for label, _ in shown)])
    lines = []
    for label, text in shown:
        lines += textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=f"{label:<{width}}",
            subsequent_indent=" " * width,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """Lines of a table whose columns are as wide as they must be.

    Parameters
    ----------
    header : sequence of str
        Titles.
    rows : sequence of sequence of str
        Cells; columns that are empty in every row are left out.
    right : str
        Letters ``l`` and ``r``, one for each column: which are right-aligned; "" is all left.

    Returns
    -------
    list of str

    Examples
    --------
    >>> table(["name", "rows"], [["a", "5"], ["bcdef", "1,000"]], "lr")
    ['name    rows', 'a          5', 'bcdef  1,000']
    """
    kept = [place for place in range(len(header)) if any(row[place] for row in rows)]
    sides = [(right or "l" * len(header))[place] for place in kept]
    cells = [[row[place] for place in kept] for row in [header, *rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(kept))]
    return [
        "  ".join(
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in cells
    ]


def short_number(value: float) -> str:
    """A number in few characters: integers in full, others to 6 digits.

    Examples
    --------
    >>> [short_number(value) for value in (10**14 + 3, 21.123456, -1.6375e30, -9999.0)]
    ['100000000000003', '21.1235', '-1.6375e+30', '-9999']
    """
    return str(value) if isinstance(value, Integral) else f"{value:.6g}"
