"""Errors meant for users: one line that says what was expected, what came, how to fix it."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["BalrogError", "MissingExtraError", "require"]


class BalrogError(ValueError):
    """Bad input from a user (file, column, option); command lines print it without traceback."""


class MissingExtraError(BalrogError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


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
