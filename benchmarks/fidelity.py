"""How faithful the emulator is beside two peers: a neural spline flow and the original recipe.

    python benchmarks/fidelity.py run [--systems ours flow-ar ...] [--seconds 300] [--cores 1]
        [--seeds 0 1 2] [--screen] [--rows 10000 30000] [--settings lever.yaml --label lever]
        [--ladder] [--clock cpu] [--markdown table.md]
    python benchmarks/fidelity.py score saved_models/NAME
    python benchmarks/fidelity.py table [--columns]
    python benchmarks/fidelity.py --schema mini-balrog-shapes run ...

run     trains every system for the same time on the same cores (compilation, scaling and
        validations included, imports not), scores it on 100,000 rows of other tiles and prints
        systems beside nulls and bars. What is done is kept below --directory and not made again.
        The data are simulated first if absent (15 minutes). --screen scores one seed on 60,000
        rows, in about five minutes a system with --seconds 120.
score   scores one exported emulator.
table   prints the table of the kept results; --columns adds one of every measured column.
--schema  names another preset for the same injections (mini-balrog-shapes: magnitudes, flux errors,
        size and shape, nine measured columns); its shards, models and results have a folder of
        that name below --directory. Every system learns all of its measured columns.

The time to an AUC (--ladder) comes from separate runs of 25, 50, 100, 200 and 400 s, up to the
first that gets there, each with its learning rate ending there: the first budget whose AUC (boosted
trees, validation tiles) is at most the oracle's plus 0.02 and 0.01. On a busy machine give --clock
cpu: a budget then counts processor seconds over cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from machine import machine  # noqa: I001  (first, so that data_prep is the package)

import data_prep  # noqa: F401  (before the benchmarks' folder is on the path again)

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from fidelity_parts import data, report, runner, systems, tables
from fidelity_parts.spec import Spec, pin

from balrog_keras.allocator import keep_freed_memory
from data_prep.errors import BalrogError
from data_prep.files import write_json

LADDER = (25, 50, 100, 200, 400)


def main() -> None:
    keep_freed_memory()
    options = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        options.command(options)
    except BalrogError as error:
        sys.exit(f"error: {error}")


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--directory", type=Path, default=Path("demo/fidelity"))
    result.add_argument("--schema", default=data.SCHEMA, help=f"preset ({data.SCHEMA})")
    result.add_argument("--data", type=Path, help="other shards than the benchmark's")
    commands = result.add_subparsers(required=True, metavar="{run,score,table}")
    _add_run(commands.add_parser("run", help="train and score systems"))
    table = commands.add_parser("table", help="print the kept results")
    table.add_argument("--screen", action="store_true")
    table.add_argument("--markdown", type=Path)
    table.add_argument("--columns", action="store_true", help="also by measured column")
    table.set_defaults(command=print_results)
    score = commands.add_parser("score", help="score an exported emulator")
    score.set_defaults(command=score_bundle)
    score.add_argument("emulator", type=Path)
    score.add_argument("--screen", action="store_true", help="fewer rows and draws")
    score.add_argument("--json", type=Path, help="also write the statistics")
    # What a run starts as processes of their own.
    for name, command in (("train-one", train_one), ("score-one", score_one),
                          ("validate-one", validate_one), ("speed-one", speed_one)):  # fmt: skip
        one = commands.add_parser(name)
        one.set_defaults(command=command)
        one.add_argument("model", type=Path)
        one.add_argument("--out", type=Path)
        one.add_argument("--cores", type=int, default=1)
        one.add_argument("--screen", action="store_true")
        one.add_argument("--compile", action="store_true")
    return result


def _add_run(run: argparse.ArgumentParser) -> None:
    run.set_defaults(command=run_systems)
    add = run.add_argument
    add("--systems", nargs="+", default=["ours", "flow-ar", "flow-coupling", "original"],
        choices=list(systems.SYSTEMS))  # fmt: skip
    add("--seeds", nargs="+", type=int, default=[0])
    add("--seconds", type=float, default=300.0, help="budget of one training (300)")
    add("--cores", type=int, default=1, help="cores of one training (1)")
    add("--clock", choices=["wall", "cpu"], default="wall", help="what the budget counts")
    add("--rows", nargs="+", type=int, default=[None], help="training rows: a learning curve")
    add("--settings", type=Path, help="YAML of settings that differ from the system's defaults")
    add("--label", help="name of the system with those settings")
    add("--screen", action="store_true", help="score on fewer rows and draws")
    add("--ladder", action="store_true", help="time to an AUC, after the table")
    add("--speed", action="store_true", help="measure draws per second of the trained systems")
    add("--compile", action="store_true", help="try torch.compile for the flow's speed")
    add("--markdown", type=Path, help="also write the table there")
    add("--columns", action="store_true", help="also a table by measured column")


def home_of(options: argparse.Namespace) -> Path:
    """Directory of models, results and caches."""
    return data.home(options.directory, options.schema)


def shards_of(options: argparse.Namespace) -> Path:
    """The given shards, or the benchmark's, made if absent."""
    return options.data or data.make_shards(options.directory, options.schema)


def specs_of(options: argparse.Namespace) -> list[Spec]:
    """Every training that the options ask for; seeds innermost."""
    import yaml

    given: dict[str, Any] = {}
    if options.settings:
        given = yaml.safe_load(options.settings.read_text()) or {}
        if len(options.systems) > 1:
            raise BalrogError("--settings are one system's: name it with --systems")
    return [
        Spec(
            system=system,
            label=options.label or system,
            seed=seed,
            seconds=options.seconds,
            cores=options.cores,
            clock=options.clock,
            rows=rows,
            settings=given,
        )
        for rows in options.rows
        for system in options.systems
        for seed in options.seeds
    ]


def run_systems(options: argparse.Namespace) -> None:
    """Train, score, measure the speed, print."""
    print(machine())
    here = runner.Runner(home_of(options), shards_of(options), options.screen)
    specs = specs_of(options)
    if not options.data:
        data.make_more(options.directory, options.schema, max(spec.rows or 0 for spec in specs))
    for spec in specs:
        here.scored(spec)
    if options.speed:
        first = {spec.group: here.model(spec) for spec in reversed(specs)}
        here.speed(first, options.cores, options.compile)
    print_results(options)
    if options.ladder:
        validation = options.data or data.validation_shards(options.directory, options.schema)
        print(report.ladder(here, specs, LADDER, validation))


def print_results(options: argparse.Namespace) -> None:
    """The table of what is kept, its bars, results.json, and the Markdown file asked for."""
    home = home_of(options)
    here = runner.Runner(home, options.data or home / "shards", options.screen)
    text = report.report(here, options.columns)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


def score_bundle(options: argparse.Namespace) -> None:
    """Score one exported emulator beside the oracle."""
    from fidelity_parts.reference import Reference
    from fidelity_parts.scores import score

    from balrog_keras.emulator import Emulator

    scoring = runner.SCREEN if options.screen else runner.Scoring()
    cache = home_of(options) / "reference"
    reference = Reference.of(shards_of(options), cache, max_rows=scoring.max_rows)
    statistics, _ = score(
        Emulator.load(options.emulator),
        reference,
        draws=scoring.draws,
        calibration_rows=scoring.calibration_rows,
        classifier_draws=scoring.classifier_draws,
    )
    mine = tables.summary([statistics])
    oracle = tables.summary([reference.oracle])
    print(tables.markdown({str(options.emulator): mine, "oracle": oracle}, {}))
    print("\n".join(tables.verdict_lines(mine)))
    if options.json:
        write_json(options.json, statistics)


def train_one(options: argparse.Namespace) -> None:
    """Train the spec of a model's directory."""
    runner.train_here(options.model, options.data, options.directory)


def score_one(options: argparse.Namespace) -> None:
    """Score a trained spec."""
    scoring = runner.SCREEN if options.screen else runner.Scoring()
    cache = options.directory / "reference"
    runner.score_here(options.model, options.data, cache, options.out, scoring)


def validate_one(options: argparse.Namespace) -> None:
    """AUC of a trained spec on validation rows."""
    cache = options.directory / "reference"
    runner.validate_here(options.model, options.data, cache, options.out)


def speed_one(options: argparse.Namespace) -> None:
    """Draws per second of the models that a JSON file lists."""
    pin(options.cores)
    from fidelity_parts.speed import draws_per_second

    models = {label: Path(path) for label, path in json.loads(options.model.read_text()).items()}
    write_json(options.out, draws_per_second(models, options.data, options.compile))


if __name__ == "__main__":
    main()
