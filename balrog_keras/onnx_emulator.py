"""An emulator exported to ONNX: draws the same catalogue with numpy and onnxruntime alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.condition_values import condition_array
from balrog_keras.draw_keys import checked_keys, member_input
from balrog_keras.numpy_noise import keyed_normals, keyed_uniform
from data_prep.errors import BalrogError, require
from data_prep.files import read_versioned_json, sha256_of

__all__ = ["DESCRIPTION_NAME", "FORMAT_VERSION", "OnnxEmulator"]

DESCRIPTION_NAME = "onnx.json"
FORMAT_VERSION = 1
# Bounds the memory of the hidden layers.
_CHUNK_ROWS = 65_536
_REQUIRED = ("name", "label", "conditions", "measured", "latent_dim", "from_latent", "files")
_REMEDY = "write it again with python -m balrog_keras export-onnx"


class OnnxEmulator:
    """Draws p(measured | detected, truth, survey properties) through onnxruntime.

    Use :meth:`load`. With the same seed, row ids and conditions it draws the catalogue that
    :class:`~balrog_keras.emulator.Emulator` draws: the noise has the same bits, and the networks
    agree to 1e-4 mag within the training range.

    Attributes
    ----------
    condition_names, measured_names : tuple of str
        Columns of the arrays, in their order.
    label : str
        What the emulator was trained on, to be shown in figures.
    members : int
        Networks trained from different seeds; each draws on its own.
    has_detection : bool
        Whether :meth:`p_detect` and :meth:`draw_detected` can be called.
    info : dict
        Content of ``onnx.json``: units, training range, provenance.

    Examples
    --------
    >>> emulator = OnnxEmulator.load("onnx/mini-balrog")  # doctest: +SKIP
    >>> measured = emulator.draw(condition, row_id, seed=1)  # doctest: +SKIP
    """

    def __init__(self, info: dict[str, Any], members: Sequence[Any], detection: Any) -> None:
        self.info = info
        self.condition_names = tuple(info["conditions"])
        self.measured_names = tuple(info["measured"])
        self.label: str = info["label"]
        self.members = len(members)
        self.has_detection = detection is not None
        self._members, self._detection = list(members), detection

    @classmethod
    def load(
        cls,
        directory: str | Path,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int = 0,
    ) -> OnnxEmulator:
        """Load what ``python -m balrog_keras export-onnx`` wrote.

        Parameters
        ----------
        directory : path
            Given to it as ``--out``.
        providers : sequence of str
            Where onnxruntime computes, in order of preference.
        threads : int
            Threads per session; 0 for as many as there are cores.

        Returns
        -------
        OnnxEmulator

        Raises
        ------
        BalrogError
            If a file is missing or was changed, or the format is unknown.
        MissingExtraError
            If onnxruntime is not installed.
        """
        directory = Path(directory)
        info = _read(directory)
        runtime = require("onnxruntime", "onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads

        def session(name: str) -> Any:
            return runtime.InferenceSession(directory / name, options, providers=list(providers))

        detection = info.get("detection")
        members = [session(name) for name in info["from_latent"]]
        return cls(info, members, session(detection) if detection else None)

    def draw(
        self, condition: np.ndarray, row_id: np.ndarray, seed: int, member: int = 0, draw: int = 0
    ) -> np.ndarray:
        """Draw measured columns.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Columns `condition_names`, physical units. NaN or masked gives NaN.
        row_id : int64 array, shape (N,)
            Identity of each row.
        seed : int
            Another seed is another realization.
        member : int
            Which member draws, from 0.
        draw : int
            Number of the realization.

        Returns
        -------
        float32 array, shape (N, M)
            Columns `measured_names`, physical units.

        Raises
        ------
        BalrogError
            If a shape is wrong, a key is no whole number, or there is no such member.
        """
        ids, seed, draw = checked_keys(row_id, seed, draw, condition)
        latent = keyed_normals(seed, ids, self.info["latent_dim"], draw)
        return self.from_latent(condition, latent, member)

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
        p_detect : float32 array, shape (N,)
            P(detected | condition).
        detected : bool array, shape (N,)
            True with that probability; a function of (seed, row_id, draw) too.

        Raises
        ------
        BalrogError
            As :meth:`draw`, or if there is no detection model.
        """
        ids, seed, draw = checked_keys(row_id, seed, draw, condition)
        p_detect = self.p_detect(condition)
        detected = keyed_uniform(seed, ids, draw) < p_detect
        measured = self.draw(condition, ids, seed, member, draw)
        measured[~detected] = np.nan
        return measured, p_detect, detected

    def p_detect(self, condition: np.ndarray) -> np.ndarray:
        """P(detected | condition), float32, shape (N,); NaN where a condition is NaN.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Columns `condition_names`, physical units.

        Raises
        ------
        BalrogError
            If the shape is wrong or the emulator has no detection model.
        """
        if not self.has_detection:
            raise BalrogError(f"emulator {self.info['name']} must have a detection model, has none")
        return self._run(self._detection, condition, ("p_detect",))[:, 0]

    def from_latent(self, condition: np.ndarray, latent: np.ndarray, member: int = 0) -> np.ndarray:
        """Measured columns for given latents.

        Parameters
        ----------
        condition : float32 array, shape (N, C)
            Columns `condition_names`, physical units.
        latent : float32 array, shape (N, latent_dim)
            Standard normals.
        member : int
            Which member draws, from 0.

        Returns
        -------
        float32 array, shape (N, M)
            Columns `measured_names`, physical units.

        Raises
        ------
        BalrogError
            If a shape is wrong or there is no such member.
        """
        member_input(self.info["name"], self.members, member)
        latent = np.ascontiguousarray(latent, np.float32)
        expected = (len(condition), self.info["latent_dim"])
        if latent.shape != expected:
            raise BalrogError(f"latent must have shape {expected}, found {latent.shape}")
        return self._run(self._members[member], condition, self.measured_names, latent)

    def _run(
        self,
        session: Any,
        condition: np.ndarray,
        outputs: Sequence[str],
        latent: np.ndarray | None = None,
    ) -> np.ndarray:
        """Outputs of a session, float32 (N, len(outputs)), _CHUNK_ROWS rows at a time."""
        names = self.condition_names
        condition = condition_array(condition, names)
        result = np.empty((len(condition), len(outputs)), np.float32)
        for start in range(0, len(condition), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            columns = np.ascontiguousarray(condition[rows].T)
            inputs = dict(zip(names, columns, strict=True))
            if latent is not None:
                inputs["latent"] = latent[rows]
            result[rows] = np.stack(session.run(list(outputs), inputs), axis=1)
        return result


def _read(directory: Path) -> dict[str, Any]:
    """Content of onnx.json, if the files beside it are those it names."""
    path = directory / DESCRIPTION_NAME
    if not path.is_file():
        raise BalrogError(f"{directory} is no emulator in ONNX: {path} is missing; {_REMEDY}")
    info = read_versioned_json(path, FORMAT_VERSION, _REQUIRED, _REMEDY)
    for name, expected in info["files"].items():
        if not (directory / name).is_file():
            raise BalrogError(f"emulator {directory}: {name} is missing; {_REMEDY}")
        if sha256_of(directory / name) != expected:
            raise BalrogError(
                f"emulator {directory}: {name} was changed (SHA-256 differs from "
                f"{DESCRIPTION_NAME}); {_REMEDY}"
            )
    return info
