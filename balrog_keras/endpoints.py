"""Calls to a loaded SavedModel's endpoints, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from balrog_keras.condition_values import condition_array
from data_prep.errors import require

__all__ = ["CHUNK_ROWS", "Endpoints"]

# Rows handed to the graph at a time. It bounds memory only: the graph itself draws in blocks of
# one fixed size, so that a row's draw does not depend on the others.
CHUNK_ROWS = 262_144


class Endpoints:
    """Endpoints of a SavedModel that take named columns and give named columns.

    Parameters
    ----------
    model : object
        As loaded by ``tf.saved_model.load``.
    names : sequence of str
        The condition's columns.
    """

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        self._model, self._names = model, names

    def inputs_of(self, endpoint: str) -> frozenset[str]:
        """Names of what an endpoint takes; empty if the model has no such endpoint."""
        if endpoint not in self._model.signatures:
            return frozenset()
        return frozenset(self._model.signatures[endpoint].structured_input_signature[1])

    def __call__(
        self,
        endpoint: str,
        condition: np.ndarray,
        outputs: Sequence[str],
        others: Callable[[slice], dict[str, Any]],
    ) -> np.ndarray:
        """Call an endpoint on CHUNK_ROWS rows at a time.

        Parameters
        ----------
        endpoint : str
            Name of the signature.
        condition : float32 array, shape (N, C)
            Physical units; null and masked values give NaN.
        outputs : sequence of str
            Which of the named outputs.
        others : callable
            Gives the inputs besides the conditions, for a slice of rows.

        Returns
        -------
        float32 array, shape (N, number of outputs)

        Raises
        ------
        BalrogError
            If the conditions have another shape.
        """
        tf = require("tensorflow", "cpu")
        condition = condition_array(condition, self._names)
        call = self._model.signatures[endpoint]
        result = np.empty((len(condition), len(outputs)), np.float32)
        for start in range(0, len(condition), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            chunk = np.ascontiguousarray(condition[rows].T)
            inputs = dict(zip(self._names, chunk, strict=True)) | others(rows)
            named = call(**{name: tf.constant(value) for name, value in inputs.items()})
            for index, name in enumerate(outputs):
                result[rows, index] = named[name].numpy()
        return result
