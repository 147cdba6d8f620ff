"""Outputs that may be written: nothing that is read, and nothing that we did not make, is lost."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from balrog_keras.bundle import MODEL_VERSION, is_bundle
from balrog_keras.training_weights import WEIGHTS_DIRECTORY
from data_prep.errors import BalrogError

__all__ = ["files_in", "require_apart", "require_only", "require_other"]

_NAMED = 3


def require_apart(
    output: Path, inputs: Iterable[str | os.PathLike[str] | None], option: str = "--out"
) -> None:
    """Raise if an output has no name, or would take the place of something that is read.

    Parameters
    ----------
    output : path
        File or directory to write.
    inputs : iterable of path or None
        Files and directories that are read; None is skipped.
    option : str
        What gave the output, for the message.

    Raises
    ------
    BalrogError
        If an input is the output, or lies in it; if the output would be a part of an emulator.
    """
    if not Path(output).name:
        raise BalrogError(f"{option} must name a file or directory to write, found {str(output)!r}")
    place = Path(output).resolve()
    for each in inputs:
        if each is not None and place in (Path(each).resolve(), *Path(each).resolve().parents):
            raise BalrogError(
                f"{option} must lie elsewhere than what is read: {output} would replace {each}; "
                f"give another {option}"
            )
    _require_no_part(place, option)


def require_other(output: Path, inputs: Iterable[Path], option: str = "--out") -> None:
    """Raise BalrogError if files would be added to what is read, or to a part of an emulator."""
    same = [each for each in inputs if each.resolve() == output.resolve()]
    if same:
        raise BalrogError(
            f"{option} must be another directory than what is read, found {same[0]}; give another "
            f"{option}"
        )
    _require_no_part(output.resolve(), option)


def _require_no_part(place: Path, option: str) -> None:
    """An emulator whose files are not those that it lists is refused from then on."""
    for part in (place, *place.parents):
        if part.name in (MODEL_VERSION, WEIGHTS_DIRECTORY) and is_bundle(part.parent):
            raise BalrogError(
                f"{option} must lie outside {part}, whose files are those of an emulator alone; "
                f"give another {option}"
            )


def files_in(directory: Path) -> list[str]:
    """Names of all files of a directory and those below, relative to it, with ``/``, sorted."""
    found = [path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(path.relative_to(directory).as_posix() for path in found)


def require_only(directory: Path, known: Collection[str], record: Path) -> None:
    """Raise if a directory that is to be replaced holds a file that is not of its making.

    Parameters
    ----------
    directory : path
        An earlier output.
    known : collection of str
        Its files, as :func:`files_in` names them.
    record : path
        What lists them, for the message.

    Raises
    ------
    BalrogError
        Names the first files that are not known.
    """
    others = sorted(set(files_in(directory)) - set(known))
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise BalrogError(
            f"{directory} must hold only the files that {record} lists; it also holds "
            f"{', '.join(others[:_NAMED])}{more}, which would be lost: move them away, or give "
            "another --out"
        )
