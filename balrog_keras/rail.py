"""RAIL stages over an exported emulator: a noisifier and a selector.

RAIL (Redshift Assessment Infrastructure Layers; LSST DESC) builds photo-z pipelines of stages.
This module needs it to be imported at all, because the stages are classes of its kind.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.distributed_cache import description_sha256, loaded_emulator
from data_prep.errors import BalrogError, did_you_mean, require

if TYPE_CHECKING:
    import pandas

    from balrog_keras.emulator import Emulator

__all__ = ["BalrogNoisifier", "BalrogSelector"]

Param: Any = require("ceci.config", "rail").StageParameter
Noisifier: Any = require("rail.creation.noisifier", "rail").Noisifier
Selector: Any = require("rail.creation.selector", "rail").Selector

_SEED_BITS = 63


def _common_options() -> dict[str, Any]:
    """Configuration of both stages: the emulator, and where the input has what it needs."""
    return {
        "emulator": Param(str, required=True, msg="Directory of the emulator, saved_models/NAME"),
        "columns": Param(
            dict, {}, msg="Condition of the emulator -> column of the input, where names differ"
        ),
        "maps": Param(
            str, "", msg="Directory of survey property maps, for those that are no columns"
        ),
        "ra_col": Param(str, "ra", msg="Column of right ascension (degrees), to look up maps"),
        "dec_col": Param(str, "dec", msg="Column of declination (degrees), to look up maps"),
        "row_id_col": Param(
            str, "", msg="Column of whole numbers that keys the draws; if empty, the row number"
        ),
        "member": Param(int, 0, msg="Which member of an ensemble draws"),
    }


class _RunByCeci:
    """A stage whose command is ceci's: the ``__main__`` of its package is not about stages."""

    @classmethod
    def generate_command(cls: Any, *arguments: Any, **keywords: Any) -> str:
        """The command line that runs the stage, as a pipeline starts it."""
        command: str = super().generate_command(*arguments, **keywords)  # type: ignore[misc]
        module = cls.get_module()
        ours = f"-m {module.partition('.')[0]} {cls.name}"
        return command.replace(ours, f"-m ceci {module}.{cls.name}", 1)


class BalrogNoisifier(_RunByCeci, Noisifier):
    """Adds measured magnitudes, drawn by an emulator from p(measured | detected, condition).

    The output has every column and row of the input, and the measured columns of the emulator
    under their own names or those of ``output_columns``. Rows that cannot be emulated (off the
    maps, not finite, out of the schema's range) get ``nondetect_val`` and are counted in the log.

    What can be configured is in ``config_options``. With the same ``seed``, and a ``row_id_col``, a
    galaxy gets the same draw in any sample or order; with ``seed: null`` the draws differ each time
    (the log says the seed).

    Raises
    ------
    BalrogError
        When run, if a column is missing or would be overwritten unasked, two get one name, or the
        emulator is damaged.
    """

    name = "BalrogNoisifier"
    entrypoint_function = "__call__"
    config_options = Noisifier.config_options.copy()
    config_options.update(
        **_common_options(),
        output_columns=Param(
            dict, {}, msg="Measured column of the emulator -> column of the output; may overwrite"
        ),
        nondetect_val=Param(float, float("nan"), msg="Value of what cannot be emulated"),
        detected=Param(
            bool, False, msg="Draw detection too: adds p_detect and detected, and gives "
            "nondetect_val to rows that are not detected"
        ),
        in_domain=Param(bool, False, msg="Add in_domain: like the rows of the training?"),
    )  # fmt: skip

    def _initNoiseModel(self) -> None:
        """Load the emulator, once in a process."""
        self.noiseModel = _loaded(self.config.emulator)

    def _addNoise(self) -> None:
        """Draw the measured columns and add them to the input's."""
        data = _data_frame(self.get_data("input"))
        more = {"detected": self.config.detected, "in_domain": self.config.in_domain}
        drawn = _drawn(self.noiseModel, data, self.config, self.log, **more)
        names = {name: self.config.output_columns.get(name, name) for name in drawn}
        _require_free(data, names, self.config.output_columns)
        output = data.copy()
        for name, values in drawn.items():
            keep = values.dtype.kind != "f" or name == "p_detect"
            output[names[name]] = values if keep else values.fillna(self.config.nondetect_val)
        self.add_data("output", output)


class BalrogSelector(_RunByCeci, Selector):
    """Keeps galaxies that are detected, drawn with the emulator's P(detected | condition).

    With ``drop_rows: false`` all rows stay, and the first column ``flag`` is 1 where detected.
    The draw is that of ``detected`` of :class:`BalrogNoisifier` for the same seed and row ids.
    Rows that cannot be emulated are not detected, and are counted in the log.

    Raises
    ------
    BalrogError
        When run, if the emulator has no detection model or is damaged, or a column is missing.
    """

    name = "BalrogSelector"
    entrypoint_function = "__call__"
    config_options = Selector.config_options.copy()
    config_options.update(**_common_options())

    def _select(self) -> np.ndarray:
        """1 where detected, 0 elsewhere; int64, shape (N,)."""
        data = _data_frame(self.get_data("input"))
        emulator = _loaded(self.config.emulator)
        drawn = _drawn(emulator, data, self.config, self.log, detected=True)
        detected: np.ndarray = drawn["detected"].to_numpy()
        return detected.astype(np.int64)


def _named(names: Iterable[str], known: Iterable[Any]) -> str:
    """Names, each with what may have been meant instead."""
    return ", ".join(f"{name}{did_you_mean(name, known, most=1)}" for name in names)


def _loaded(directory: str) -> Emulator:
    place = str(Path(directory).resolve())
    return loaded_emulator(place, description_sha256(place))


def _data_frame(data: Any) -> pandas.DataFrame:
    import pandas as pd

    if not isinstance(data, pd.DataFrame):
        raise BalrogError(
            "the input must be a pandas data frame, as RAIL reads it from Parquet; found "
            f"{type(data).__name__}"
        )
    twice = sorted({str(name) for name in data.columns[data.columns.duplicated()]})
    if twice:
        raise BalrogError(
            f"columns of the input must have distinct names, found {', '.join(twice)} more than "
            "once: rename or drop the others"
        )
    return data


def _drawn(
    emulator: Emulator, data: pandas.DataFrame, config: Any, log: Any, **more: Any
) -> pandas.DataFrame:
    """What the emulator draws for each row, with the index of the input."""
    schema = emulator.schema
    unknown = sorted(set(config.columns) - set(schema.condition_names))
    if unknown:
        raise BalrogError(
            f"columns must name conditions of the emulator, {', '.join(schema.condition_names)}; "
            f"found {_named(unknown, schema.condition_names)}"
        )
    sources = {name: config.columns.get(name, name) for name in schema.condition_names}
    sources |= {"ra": config.ra_col, "dec": config.dec_col}
    table = {name: data[source] for name, source in sources.items() if source in data}
    in_maps = {column.name for column in schema.survey} if config.maps else set()
    needed = [name for name in schema.condition_names if name not in in_maps - set(config.columns)]
    absent = [sources[name] for name in needed if name not in table]
    ids = [config.row_id_col] if config.row_id_col else []
    absent += [name for name in ids if name not in data]
    if absent:
        others = [name for name in data if name not in sources.values()]
        raise BalrogError(
            f"the input must have the columns {_named(absent, others)}; it has "
            f"{', '.join(map(str, data.columns))}. Name those that it has in columns (condition: "
            "column) and row_id_col, or give maps for survey properties"
        )
    seed = config.seed
    if seed is None:
        seed = secrets.randbits(_SEED_BITS)
        log.info(f"seed: {seed}")
    return emulator.emulate(
        type(data)(table, index=data.index),
        seed,
        row_id=data[ids[0]].to_numpy() if ids else None,
        maps=config.maps or None,
        member=config.member,
        **more,
    )


def _require_free(data: Any, names: dict[str, str], renamed: dict[str, str]) -> None:
    """Demand that ``output_columns`` names what is drawn, and each column that is overwritten."""
    unknown = [name for name in renamed if name not in names]
    if unknown:
        raise BalrogError(
            f"output_columns must name columns that are drawn, {', '.join(names)}; found "
            f"{_named(unknown, names)}"
        )
    twice = {new for new, uses in Counter(names.values()).items() if uses > 1}
    if twice:
        same = ", ".join(f"{old} -> {new}" for old, new in names.items() if new in twice)
        raise BalrogError(
            f"drawn columns must have distinct names, found {same}; see output_columns"
        )
    taken = [new for old, new in names.items() if old not in renamed and new in data]
    if taken:
        raise BalrogError(
            f"the input has {', '.join(taken)} already; give other names in output_columns, or "
            "these to overwrite them"
        )
