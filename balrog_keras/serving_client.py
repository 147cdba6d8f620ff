"""Draw from an emulator behind TensorFlow Serving: chunked gRPC, the same catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from balrog_keras.condition_values import floats
from balrog_keras.draw_keys import checked_keys, whole_number
from data_prep.errors import BalrogError, MissingExtraError, did_you_mean, require

__all__ = ["ServedEmulator"]

# gRPC's own limit on a message that a client receives, which servers and proxies share.
_MESSAGE_BYTES = 4 * 1024**2
# For names, shapes and tags of up to a hundred columns.
_OVERHEAD_BYTES = 64 * 1024
# A draw is a function of what was sent, so that asking twice does no harm.
_RETRY = json.dumps({
    "methodConfig": [{
        "name": [{"service": "tensorflow.serving.PredictionService"}],
        "retryPolicy": {
            "maxAttempts": 4, "initialBackoff": "0.5s", "maxBackoff": "5s",
            "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"],
        },
    }]
})  # fmt: skip


class ServedEmulator:
    """An emulator behind a TensorFlow Serving PredictionService.

    It draws what :class:`~balrog_keras.emulator.Emulator` draws from the same bundle. Catalogues of
    any size are sent in requests whose messages, either way, stay under gRPC's limit.

    Parameters
    ----------
    server : str or grpc.Channel
        ``"host:8500"``, or a channel of your own (for TLS, for example).
    model : str
        The name under which it is served.
    version : int, optional
        Of the model; the newest by default.
    timeout : float
        Seconds that one request may take.
    message_bytes : int
        Largest message to send or to ask for.

    Raises
    ------
    BalrogError
        If the server does not answer or serves no such model.
    MissingExtraError
        If TensorFlow, grpcio or tensorflow-serving-api is not installed.

    Examples
    --------
    >>> served = ServedEmulator("localhost:8500", "mini-balrog")  # doctest: +SKIP
    >>> measured = served.draw(columns, row_id, seed=1)  # doctest: +SKIP
    """

    def __init__(
        self,
        server: Any,
        model: str,
        version: int | None = None,
        timeout: float = 60.0,
        message_bytes: int = _MESSAGE_BYTES,
    ) -> None:
        self._tf = require("tensorflow", "cpu")
        self._grpc = require("grpc", "serving")
        self.model, self.version = model, version
        self.timeout, self.message_bytes = timeout, message_bytes
        self._where = f"{model} at {server}" if isinstance(server, str) else model
        if isinstance(server, str):
            options = [("grpc.service_config", _RETRY)]
            server = self._grpc.insecure_channel(server, options)
        self._stub = _api("prediction_service_pb2_grpc").PredictionServiceStub(server)
        self._signatures = self._fetch_signatures()

    def draw(
        self, columns: Mapping[str, Any], row_id: Any, seed: int, member: int = 0, draw: int = 0
    ) -> dict[str, np.ndarray]:
        """Draw measured columns.

        Parameters
        ----------
        columns : mapping of str to array_like, or pandas.DataFrame
            The condition's columns, physical units, shape (N,) each; null and masked values give
            NaN. Others are not sent.
        row_id : array_like of int, shape (N,)
            Identity of each row.
        seed : int
            Another seed is another realization.
        member : int
            Which member of an ensemble draws, from 0.
        draw : int
            Number of the realization.

        Returns
        -------
        dict of str to float32 array, shape (N,)
            The measured columns, physical units.

        Raises
        ------
        BalrogError
            If a column is missing, no number or has another length, a key is no whole number, or
            the server refuses or fails.
        """
        return self._drawn("serving_default", columns, row_id, seed, member, draw)

    def draw_detected(
        self, columns: Mapping[str, Any], row_id: Any, seed: int, member: int = 0, draw: int = 0
    ) -> dict[str, np.ndarray]:
        """Draw which rows are detected, and the measured columns of those.

        Parameters
        ----------
        columns, row_id, seed, member, draw
            As in :meth:`draw`.

        Returns
        -------
        dict of str to array, shape (N,)
            The measured columns, NaN where a row is not detected; ``p_detect`` (float32) and
            ``detected`` (bool).

        Raises
        ------
        BalrogError
            As :meth:`draw`, or if the emulator has no detection model.
        """
        return self._drawn("emulate_detected", columns, row_id, seed, member, draw)

    def p_detect(self, columns: Mapping[str, Any]) -> np.ndarray:
        """P(detected | condition), float32, shape (N,).

        Parameters
        ----------
        columns : mapping of str to array_like, or pandas.DataFrame
            As in :meth:`draw`.

        Raises
        ------
        BalrogError
            As :meth:`draw`, or if the emulator has no detection model.
        """
        return self._call("detection_probability", columns, {}, {})["p_detect"]

    def _drawn(
        self,
        endpoint: str,
        columns: Mapping[str, Any],
        row_id: Any,
        seed: int,
        member: int,
        draw: int,
    ) -> dict[str, np.ndarray]:
        ids, seed, draw = checked_keys(row_id, seed, draw)
        scalars = {"seed": np.int64(seed)}
        for name, value in (("member", whole_number("member", member, 0)), ("draw", draw)):
            if name in self._signature(endpoint).inputs:
                scalars[name] = np.int64(value)
            elif value != 0:
                raise BalrogError(f"{name} must be 0 for {self._where}, which has no other")
        return self._call(endpoint, columns, {"row_id": ids}, scalars)

    def _call(
        self,
        endpoint: str,
        columns: Mapping[str, Any],
        keys: Mapping[str, np.ndarray],
        scalars: Mapping[str, np.int64],
    ) -> dict[str, np.ndarray]:
        """Outputs of an endpoint for all rows."""
        signature = self._signature(endpoint)
        names = sorted(signature.inputs.keys() - keys.keys() - scalars.keys())
        missing = [name for name in names if name not in columns]
        if missing:
            others = [str(name) for name in columns if name not in names]
            named = ", ".join(name + did_you_mean(name, others, most=1) for name in missing)
            raise BalrogError(f"{self._where} needs the columns {named}, not given")
        given = {name: floats(columns[name], f"column {name!r}") for name in names}
        with np.errstate(over="ignore"):
            arrays = {name: each.astype(np.float32, copy=False) for name, each in given.items()}
        arrays |= keys
        shapes = {name: array.shape for name, array in arrays.items()}
        shape = next(iter(shapes.values()))
        if len(shape) != 1 or len(set(shapes.values())) > 1:
            raise BalrogError(f"all columns must have one shape (N,), found {shapes}")
        results: dict[str, list[np.ndarray]] = {
            name: [np.empty(0, self._dtype(info))] for name, info in signature.outputs.items()
        }
        for rows in _chunks(shape[0], self._rows_per_message(signature)):
            inputs = {name: array[rows] for name, array in arrays.items()}
            for name, values in self._predict(endpoint, {**inputs, **scalars}).items():
                results[name].append(values)
        return {name: np.concatenate(parts) for name, parts in results.items()}

    def _predict(self, endpoint: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """One request."""
        request = _api("predict_pb2").PredictRequest()
        self._address(request.model_spec)
        request.model_spec.signature_name = endpoint
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(self._tf.make_tensor_proto(value))
        response = self._ask(self._stub.Predict, request)
        return {name: self._tf.make_ndarray(value) for name, value in response.outputs.items()}

    def _rows_per_message(self, signature: Any) -> int:
        """Rows whose request and response both fit in a message."""

        def bytes_per_row(tensors: Mapping[str, Any]) -> int:
            return sum(
                self._dtype(info).itemsize
                for info in tensors.values()
                if len(info.tensor_shape.dim) == 1
            )

        per_row = max(bytes_per_row(signature.inputs), bytes_per_row(signature.outputs))
        return max(1, (self.message_bytes - _OVERHEAD_BYTES) // per_row)

    def _dtype(self, info: Any) -> np.dtype:
        dtype: np.dtype = np.dtype(self._tf.dtypes.as_dtype(info.dtype).as_numpy_dtype)
        return dtype

    def _signature(self, endpoint: str) -> Any:
        if endpoint not in self._signatures:
            raise BalrogError(
                f"{self._where} must have the endpoint {endpoint}, has "
                f"{', '.join(sorted(self._signatures))}"
            )
        return self._signatures[endpoint]

    def _fetch_signatures(self) -> Mapping[str, Any]:
        """Inputs and outputs of every endpoint, as the server tells them."""
        api = _api("get_model_metadata_pb2")
        request = api.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._address(request.model_spec)
        response = self._ask(self._stub.GetModelMetadata, request)
        content = api.SignatureDefMap()
        response.metadata["signature_def"].Unpack(content)
        return dict(content.signature_def)

    def _address(self, model_spec: Any) -> None:
        model_spec.name = self.model
        if self.version is not None:
            model_spec.version.value = self.version

    def _ask(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self.timeout)
        except self._grpc.RpcError as error:
            raise BalrogError(f"{self._where}: {error.code().name}: {error.details()}") from None


def _chunks(rows: int, size: int) -> Iterator[slice]:
    for start in range(0, rows, size):
        yield slice(start, start + size)


def _api(module: str) -> ModuleType:
    """A module of the client's stubs."""
    try:
        return require(f"tensorflow_serving.apis.{module}", "serving")
    except MissingExtraError:
        raise MissingExtraError(
            "tensorflow-serving-api is not installed: pip install --no-deps tensorflow-serving-api "
            "(with its dependencies it would install tensorflow over tensorflow-cpu)"
        ) from None
