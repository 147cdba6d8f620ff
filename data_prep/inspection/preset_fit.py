"""Which presets fit a catalogue or a directory of maps, and what those that nearly do miss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import presets as shipped
from data_prep.catalogs import Catalog, Element
from data_prep.errors import BalrogError
from data_prep.map_formats.map_finding import find_map
from data_prep.map_formats.map_header import split_column
from data_prep.preset import Preset, load_preset

__all__ = [
    "CatalogFit",
    "MapFit",
    "catalog_fits",
    "find_column",
    "load_presets",
    "map_fit",
    "served_columns",
]

Needs = list[tuple[str, ...]]


@dataclass(frozen=True)
class CatalogFit:
    """How a catalogue fits a preset.

    Attributes
    ----------
    preset : Preset
        The preset.
    role : str
        What the catalogue would be: ``--catalog``, ``--detection`` or ``--deep``.
    found : int
        Columns found.
    missing : tuple of str
        Columns not found, alternatives joined by "or".
    """

    preset: Preset
    role: str
    found: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class MapFit:
    """How a directory of maps fits a preset.

    Attributes
    ----------
    preset : Preset
        The preset.
    found : dict of str to path
        Survey column (``column.alias`` if it is made from several maps) -> map file.
    missing : dict of str to str
        Survey column -> what is wrong: the patterns that match no file, or match several.
    """

    preset: Preset
    found: Mapping[str, Path]
    missing: Mapping[str, str]


def load_presets(name: str | None) -> list[Preset]:
    """Load the preset of this name or path, or every shipped one."""
    if name is not None:
        return [load_preset(name)]
    directory = Path(shipped.__file__).parent
    return [load_preset(path.stem) for path in sorted(directory.glob("*.yaml"))]


def catalog_fits(catalog: Catalog, presets: Sequence[Preset]) -> list[CatalogFit]:
    """How a catalogue fits each preset, in the role it fits best; best first."""
    fits = [
        max(
            (_fit(catalog, preset, role, needs) for role, needs in _needs(preset)),
            key=lambda fit: (-len(fit.missing), fit.found),
        )
        for preset in presets
    ]
    return sorted(fits, key=lambda fit: (len(fit.missing), -fit.found))


def _fit(catalog: Catalog, preset: Preset, role: str, needs: Needs) -> CatalogFit:
    needs = list(dict.fromkeys(needs))
    missing = tuple(
        " or ".join(names)
        for names in needs
        if find_column(catalog, names, preset.vector_bands) is None
    )
    return CatalogFit(preset, role, len(needs) - len(missing), missing)


def find_column(
    catalog: Catalog, names: Sequence[str], vector_bands: Sequence[str] = ()
) -> Element | None:
    """The first of these columns that the catalogue has as they are asked for, or None."""
    try:
        return catalog.find(names, vector_bands)
    except BalrogError:
        # It is there, but holds no numbers, or no such element.
        return None


def _needs(preset: Preset) -> Iterator[tuple[str, Needs]]:
    """Roles of a catalogue, and the columns it must have in each."""
    position, ids = list(preset.position), [preset.id] if preset.id else []
    truth, measured = (
        [entry.names for column in columns for entry in preset.sources[column.name].inputs.values()]
        for columns in (preset.schema.truth, preset.schema.measured)
    )
    detected = [entry.names for entry in preset.detected.inputs.values()] if preset.detected else []
    cuts: dict[str, Needs] = {"matched": [], "detection": []}
    for cut in preset.cuts:
        if not cut.optional:
            cuts[cut.table] += list(cut.inputs.values()) or [cut.columns]
    if preset.join == "none":
        everything = measured + truth + cuts["matched"] + cuts["detection"]
        yield "--catalog", ids + position + detected + everything
        return
    # Truth and position of the matched ones may be in the detection catalogue alone.
    checked: Needs = [(name,) for name in (preset.position_check or ())[:2]]
    yield "--catalog", ids + measured + cuts["matched"] + checked
    own_truth = [] if preset.deep_id else truth
    yield "--detection", ids + position + detected + own_truth + cuts["detection"]
    if preset.deep_id:
        yield "--deep", [preset.deep_id, *truth]


def map_fit(directory: Path, preset: Preset) -> MapFit:
    """Look for the maps of a preset in a directory."""
    found: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for column, source in preset.map_sources.items():
        for alias, patterns in source["maps"].items():
            name = column if len(source["maps"]) == 1 else f"{column}.{alias}"
            try:
                path = find_map(directory, patterns)
            except BalrogError as error:
                missing[name] = str(error)
                continue
            if path is None:
                missing[name] = " or ".join(patterns)
            else:
                found[name] = split_column(path)[0]
    return MapFit(preset, found, missing)


def served_columns(path: Path, presets: Sequence[Preset]) -> list[tuple[Preset, str]]:
    """Preset and survey column that take their values from this map, where it lies now."""
    # Patterns with a slash begin at the directory above.
    return [
        (preset, column)
        for preset in presets
        for directory in (path.parent, path.parent.parent)
        for column, found in map_fit(directory, preset).found.items()
        if found == path
    ]
