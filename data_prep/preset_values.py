"""Checks of the values in a preset's YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_prep.errors import BalrogError, did_you_mean

__all__ = ["check_keys", "choice", "flag", "list_of", "number", "strings"]


def check_keys(content: Any, required: set[str], allowed: set[str], where: str) -> None:
    """Raise BalrogError if `content` is no mapping, or its keys are not as they must be."""
    if not isinstance(content, dict):
        raise BalrogError(f"{where} must be a mapping of keys to values, found {content!r}")
    missing, unknown = required - set(content), set(map(str, content)) - allowed
    if missing or unknown:
        meant = "".join(did_you_mean(name, allowed, 1) for name in sorted(unknown))
        raise BalrogError(
            f"{where} must have the keys {', '.join(sorted(required))}; "
            f"missing: {', '.join(sorted(missing)) or 'none'}; "
            f"unknown: {', '.join(sorted(unknown)) or 'none'} "
            f"(known: {', '.join(sorted(allowed))}){meant}"
        )


def choice(content: Mapping[str, Any], key: str, allowed: tuple[str, ...], where: str) -> str:
    """Value of a key that must be one of `allowed`."""
    if content[key] not in allowed:
        raise BalrogError(
            f"{where}: {key} must be one of {', '.join(allowed)}, found {content[key]!r}"
        )
    chosen: str = content[key]
    return chosen


def flag(value: Any, where: str) -> bool:
    """Check that a value is true or false."""
    if not isinstance(value, bool):
        raise BalrogError(f"{where} must be true or false, found {value!r}")
    return value


def list_of(value: Any, where: str) -> list[Any]:
    """Check that a value is a list."""
    if not isinstance(value, list):
        raise BalrogError(f"{where} must be a list, found {value!r}")
    return value


def strings(value: Any, where: str) -> tuple[str, ...]:
    """Text, or a list of texts, as a tuple."""
    items = [value] if isinstance(value, str) else list_of(value, where)
    for item in items:
        if not isinstance(item, str):
            # YAML 1.1 reads the band y as true.
            raise BalrogError(f'{where} must hold text, found {item!r}; quote it, as in "y"')
    return tuple(items)


def number(value: Any, where: str) -> float:
    """Check that a value is a number; YAML reads 1e5 as text, so text may be one too."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BalrogError(f"{where} must be a number, found {value!r}") from None
