"""A trained emulator: load it, draw measured properties for arrays and tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.bundle import MODEL_VERSION, read_description, verify
from data_prep.errors import BalrogError, require
from data_prep.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHUNK_ROWS", "Emulator"]

logger = logging.getLogger(__name__)

# Rows handed to the graph at a time. It bounds memory only: the graph itself draws in blocks of
# one fixed size, so that a row's draw does not depend on the others.
CHUNK_ROWS = 262_144


class Emulator:
    """Draws p(measured | detected, truth, survey properties) from an exported SavedModel.

    Use :meth:`load`. The draw of a row depends on its condition, its id and the seed alone.

    Attributes
    ----------
    schema : Schema
        Names, units and order of the columns.
    label : str
        What the emulator was trained on, to be shown in figures.
    info : dict
        Content of ``emulator.json``.

    Examples
    --------
    >>> emulator = Emulator.load("saved_models/mini-balrog")  # doctest: +SKIP
    >>> measured = emulator.emulate(truth, seed=1, maps="maps")  # doctest: +SKIP
    """

    def __init__(self, info: dict[str, Any], model: Any) -> None:
        self.info, self._model = info, model
        self.schema = Schema.from_dict(info["schema"])
        self.label: str = info["label"]

    @classmethod
    def load(cls, directory: str | Path) -> Emulator:
        """Load ``saved_models/NAME``.

        Parameters
        ----------
        directory : path
            As exported by train.py.

        Returns
        -------
        Emulator

        Raises
        ------
        BalrogError
            If a file is missing or was changed, or the format is unknown.
        MissingExtraError
            If TensorFlow is not installed.
        """
        info = read_description(directory)
        verify(directory, info)
        tf = require("tensorflow", "cpu")
        return cls(info, tf.saved_model.load(str(Path(directory) / MODEL_VERSION)))

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Draw measured columns for arrays of conditions.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Columns ``schema.condition_names``, physical units. NaN gives NaN.
        row_id : int64 array, shape (N,)
            Identity of each row.
        seed : int
            Another seed is another realization.

        Returns
        -------
        float32 array, shape (N, M)
            Columns ``schema.measured_names``, physical units.
        """
        ids = np.asarray(row_id, np.int64)
        return self._in_chunks(
            "serving_default",
            condition,
            self.schema.measured_names,
            lambda rows: {"row_id": ids[rows], "seed": np.int64(seed)},
        )

    def location_scale(self, condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional location and scale of the measured columns.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Physical units.

        Returns
        -------
        location, scale : float32 arrays, shape (N, M)
            Of the Student-t (5 degrees of freedom) fitted to the residuals of the transformed
            columns: physical units where the schema's transform is the identity, dex for log10.
        """
        names = self.schema.measured_names
        outputs = [f"location_{name}" for name in names] + [f"scale_{name}" for name in names]
        both = self._in_chunks("location_scale", condition, outputs, lambda rows: {})
        return both[:, : len(names)], both[:, len(names) :]

    def _in_chunks(
        self,
        endpoint: str,
        condition: np.ndarray,
        outputs: Sequence[str],
        others: Callable[[slice], dict[str, Any]],
    ) -> np.ndarray:
        """Call an endpoint on CHUNK_ROWS rows at a time."""
        tf = require("tensorflow", "cpu")
        names = self.schema.condition_names
        condition = np.asarray(condition, np.float32)
        if condition.ndim != 2 or condition.shape[1] != len(names):
            raise BalrogError(
                f"condition must have shape (N, {len(names)}) with columns {', '.join(names)}; "
                f"found shape {condition.shape}"
            )
        call = self._model.signatures[endpoint]
        result = np.empty((len(condition), len(outputs)), np.float32)
        for start in range(0, len(condition), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            chunk = np.ascontiguousarray(condition[rows].T)
            inputs = dict(zip(names, chunk, strict=True)) | others(rows)
            named = call(**{name: tf.constant(value) for name, value in inputs.items()})
            for index, name in enumerate(outputs):
                result[rows, index] = named[name].numpy()
        return result

    def emulate(
        self,
        table: pd.DataFrame,
        seed: int = 0,
        row_id: Any = None,
        maps: Any = None,
        position: tuple[str, str] = ("ra", "dec"),
    ) -> pd.DataFrame:
        """Draw measured columns for a table of truth.

        Parameters
        ----------
        table : pandas.DataFrame
            Truth columns, and either the survey properties or positions (degrees) with `maps`.
        seed : int
            Another seed is another realization.
        row_id : array_like of int64, shape (N,), optional
            Identity of each row; the row number if not given.
        maps : path or SurveyMaps, optional
            Where the survey properties are looked up.
        position : (str, str)
            Columns of right ascension and declination.

        Returns
        -------
        pandas.DataFrame
            The measured columns, float32, with the index of `table`; null where a condition is
            null (for example off the maps; counted in a log line).

        Raises
        ------
        BalrogError
            If a column is missing or is not a number, or ids are not whole numbers.
        """
        import pandas as pd

        from balrog_keras.conditions import conditions_of, row_ids_of

        columns = {name: table[name].to_numpy() for name in table.columns}
        condition = conditions_of(columns, self.info, maps, position)
        ids = row_ids_of(row_id, len(table))
        measured = self.draw(condition, ids, seed)
        return pd.DataFrame(measured, columns=list(self.schema.measured_names), index=table.index)
