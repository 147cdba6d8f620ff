"""Finding the file of a survey property map by its name."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import BalrogError
from data_prep.files import inside

__all__ = ["MAP_SUFFIXES", "find_map"]

MAP_SUFFIXES = (".fits.gz", ".fits", ".hsp", ".hs", ".parquet")


def find_map(directory: str | os.PathLike[str], patterns: Sequence[str]) -> Path | None:
    """Find the one map file whose name matches, or None.

    Parameters
    ----------
    directory : path
        Where the files lie.
    patterns : sequence of str
        Shell patterns without suffix; the first that matches counts. Dots and underscores are
        the same here, since data releases differ in them. A pattern with ``/`` is looked for in
        sub-directories, ``r/psf_size*``; one with ``#COLUMN`` says which column has the values.

    Returns
    -------
    pathlib.Path or None
        With the pattern's ``#COLUMN``, as :meth:`.SurveyMap.open` takes it.

    Raises
    ------
    BalrogError
        If there is no such directory, one pattern matches several files, or one leads out of the
        directory.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise BalrogError(f"the maps must lie in a directory; {directory} is none")
    for pattern in patterns:
        named, mark, column = pattern.partition("#")
        within, _, wanted = named.rpartition("/")
        if within:
            inside(directory, within, f"the map pattern {pattern!r}")
        found = [
            path
            for path in sorted(directory.glob(f"{within}/*" if within else "*"))
            if path.name.endswith(MAP_SUFFIXES)
            and fnmatch.fnmatchcase(_plain_name(path), wanted.replace(".", "_"))
        ]
        if len(found) > 1:
            raise BalrogError(
                f"{directory}: one map must match {pattern!r}, found "
                f"{', '.join(path.name for path in found)}; remove or rename all but one"
            )
        if found:
            return found[0].with_name(found[0].name + mark + column)
    return None


def _plain_name(path: Path) -> str:
    suffix = next(suffix for suffix in MAP_SUFFIXES if path.name.endswith(suffix))
    return path.name.removesuffix(suffix).replace(".", "_")
