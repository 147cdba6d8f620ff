"""What a sky map is, as text: layout, coverage, values, which preset's column it serves as."""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.inspection.map_content import MapContent
from data_prep.inspection.preset_fit import served_columns
from data_prep.inspection.text_layout import fields, short_number
from data_prep.map_formats.fits_stream import is_gzipped, read_hdus, whole
from data_prep.map_formats.map_file import SurveyMap
from data_prep.map_formats.map_table import HealpixTable
from data_prep.preset import Preset

__all__ = ["describe_map", "layout_text", "pixels_text"]

_SKY_DEG2 = 41252.96
_LEVELS = {"0.01": "1 %", "0.16": "16 %", "0.5": "median", "0.84": "84 %", "0.99": "99 %"}
_LAYOUTS = {"full": "full sky", "partial": "list of pixels", "healsparse": "HealSparse"}


def describe_map(survey_map: SurveyMap, presets: Sequence[Preset]) -> tuple[list[str], MapContent]:
    """Read a map and say what it is.

    Parameters
    ----------
    survey_map : SurveyMap
        The map.
    presets : sequence of Preset
        Presets that it may serve.

    Returns
    -------
    lines : list of str
        For the screen.
    content : MapContent
        What was found.

    Raises
    ------
    BalrogError
        If the file is damaged.
    """
    import healpy

    served = served_columns(survey_map.path.absolute(), presets)
    known = {s for preset in presets for values in preset.sentinels.values() for s in values}
    content = MapContent.read(survey_map, [0.0, *sorted(known)], served)
    names = _columns(survey_map)
    columns = [f"[{name}]" if k == survey_map.column else name for k, name in enumerate(names)]
    resolution = healpy.nside2resol(survey_map.nside, arcmin=True)
    pairs = [
        ("map", layout_text(survey_map)),
        ("nside", f"{pixels_text(survey_map)}, pixels of {resolution:.3g} arcmin"),
        ("columns", ", ".join(columns)),
        ("unit", survey_map.unit or "not in the header"),
        ("valid", _coverage(survey_map, content)),
        ("footprint", str(content.footprint.bounds() or "")),
        *_values(content),
        ("no value", _without_value(survey_map, content)),
        *((("odd values", _odd(content)),) if content.odd.total() else ()),
        ("serves as", _serves(served) or "no column of a preset, by its name"),
        *(("junk", f"{n:,} pixels out of the range of {name}") for name, n in _junk(content)),
    ]
    return [str(survey_map.path), *fields(pairs)], content


def layout_text(survey_map: SurveyMap) -> str:
    """How the pixels are stored, such as ``list of pixels (gzip)``."""
    layout = _LAYOUTS[survey_map.layout]
    if survey_map.path.is_dir():
        return f"{layout} (Parquet)"
    return f"{layout} (gzip)" if is_gzipped(survey_map.path) else layout


def pixels_text(survey_map: SurveyMap) -> str:
    """Resolution and numbering, such as ``4096 NESTED``."""
    return f"{survey_map.nside} {'NESTED' if survey_map.nest else 'RING'}"


def _columns(survey_map: SurveyMap) -> list[str]:
    """Columns of the table or fields of the record map; [] where there is but one value."""
    if not isinstance(survey_map.source, HealpixTable):
        return list(survey_map.source.fields)
    with whole(survey_map.path):
        header = read_hdus(survey_map.path)[1].header
        count = int(header["TFIELDS"])
    return [str(header.get(f"TTYPE{number + 1}", "")).strip() for number in range(count)]


def _coverage(survey_map: SurveyMap, content: MapContent) -> str:
    import healpy

    area = content.valid * healpy.nside2pixarea(survey_map.nside, degrees=True)
    return f"{content.valid:,} pixels, {area:,.2f} deg2 ({100 * area / _SKY_DEG2:.3g} % of the sky)"


def _values(content: MapContent) -> list[tuple[str, str]]:
    found = content.statistics.describe()[0]
    if not content.valid:
        return [("values", "none")]
    levels = [f"{text} {short_number(found['quantiles'][q])}" for q, text in _LEVELS.items()]
    return [
        (
            "values",
            f"{short_number(found['min'])} to {short_number(found['max'])}, "
            f"mean {short_number(found['mean'])}",
        ),
        ("percentiles", ", ".join(levels)),
    ]


def _without_value(survey_map: SurveyMap, content: MapContent) -> str:
    count = content.stored - content.valid
    if not isinstance(survey_map.source, HealpixTable) or not count:
        return ""
    encoding = survey_map.source.encoding
    declared = [
        f"{key} {short_number(value)}"
        for key, value in (("BAD_DATA", encoding.bad_value), ("TNULL", encoding.null))
        if value is not None
    ]
    return f"{count:,} stored pixels ({', '.join(['NaN', 'UNSEEN', *declared])})"


def _odd(content: MapContent) -> str:
    found = [f"{short_number(value)} in {n:,} pixels" for value, n in content.odd.items() if n]
    zero = "; zero_is_missing in a preset makes 0 missing" if content.odd[0.0] else ""
    return ", ".join(found) + zero


def _serves(served: Sequence[tuple[Preset, str]]) -> str:
    presets: dict[str, list[str]] = {}
    for preset, column in served:
        presets.setdefault(column, []).append(preset.schema.name)
    return "; ".join(f"{column} of {', '.join(names)}" for column, names in presets.items())


def _junk(content: MapContent) -> list[tuple[str, int]]:
    return [(name, count) for name, count in content.outside.items() if count]
