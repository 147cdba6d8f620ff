"""Errors meant for users: one line that says what was expected, what came, how to fix it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

__all__ = ["BalrogError", "MissingExtraError", "did_you_mean", "require"]


class BalrogError(ValueError):
    """Bad input from a user (file, column, option); command lines print it without traceback."""


class MissingExtraError(BalrogError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


def did_you_mean(name: str, known: Iterable[str], most: int = 3) -> str:
    """A question that names what is close to a misspelt name, ``""`` if nothing is.

    Parameters
    ----------
    name : str
        As given by the user.
    known : iterable of str
        Names that exist.
    most : int
        Most names in the question.

    Returns
    -------
    str
        Starts with a blank, to be put behind a message.

    Examples
    --------
    >>> did_you_mean("des-y3-sot", ["des-y3-sof", "des-y6", "lsst-ssi"], most=1)
    ' (did you mean des-y3-sof?)'
    >>> did_you_mean("hubble", ["des-y3-sof", "des-y6"])
    ''
    """
    # Some names join words by "-" and others by "_"; catalogues' columns are upper or lower case.
    plain = {each.casefold().replace("_", "-"): each for each in map(str, known)}
    close = difflib.get_close_matches(name.casefold().replace("_", "-"), plain, n=most)
    found = [plain[each] for each in close if plain[each] != name]
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Parameters
    ----------
    module : str
        Name of the module to import, for example ``"galsim"``.
    extra : str
        The extra of this package that installs it, for example ``"sim"``.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        If the module is not installed.

    Examples
    --------
    >>> require("math", "cpu").floor(1.5)
    1
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingExtraError(
            f'{module} is not installed: pip install "balrog-keras[{extra}]" '
            f'(in a checkout: pip install -e ".[{extra}]")'
        ) from None
