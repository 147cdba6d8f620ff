"""What is in a directory, as text: maps and catalogues, shards, or an exported emulator."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError
from data_prep.inspection.file_kind import kind_of
from data_prep.inspection.inspect_catalog import size_text
from data_prep.inspection.inspect_map import layout_text, pixels_text
from data_prep.inspection.preset_fit import MapFit, map_fit
from data_prep.inspection.text_layout import fields, table
from data_prep.manifest import Manifest
from data_prep.map_formats.map_file import SurveyMap
from data_prep.preset import Preset

__all__ = ["describe_directory", "describe_emulator", "describe_shards"]

_SHOWN_MISSING = 3


def describe_emulator(directory: Path) -> list[str]:
    """Say that a directory is an exported emulator."""
    return [
        str(directory),
        *fields([("emulator", "exported by training; it is no input of data_prep")]),
        f"next: python -m balrog_keras info {shlex.quote(str(directory))}",
    ]


def describe_shards(directory: Path) -> list[str]:
    """Say what shards hold, by their manifest.

    Raises
    ------
    BalrogError
        If the manifest is damaged or a shard missing.
    """
    manifest = Manifest.load(directory)
    content = manifest.content
    pairs = [
        ("shards", f"preset {content['preset']}, format {content['format_version']}"),
        ("label", manifest.label),
        ("made by", str(manifest.provenance.get("command", ""))),
        ("rows read", f"{content['rows_read']:,}"),
        *(("dropped", f"{rows:,} {reason}") for reason, rows in content["dropped"].items()),
        ("schema", manifest.schema.fingerprint),
    ]
    splits = [
        (name, f"{split['rows']:,}", str(len(split["shards"])))
        for name, split in manifest.splits.items()
    ]
    columns = [(column.name, column.group, column.unit) for column in manifest.schema.columns]
    return [
        str(directory),
        *fields(pairs),
        "",
        *table(("split", "rows", "files"), splits, "lrr"),
        "",
        *table(("column", "group", "unit"), columns),
        f"next: python -m data_prep verify {shlex.quote(str(directory))}",
    ]


def describe_directory(
    directory: Path,
    presets: Sequence[Preset],
    nside: int | None,
    nest: bool | None,
    allow_pickle: bool,
) -> list[str]:
    """Say what a directory and those in it hold, by the files' headers.

    Parameters
    ----------
    directory : path
        The directory.
    presets : sequence of Preset
        Presets whose maps may be there.
    nside, nest : int, bool or None
        For maps whose header lacks them.
    allow_pickle : bool
        Whether pickles may be opened.

    Returns
    -------
    list of str
        For the screen.

    Raises
    ------
    BalrogError
        If there is nothing that could be said.
    """
    places = _places(directory)
    fits = [map_fit(place, preset) for place in places for preset in presets]
    maps, others, problems = [], [], []
    for path in _entries(places):
        name = str(path.relative_to(directory))
        kind = kind_of(path)
        try:
            if kind == "map":
                opened = SurveyMap.open(path, nside, nest)
                maps.append((name, *_map_cells(opened), _served(path, fits)))
            elif kind == "catalogue":
                others.append((name, size_text(open_catalog(path, allow_pickle))))
            elif kind != "other":
                others.append((name, kind))
        except BalrogError as error:
            problems.append((name, str(error)))
    lines = []
    if maps:
        lines += ["", *table(("map", "stored as", "nside", "unit", "serves as"), maps)]
        lines += ["", *_preset_lines(fits)]
    if others:
        lines += ["", *table(("other", "what it is"), others)]
    if problems:
        lines += ["", "not readable", *fields(problems)]
    if not lines:
        raise BalrogError(
            f"{directory} must hold maps, catalogues, shards or an emulator; it holds none of them"
        )
    return [str(directory), *lines]


def _map_cells(survey_map: SurveyMap) -> tuple[str, str, str]:
    return layout_text(survey_map), pixels_text(survey_map), survey_map.unit


def _served(path: Path, fits: Sequence[MapFit]) -> str:
    """Survey columns of any preset that this map serves as."""
    return ", ".join(
        dict.fromkeys(name for fit in fits for name, found in fit.found.items() if found == path)
    )


def _places(directory: Path, depth: int = 2) -> list[Path]:
    """The directory, and those in it that are nothing but directories."""
    places = [directory]
    for path in sorted(directory.iterdir()) if depth else []:
        if path.is_dir() and not path.name.startswith(".") and kind_of(path) == "directory":
            places += _places(path, depth - 1)
    return places


def _entries(places: Sequence[Path]) -> Iterator[Path]:
    """What is in these directories, but for these themselves."""
    for place in places:
        for path in sorted(place.iterdir()):
            if not path.name.startswith(".") and path not in places:
                yield path


def _preset_lines(fits: Sequence[MapFit]) -> list[str]:
    """Which presets find all their maps, and what those that find some miss."""
    pairs: dict[str, str] = {}
    for fit in sorted(fits, key=lambda fit: len(fit.missing)):
        total = len(fit.found) + len(fit.missing)
        if fit.found and fit.preset.schema.name not in pairs:
            text = f"all {total} maps"
            if fit.missing:
                some = list(fit.missing.items())[:_SHOWN_MISSING]
                more = len(fit.missing) - len(some)
                text = f"{len(fit.found)} of {total} maps; misses "
                text += "; ".join(f"{name} ({why})" for name, why in some)
                text += f" and {more} more" if more else ""
            pairs[fit.preset.schema.name] = text
    if not pairs:
        return ["no preset knows these names: write those of your maps into a preset of your own"]
    return fields(list(pairs.items()))
