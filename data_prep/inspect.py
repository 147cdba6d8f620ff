"""``python -m data_prep inspect``: say what a file or directory is, and draw it."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.command_line import add_examples
from data_prep.errors import BalrogError

if TYPE_CHECKING:
    import numpy as np

    from data_prep.inspection.footprint import Footprint

__all__ = ["add_arguments", "run"]

logger = logging.getLogger(__name__)

_EXAMPLES = """examples:
  python -m data_prep inspect balrog_matched_catalog_sof.fits
  python -m data_prep inspect maps/
  python -m data_prep inspect maps/y3a2_r_o.4096_t.32768_FWHM.WMEAN_EQU.fits.gz --plot fwhm.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m data_prep inspect``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser of the sub-command.
    """
    add_examples(parser, _EXAMPLES)
    parser.add_argument(
        "path", type=Path, metavar="FILE|DIR",
        help="map, catalogue, shards, or directory of them; FILE#COLUMN picks a map's column",
    )  # fmt: skip
    parser.add_argument(
        "--plot", type=Path, metavar="OUT.png", help="draw a map, or where a catalogue's rows are"
    )
    parser.add_argument(
        "--preset", metavar="NAME|FILE", help="compare with this preset (every shipped one)"
    )
    parser.add_argument(
        "--allow-pickle", action="store_true", help="open pickles, which runs code that is in them"
    )
    parser.add_argument("--map-nside", type=int, metavar="N", help="for a map that does not say")
    parser.add_argument(
        "--map-ordering", choices=("nest", "ring"), help="for a map that does not say"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print what a file or directory is; draw it if asked.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed.

    Raises
    ------
    BalrogError
        If it is none of what this package knows, is damaged, or cannot be drawn.
    """
    from data_prep.inspection.file_kind import kind_of
    from data_prep.inspection.preset_fit import load_presets
    from data_prep.map_formats.map_header import split_column

    path, _ = split_column(arguments.path)
    if not path.exists():
        raise BalrogError(f"a file or directory is needed; {path} does not exist")
    nest = {"nest": True, "ring": False, None: None}[arguments.map_ordering]
    kind = kind_of(path, as_map=arguments.map_nside is not None or nest is not None)
    if arguments.plot is not None:
        _require_drawable(arguments.plot, path, kind)
    presets = load_presets(arguments.preset)
    if kind == "map":
        lines = _map(arguments, nest, presets)
    elif kind == "catalogue":
        lines = _catalog(arguments, presets)
    else:
        lines = _directory(arguments, kind, nest, presets)
    print("\n".join(lines))


def _require_drawable(plot: Path, path: Path, kind: str) -> None:
    from data_prep.inspection.sky_plot import PLOT_SUFFIXES

    if plot.suffix not in PLOT_SUFFIXES:
        raise BalrogError(
            f"--plot must name a file ending with {', '.join(PLOT_SUFFIXES)}; found {plot.name}"
        )
    if kind not in ("map", "catalogue"):
        raise BalrogError(f"--plot draws a map or a catalogue; {path} is neither")


def _map(arguments: argparse.Namespace, nest: bool | None, presets: list[Any]) -> list[str]:
    from data_prep.inspection.inspect_map import describe_map
    from data_prep.map_formats.map_file import SurveyMap

    survey_map = SurveyMap.open(arguments.path, arguments.map_nside, nest)
    lines, content = describe_map(survey_map, presets)
    unit = survey_map.unit or "value"
    _draw(arguments, content.footprint, survey_map.values_at, "", unit)
    return lines


def _catalog(arguments: argparse.Namespace, presets: list[Any]) -> list[str]:
    from data_prep.catalogs import open_catalog
    from data_prep.inspection.inspect_catalog import describe_catalog

    catalog = open_catalog(arguments.path, arguments.allow_pickle)
    lines, footprint = describe_catalog(catalog, presets)
    if arguments.plot is not None and footprint is None:
        raise BalrogError(
            f"{arguments.path}: --plot needs columns with ra and dec, found none by a known name; "
            "give --preset with a preset of your own that names them"
        )
    if footprint is not None:
        _draw(arguments, footprint, footprint.density_at, catalog.label, "rows per square degree")
    return lines


def _directory(
    arguments: argparse.Namespace, kind: str, nest: bool | None, presets: list[Any]
) -> list[str]:
    from data_prep.inspection import inspect_directory as describe

    if kind == "shards":
        return describe.describe_shards(arguments.path)
    if kind == "emulator":
        return describe.describe_emulator(arguments.path)
    if kind == "directory":
        return describe.describe_directory(
            arguments.path, presets, arguments.map_nside, nest, arguments.allow_pickle
        )
    raise BalrogError(
        f"{arguments.path} must be a map, a catalogue or a directory; by its name it is none"
    )


def _draw(
    arguments: argparse.Namespace,
    footprint: Footprint,
    values_at: Callable[[np.ndarray, np.ndarray], np.ndarray],
    label: str,
    unit: str,
) -> None:
    from data_prep.inspection.sky_plot import sky_plot

    if arguments.plot is None:
        return
    bounds = footprint.bounds()
    if bounds is None:
        raise BalrogError(f"{arguments.path}: nothing to draw; no pixel or row is on the sky")
    title = f"{arguments.path.name}\n{label}".strip()
    sky_plot(arguments.plot, bounds, values_at, title, unit)
    logger.info("drew %s", arguments.plot)
