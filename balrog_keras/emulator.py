"""A trained emulator: load it, draw measured properties for arrays and tables."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.bundle import lacks, read_description, verify
from balrog_keras.draw_keys import checked_keys, draw_keys, member_input
from balrog_keras.endpoints import Endpoints
from balrog_keras.saved_model import load_saved_model
from data_prep.errors import BalrogError
from data_prep.schema import Schema

__all__ = ["Emulator"]

logger = logging.getLogger(__name__)


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
    >>> Emulator.load("saved_models/mini-balrog").schema.measured_names
    ('meas_mag_r', 'meas_mag_i', 'meas_mag_z')
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
            If a file is missing or was changed, the format is unknown, or its graph does more
            than compute: see :func:`balrog_keras.saved_model.check_graph`.
        MissingExtraError
            If TensorFlow is not installed.
        """
        info = read_description(directory)
        verify(directory, info)
        if lacks(info):
            logger.warning(lacks(info))
        return cls(info, load_saved_model(directory, info))

    def draw(
        self, condition: np.ndarray, row_id: np.ndarray, seed: int, member: int = 0, draw: int = 0
    ) -> np.ndarray:
        """Draw measured columns for arrays of conditions.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Columns ``schema.condition_names``, physical units. NaN or masked gives NaN.
        row_id : int64 array, shape (N,)
            Identity of each row.
        seed : int
            Another seed is another realization.
        member : int
            Which member draws, from 0. All get the same noise, so that they differ by their
            networks alone.
        draw : int
            Number of the realization, from 0: independent draws of the same seed.

        Returns
        -------
        float32 array, shape (N, M)
            Columns ``schema.measured_names``, physical units.

        Raises
        ------
        BalrogError
            If a shape is wrong, a key no whole number, or there is no such member or realization.
        """
        names = self.schema.measured_names
        keys = self._keys("serving_default", member, checked_keys(row_id, seed, draw, condition))
        return self._call("serving_default", condition, names, keys)

    def draw_detected(
        self, condition: np.ndarray, row_id: np.ndarray, seed: int, member: int = 0, draw: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw which rows are detected, and the measured columns of those.

        Parameters
        ----------
        condition, row_id, seed, member, draw
            As in :meth:`draw`.

        Returns
        -------
        measured : float32 array, shape (N, M)
            As :meth:`draw` gives them; NaN where the row is not detected.
        p_detect, detected : float32 array, bool array, shape (N,)
            P(detected | condition); True with that probability, by (seed, row_id, draw).

        Raises
        ------
        BalrogError
            As :meth:`draw`, or if there is no detection model.
        """
        self._require_detection()
        names = (*self.schema.measured_names, "p_detect", "detected")
        keys = self._keys("emulate_detected", member, checked_keys(row_id, seed, draw, condition))
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

    @property
    def has_domain(self) -> bool:
        """Whether :meth:`in_domain` can be called."""
        return bool(self._call.inputs_of("in_domain"))

    def in_domain(self, condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether conditions are like those that the emulator was trained on.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            As in :meth:`draw`.

        Returns
        -------
        score : float32 array, shape (N,)
            NaN where a condition is NaN.
        inside : bool array, shape (N,)
            False where the training rows are too thin, and where a condition is NaN.

        Raises
        ------
        BalrogError
            If the shape is wrong or the emulator was exported without this.
        """
        if not self.has_domain:
            raise BalrogError(
                f"in_domain needs the density of the training rows: {lacks(self.info)}"
            )
        found = self._call("in_domain", condition, ("domain_score", "in_domain"), lambda rows: {})
        return found[:, 0], found[:, 1] > 0

    def _keys(
        self, endpoint: str, member: int, keys: tuple[np.ndarray, int, int]
    ) -> Callable[[slice], dict[str, Any]]:
        """Inputs besides the conditions, for a slice of rows."""
        name, inputs = self.info["name"], self._call.inputs_of(endpoint)
        return draw_keys(name, inputs, keys, member_input(name, self.members, member))

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
        others = member_input(self.info["name"], self.members, member)
        both = self._call("location_scale", condition, outputs, lambda rows: others)
        return both[:, : len(names)], both[:, len(names) :]

    def emulate(
        self,
        table: Any,
        seed: int = 0,
        row_id: Any = None,
        maps: Any = None,
        position: tuple[str, str] = ("ra", "dec"),
        member: int | None = 0,
        detected: bool = False,
        **more: Any,
    ) -> Any:
        """Draw measured columns for a table of truth.

        Parameters
        ----------
        table : pandas.DataFrame, pyarrow.Table, astropy.table.Table or dict of arrays
            Truth columns, and either the survey properties or positions (degrees) with `maps`.
            Columns of an astropy table that have a unit are converted to the emulator's.
        seed : int
            Another seed is another realization.
        row_id : array_like of int64, shape (N,), optional
            Identity of each row; the row number if not given.
        maps, position : path or SurveyMaps, optional; (str, str)
            Where the survey properties are looked up, and columns of the positions.
        member, detected, **more
            As ``realizations``, ``layout`` and others: of :class:`balrog_keras.draw_plan.DrawPlan`.

        Returns
        -------
        of the same kind
            The measured columns, float32, with the index of a data frame and the units of an
            astropy table; null (NaN, masked) where a condition is null, for example off the maps
            (counted in a log line). With `detected`, also ``p_detect`` and ``detected`` (False
            where a condition is null), and the measured columns are null where it is False.
            Several draws of a row follow each other, or stand beside each other: see
            :class:`balrog_keras.draw_plan.DrawPlan`.

        Raises
        ------
        BalrogError
            If a column is missing, no number or of a wrong unit, or ids are no whole numbers.
        """
        from balrog_keras.draw_plan import DrawPlan
        from balrog_keras.table_emulation import emulate_table

        plan = DrawPlan(seed=seed, member=member, detected=detected, **more)
        return emulate_table(self, table, plan, row_id, maps, position)

    def drawn_columns(
        self,
        condition: np.ndarray,
        row_id: np.ndarray,
        seed: int,
        member: int,
        detected: bool,
        draw: int = 0,
    ) -> dict[str, np.ndarray]:
        """Output of :meth:`draw`, or with `detected` of :meth:`draw_detected`, as named columns.

        Returns
        -------
        dict of str to array, shape (N,)
            The measured columns; with `detected` then ``p_detect`` and ``detected``.
        """
        if not detected:
            measured = self.draw(condition, row_id, seed, member, draw)
            return dict(zip(self.schema.measured_names, measured.T, strict=True))
        measured, p_detect, found = self.draw_detected(condition, row_id, seed, member, draw)
        columns = dict(zip(self.schema.measured_names, measured.T, strict=True))
        return {**columns, "p_detect": p_detect, "detected": found}
