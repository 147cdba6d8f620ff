"""A trained emulator: load it, draw measured properties for arrays and tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.bundle import MODEL_VERSION, read_description, verify
from balrog_keras.endpoints import Endpoints
from data_prep.errors import BalrogError, require
from data_prep.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Emulator"]


class Emulator:
    """Draws p(measured | detected, truth, survey properties) from an exported SavedModel.

    Use :meth:`load`. The draw of a row depends on its condition, its id and the seed alone.

    Attributes
    ----------
    schema : Schema
        Names, units and order of the columns.
    label : str
        What the emulator was trained on, to be shown in figures.
    members : int
        Networks trained from different seeds; each draws on its own.
    has_detection : bool
        Whether :meth:`p_detect` and :meth:`draw_detected` can be called.
    info : dict
        Content of ``emulator.json``.

    Examples
    --------
    >>> emulator = Emulator.load("saved_models/mini-balrog")  # doctest: +SKIP
    >>> measured = emulator.emulate(truth, seed=1, maps="maps")  # doctest: +SKIP
    """

    def __init__(self, info: dict[str, Any], model: Any) -> None:
        self.info = info
        self.schema = Schema.from_dict(info["schema"])
        self._call = Endpoints(model, self.schema.condition_names)
        self.label: str = info["label"]
        self.members: int = info.get("members", 1)
        self.has_detection: bool = info.get("detection", False)

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

    def draw(
        self, condition: np.ndarray, row_id: np.ndarray, seed: int, member: int = 0
    ) -> np.ndarray:
        """Draw measured columns for arrays of conditions.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Columns ``schema.condition_names``, physical units. NaN gives NaN.
        row_id : int64 array, shape (N,)
            Identity of each row.
        seed : int
            Another seed is another realization.
        member : int
            Which member draws, from 0. All get the same noise, so that they differ by their
            networks alone.

        Returns
        -------
        float32 array, shape (N, M)
            Columns ``schema.measured_names``, physical units.

        Raises
        ------
        BalrogError
            If a shape is wrong or there is no such member.
        """
        names = self.schema.measured_names
        keys = self._keys(row_id, seed, member)
        return self._call("serving_default", condition, names, keys)

    def draw_detected(
        self, condition: np.ndarray, row_id: np.ndarray, seed: int, member: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw which rows are detected, and the measured columns of those.

        Parameters
        ----------
        condition, row_id, seed, member
            As in :meth:`draw`.

        Returns
        -------
        measured : float32 array, shape (N, M)
            As :meth:`draw` gives them; NaN where the row is not detected.
        p_detect : float32 array, shape (N,)
            P(detected | condition).
        detected : bool array, shape (N,)
            True with that probability; a function of (seed, row_id) too.

        Raises
        ------
        BalrogError
            If a shape is wrong, or there is no such member or no detection model.
        """
        self._require_detection()
        names = (*self.schema.measured_names, "p_detect", "detected")
        keys = self._keys(row_id, seed, member)
        drawn = self._call("emulate_detected", condition, names, keys)
        return drawn[:, :-2], drawn[:, -2], drawn[:, -1] > 0

    def p_detect(self, condition: np.ndarray) -> np.ndarray:
        """P(detected | condition), float32, shape (N,); NaN where a condition is NaN.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Columns ``schema.condition_names``, physical units.

        Raises
        ------
        BalrogError
            If the shape is wrong or the emulator has no detection model.
        """
        self._require_detection()
        found = self._call("detection_probability", condition, ("p_detect",), lambda rows: {})
        return found[:, 0]

    def _require_detection(self) -> None:
        if not self.has_detection:
            raise BalrogError(
                f"emulator {self.info['name']} must have a detection model, but has none: train it "
                "on shards prepared with --detection"
            )

    def _keys(
        self, row_id: np.ndarray, seed: int, member: int
    ) -> Callable[[slice], dict[str, Any]]:
        """Inputs besides the conditions, for a slice of rows."""
        ids = np.asarray(row_id, np.int64)
        fixed = {"seed": np.int64(seed), **self._member(member)}
        return lambda rows: {"row_id": ids[rows], **fixed}

    def _member(self, member: int) -> dict[str, Any]:
        """The endpoint's input `member`, which only an emulator of several has."""
        if not 0 <= member < self.members:
            raise BalrogError(
                f"member of {self.info['name']} must be from 0 to {self.members - 1}, "
                f"found {member}"
            )
        return {"member": np.int64(member)} if self.members > 1 else {}

    def location_scale(
        self, condition: np.ndarray, member: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Conditional location and scale of the measured columns.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Physical units.
        member : int
            Whose standardizer.

        Returns
        -------
        location, scale : float32 arrays, shape (N, M)
            Of the Student-t (5 degrees of freedom) fitted to the residuals of the transformed
            columns: physical units where the schema's transform is the identity, dex for log10.
        """
        names = self.schema.measured_names
        outputs = [f"location_{name}" for name in names] + [f"scale_{name}" for name in names]
        others = self._member(member)
        both = self._call("location_scale", condition, outputs, lambda rows: others)
        return both[:, : len(names)], both[:, len(names) :]

    def emulate(
        self,
        table: pd.DataFrame,
        seed: int = 0,
        row_id: Any = None,
        maps: Any = None,
        position: tuple[str, str] = ("ra", "dec"),
        member: int = 0,
        detected: bool = False,
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
        member : int
            Which member of an ensemble draws.
        detected : bool
            Draw whether each row is detected.

        Returns
        -------
        pandas.DataFrame
            The measured columns, float32, with the index of `table`; null where a condition is
            null (for example off the maps; counted in a log line). With `detected`, also
            ``p_detect`` and ``detected`` (False where a condition is null), and the measured
            columns are null where a row is not detected.

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
        drawn = self.drawn_columns(condition, ids, seed, member, detected)
        return pd.DataFrame(drawn, index=table.index)

    def drawn_columns(
        self, condition: np.ndarray, row_id: np.ndarray, seed: int, member: int, detected: bool
    ) -> dict[str, np.ndarray]:
        """Output of :meth:`draw`, or of :meth:`draw_detected`, as named columns.

        Parameters
        ----------
        condition, row_id, seed, member
            As in :meth:`draw`.
        detected : bool
            Draw whether each row is detected.

        Returns
        -------
        dict of str to array, shape (N,)
            The measured columns; with `detected` then ``p_detect`` and ``detected``.
        """
        if not detected:
            measured = self.draw(condition, row_id, seed, member)
            return dict(zip(self.schema.measured_names, measured.T, strict=True))
        measured, p_detect, found = self.draw_detected(condition, row_id, seed, member)
        columns = dict(zip(self.schema.measured_names, measured.T, strict=True))
        return {**columns, "p_detect": p_detect, "detected": found}
