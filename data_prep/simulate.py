"""The mini-Balrog: galaxies injected into simulated images, detected and measured.

GalSim draws; SEP, the core of SExtractor, detects and measures. The output has the files,
columns, shapes and units of DES Y3 Balrog's.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from data_prep.command_line import add_examples
from data_prep.errors import BalrogError, require
from data_prep.files import atomic_directory, linked_place, write_json
from data_prep.locks import locked
from data_prep.mini_balrog.simulate_settings import SimulateSettings

__all__ = ["SimulateSettings", "add_arguments", "run", "simulate"]

logger = logging.getLogger(__name__)

_FORMAT_VERSION = 1
_RECORD = "simulation.json"

_EXAMPLES = """\
examples:
  python -m data_prep simulate --out demo/sim --replicate
  python -m data_prep simulate --out sim-des --maps DIRECTORY_WITH_DES_MAPS --tiles 40
  python -m data_prep simulate --out sim-small --tiles 4 --realizations 1 --workers 1

OUT then holds maps/, balrog_detection_catalog (every injection) and balrog_matched_catalog
(detected only), as FITS and Parquet, and simulation.json.  Next:
  python -m data_prep prepare --preset des-y3-sof --catalog OUT/balrog_matched_catalog.fits \\
      --detection OUT/balrog_detection_catalog.fits --maps OUT/maps --out SHARDS
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m data_prep simulate``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser of the sub-command.
    """
    add_examples(parser, _EXAMPLES)
    default = {field.name: field.default for field in fields(SimulateSettings)}

    def number(name: str, text: str) -> None:
        key = name.strip("-").replace("-", "_")
        kind = type(default[key])
        metavar = "N" if kind is int else "F"
        parser.add_argument(
            name, type=kind, default=default[key], metavar=metavar, help=f"{text} (%(default)s)"
        )

    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    number("--tiles", "coadd tiles, each in a region of its own on the default sky")
    number("--realizations", "injection realizations per tile")
    number("--tile-pixels", "pixels of 0.263\" along a tile's side")
    number("--parents", "galaxies injected over and over, in disjoint pools per split")
    number("--seed", "seed of everything drawn")
    number("--split-seed", "seed of which region is train, validation, test; as in prepare")
    number("--validation-fraction", "of the tiles; give prepare the same")
    number("--test-fraction", "of the tiles; give prepare the same")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument(
        "--workers",
        type=int,
        default=cores or 1,
        metavar="N",
        help="processes; the result does not depend on it (all cores: %(default)s)",
    )
    parser.add_argument(
        "--maps",
        metavar="DIR",
        help="use these survey property maps: six in DES Y3's names, or DES Y3's i-band "
        "mangle maps, from which r and z are derived (default: a mock survey)",
    )
    parser.add_argument(
        "--truth",
        metavar="FILE",
        help="take the parents from this FITS or Parquet catalogue (default: drawn)",
    )
    parser.add_argument(
        "--replicate",
        action="store_true",
        help="also redraw the test regions' injections (same galaxies and positions; new field, "
        "noise and pixel phase): the oracle that evaluate.py judges by",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the sub-command.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed with :func:`add_arguments`.
    """
    names = {field.name for field in fields(SimulateSettings)}
    simulate(SimulateSettings(**{k: v for k, v in vars(arguments).items() if k in names}))


def simulate(settings: SimulateSettings) -> dict[str, Any]:
    """Simulate, and write the catalogues and maps.

    Parameters
    ----------
    settings : SimulateSettings
        What to simulate.

    Returns
    -------
    dict
        The content of ``simulation.json``.

    Raises
    ------
    BalrogError
        If the settings cannot be met, the output directory holds something else, or another
        process writes it.
    MissingExtraError
        If GalSim or SEP is not installed.
    """
    from data_prep.mini_balrog.simulation import simulate_into

    out = linked_place(settings.out)
    if (done := _already_there(out, settings)) is not None:
        return done
    for module in ("galsim", "sep"):
        require(module, "sim")
    # What a killed simulation had begun cannot be gone on with.
    with locked(out, "give another --out"), atomic_directory(out) as partial:
        record: dict[str, Any] = {
            "format_version": _FORMAT_VERSION,
            "settings": settings.recorded(),
        }
        record |= simulate_into(partial, settings)
        write_json(partial / _RECORD, record)
    _report(out, record["counts"], settings)
    return record


def _report(out: Path, counts: dict[str, int], settings: SimulateSettings) -> None:
    shown = ("injections", "tiles", "detected", "train", "validation", "test")
    logger.info(
        "%s: %s injections in %s tiles, %s detected (train %s, validation %s, test %s)",
        out,
        *(f"{counts[name]:,}" for name in shown),
    )
    there = shlex.quote(str(out))
    command = (
        f"python -m data_prep prepare --preset des-y3-sof "
        f"--catalog {there}/balrog_matched_catalog.fits "
        f"--detection {there}/balrog_detection_catalog.fits --maps {there}/maps --out SHARDS"
    )
    if settings.replicate:
        command += f" --replicate {there}/replicate_matched_catalog.fits"
    logger.info("next: %s", command)


def _already_there(out: Path, settings: SimulateSettings) -> dict[str, Any] | None:
    """Record of a finished simulation of the same settings; BalrogError if `out` is taken."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = out / _RECORD
    if not record.is_file():
        raise BalrogError(
            f"{out} must be new, empty or a finished simulation; it has no {_RECORD}; give another "
            "--out or remove it"
        )
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        old = found["settings"] | {"format_version": found["format_version"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BalrogError(f"{record} is damaged ({error}); remove {out} and run again") from error
    new = settings.recorded() | {"format_version": _FORMAT_VERSION}
    for name in new:
        if old.get(name) != new[name]:
            raise BalrogError(
                f"{out} holds a simulation of other settings: {name} is {old.get(name)!r} there, "
                f"{new[name]!r} now; give another --out or remove it"
            )
    logger.info("%s is already there, with the same settings; nothing to do", out)
    return dict(found)
