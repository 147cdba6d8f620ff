"""The command line of ``python -m balrog_keras export-onnx``."""

from __future__ import annotations

import argparse
import sys

from data_prep.command_line import CommandParser, add_verbosity, user_path
from data_prep.console import run_command

__all__ = ["main"]

_DESCRIPTION = """\
Write an exported emulator's networks as ONNX, for pipelines without TensorFlow: from_latent.onnx
(one for each member of an ensemble), detection_probability.onnx if it has a detection model, and
onnx.json (columns, units, training range, checksums). What onnxruntime draws is compared with the
SavedModel first. Needs the extra onnx.

examples:
  python -m balrog_keras export-onnx saved_models/mini-balrog --out onnx/mini-balrog
"""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m balrog_keras export-onnx", _DESCRIPTION)
    add = parser.add_argument
    add("emulator", type=user_path, help="saved_models/NAME")
    add(
        "--out",
        type=user_path,
        required=True,
        help="directory; an earlier export there is replaced",
    )
    add_verbosity(parser)
    return parser


def _export(options: argparse.Namespace) -> int:
    from balrog_keras.onnx_place import exportable
    from data_prep.errors import require

    exportable(options.emulator, options.out)  # TensorFlow takes its time to start.
    require("tensorflow", "cpu")
    from balrog_keras.onnx_export import export_onnx

    export_onnx(options.emulator, options.out)
    for path in sorted(options.out.iterdir()):
        print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Export; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _export(options), options.quiet, verbose=options.verbose)
