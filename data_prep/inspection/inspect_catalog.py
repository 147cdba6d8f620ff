"""What a catalogue is, as text: columns and their values, footprint, which preset fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.catalogs import Catalog
from data_prep.inspection.file_kind import HATS_NAMES
from data_prep.inspection.footprint import Footprint
from data_prep.inspection.preset_fit import CatalogFit, catalog_fits, find_column
from data_prep.inspection.text_layout import fields, short_number, table
from data_prep.preset import Preset
from data_prep.progress import Progress

__all__ = ["SAMPLE_ROWS", "describe_catalog", "size_text"]

# Rows that columns are described from.
SAMPLE_ROWS = 100_000

_BATCH_ROWS = 1_000_000
_COLUMNS_AT_ONCE = 32
# The median occupied pixel of the footprint holds so many rows.
_ROWS_PER_PIXEL = 20
_SHOWN_FITS, _SHOWN_MISSING, _SHOWN_SENTINELS = 3, 6, 3
_NAME_WIDTH = 40
_HEADER = ("column", "type", "unit", "min", "max", "no value", "likely sentinels")
# Besides those that presets name.
_POSITIONS = (
    (("ra", "RA", "ALPHAWIN_J2000", "RAJ2000"), ("dec", "DEC", "DELTAWIN_J2000", "DEJ2000")),
    (("meas_ra", "unsheared/ra"), ("meas_dec", "unsheared/dec")),
)


def describe_catalog(
    catalog: Catalog, presets: Sequence[Preset]
) -> tuple[list[str], Footprint | None]:
    """Say what a catalogue is: columns by its first rows, the footprint by all.

    Parameters
    ----------
    catalog : Catalog
        The catalogue.
    presets : sequence of Preset
        Presets that it may fit.

    Returns
    -------
    lines : list of str
        For the screen.
    footprint : Footprint or None
        Where the rows are, in pixels that hold tens of rows; None if no column is a position.

    Raises
    ------
    BalrogError
        If the file is damaged.
    """
    fits = catalog_fits(catalog, presets)
    footprint, where = _footprint(catalog, presets)
    count = min(catalog.rows, SAMPLE_ROWS)
    sentinels = sorted({s for preset in presets for v in preset.sentinels.values() for s in v})
    pairs = [
        ("format", size_text(catalog)),
        ("label", catalog.label),
        ("position", where),
        *_fit_pairs(catalog, fits),
    ]
    rows = list(_column_rows(catalog, count, sentinels))
    lines = [str(catalog.path), *fields(pairs), "", f"values in the first {count:,} rows"]
    return lines + table(_HEADER, rows, "lllrrrl"), footprint


def size_text(catalog: Catalog) -> str:
    """Format and size of a catalogue."""
    name = type(catalog).__name__.removesuffix("Catalog")
    name = {"Fits": "FITS", "Hdf5": "HDF5", "Csv": "CSV"}.get(name, name)
    if any((catalog.path / part).is_file() for part in HATS_NAMES):
        name = "HATS"
    columns = len(catalog.widths)
    return f"{name} catalogue, {catalog.rows:,} rows, {columns:,} columns"


def _fit_pairs(catalog: Catalog, fits: Sequence[CatalogFit]) -> Iterator[tuple[str, str]]:
    """Presets that fit, those that nearly do, and what the best one finds here."""
    whole = [fit for fit in fits if not fit.missing]
    for role in dict.fromkeys(fit.role for fit in whole):
        names = [fit.preset.schema.name for fit in whole if fit.role == role]
        yield "fits", f"{', '.join(names)} as {role}"
    nearly = [fit for fit in fits if fit.missing and fit.found > len(fit.missing) * bool(whole)]
    for fit in nearly[:_SHOWN_FITS]:
        more = len(fit.missing) - _SHOWN_MISSING
        missing = ", ".join(fit.missing[:_SHOWN_MISSING]) + (
            f" and {more} more" if more > 0 else ""
        )
        total = fit.found + len(fit.missing)
        yield (
            "nearly fits",
            f"{fit.preset.schema.name} as {fit.role}: {fit.found} of {total} columns, without "
            f"{missing}",
        )
    if whole or nearly:
        yield from _join_pairs(catalog, (whole + nearly)[0].preset)
    else:
        yield "fits", "no preset: copy one and write the names of these columns into it"


def _join_pairs(catalog: Catalog, preset: Preset) -> Iterator[tuple[str, str]]:
    detected = preset.detected.inputs.values() if preset.detected else ()
    wanted = {
        "id": [preset.id],
        "parent": [preset.parent],
        "detected": [entry.names for entry in detected],
        "weight": [preset.weight],
    }
    for label, alternatives in wanted.items():
        found = [find_column(catalog, names, preset.vector_bands) for names in alternatives]
        if all(found):
            yield label, ", ".join(map(str, found))


def _footprint(catalog: Catalog, presets: Sequence[Preset]) -> tuple[Footprint | None, str]:
    """Where the rows are, and the same in words."""
    pairs = [preset.position for preset in presets] + list(_POSITIONS)
    for ra_names, dec_names in pairs:
        ra, dec = (find_column(catalog, names) for names in (ra_names, dec_names))
        if ra and dec:
            break
    else:
        return None, "no column has a known name of ra and dec"
    footprint, lost, columns = Footprint(), 0, [ra.column, dec.column]
    with Progress(f"positions of {catalog.path.name}", catalog.rows, "rows") as progress:
        for batch in catalog.batches(columns, _BATCH_ROWS):
            values = batch[ra.column], batch[dec.column]
            lost += footprint.add_positions(*values)
            progress.update(len(values[0]))
    bounds, footprint = footprint.bounds(), footprint.coarse(_ROWS_PER_PIXEL)
    where = f"{ra}, {dec}: {bounds or 'none is on the sky'}"
    if bounds:
        where += f"; {footprint.area_deg2:,.3g} deg2 in pixels of nside {footprint.nside}"
    return footprint, where + (f"; {lost:,} rows are not on the sky" if lost else "")


def _column_rows(
    catalog: Catalog, count: int, sentinels: Sequence[float]
) -> Iterator[tuple[str, ...]]:
    """A row of the table for each column."""
    numeric = [name for name, width in catalog.widths.items() if width]
    found = {}
    for start in range(0, len(numeric), _COLUMNS_AT_ONCE):
        names = numeric[start : start + _COLUMNS_AT_ONCE]
        batches = list(catalog.batches(names, count, 0, count))
        for name in names:
            values = np.concatenate([batch[name] for batch in batches])
            found[name] = _values_cells(values, sentinels)
    for name in catalog.widths:
        kind, *rest = found.get(name, ("no numbers", "", "", "", ""))
        yield name[:_NAME_WIDTH], kind, catalog.units.get(name, ""), *rest


def _values_cells(values: np.ndarray, sentinels: Sequence[float]) -> tuple[str, ...]:
    """Type, least, greatest, count without value, and sentinels of a column."""
    kind = values.dtype.str[1:] + (f"[{values.shape[1]}]" if values.ndim == 2 else "")
    if values.dtype == bool:
        values = values.astype(np.int8)
    proper = values[np.isfinite(values)]
    lost = values.size - proper.size
    held = {}
    for sentinel in sentinels:
        # A whole number such as 99 may well be a count or an id, a negative one hardly.
        if sentinel < 0 or values.dtype.kind == "f":
            is_it = proper == sentinel
            held[sentinel], proper = int(is_it.sum()), proper[~is_it]
    ends = [short_number(end) for end in (proper.min(), proper.max())] if proper.size else ["", ""]
    common = sorted((s for s in held if held[s]), key=lambda s: -held[s])[:_SHOWN_SENTINELS]
    text = ", ".join(f"{short_number(s)} ({held[s]:,})" for s in common)
    return kind, *ends, f"{lost:,}" if lost else "", text
