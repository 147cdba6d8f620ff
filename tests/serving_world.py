"""TensorFlow Serving's two doors over a SavedModel, by its rules, for want of its binary.

The gRPC service is the genuine one's; requests are checked as PredictionService does. The REST door
takes the JSON that tensorflow_serving/util/json_tensor.cc takes.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)


class Refused(Exception):
    """What the server answers instead of outputs: a gRPC status and a message."""


class Served:
    """Newest version of a bundle under its directory's name."""

    def __init__(self, bundle):
        versions = [int(path.name) for path in bundle.iterdir() if path.name.isdigit()]
        place = bundle / str(max(versions))
        self.name, self.version = bundle.name, max(versions)
        self.model = tf.saved_model.load(str(place))
        content = saved_model_pb2.SavedModel.FromString((place / "saved_model.pb").read_bytes())
        self.signatures = {
            name: signature
            for name, signature in content.meta_graphs[0].signature_def.items()
            if not name.startswith("__")
        }

    def require(self, spec):
        if spec.name != self.name:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Servable not found: {spec.name}")
        if spec.HasField("version") and spec.version.value != self.version:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"no version {spec.version.value}")

    def predict(self, endpoint, tensors):
        endpoint = endpoint or "serving_default"
        if endpoint not in self.signatures:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"no signature {endpoint}")
        expected = self.signatures[endpoint].inputs
        if expected.keys() != tensors.keys():
            different = sorted(expected.keys() ^ tensors.keys())
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"input names differ: {different}")
        for name, info in expected.items():
            if tf.dtypes.as_dtype(info.dtype) != tensors[name].dtype:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{name}: {tensors[name].dtype}")
        try:
            return self.model.signatures[endpoint](**tensors)
        except (tf.errors.OpError, ValueError) as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict and GetModelMetadata; keeps the sizes of the messages."""

    def __init__(self, served):
        self.served, self.sizes = served, []

    def Predict(self, request, context):
        try:
            self.served.require(request.model_spec)
            tensors = {
                name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()
            }
            outputs = self.served.predict(request.model_spec.signature_name, tensors)
        except Refused as refusal:
            context.abort(*refusal.args)
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name, value in outputs.items():
            _as_proto_field(value.numpy(), response.outputs[name])
        self.sizes.append((request.ByteSize(), response.ByteSize()))
        return response

    def GetModelMetadata(self, request, context):
        try:
            self.served.require(request.model_spec)
        except Refused as refusal:
            context.abort(*refusal.args)
        content = get_model_metadata_pb2.SignatureDefMap(signature_def=self.served.signatures)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        response.metadata["signature_def"].Pack(content)
        return response


def _as_proto_field(value, proto):
    """Values one by one, as the server sends them by default."""
    proto.dtype = tf.dtypes.as_dtype(value.dtype).as_datatype_enum
    proto.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    field = {"f": proto.float_val, "b": proto.bool_val}[value.dtype.kind]
    field.extend(value.ravel().tolist())


@contextmanager
def grpc_server(served):
    """Port and service of a server that takes messages up to gRPC's own limit, 4 MB."""
    server, service = grpc.server(ThreadPoolExecutor(2)), PredictionService(served)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield port, service
    finally:
        server.stop(0).wait()


def tensors_of_json(served, text):
    """Endpoint and tensors of a request in the columnar form, by json_tensor.cc's rules."""
    document = json.loads(text)
    if "instances" in document or "inputs" not in document:
        raise Refused(400, "only the columnar form ('inputs') is for a scalar seed")
    endpoint = document.get("signature_name", "serving_default")
    tensors = {}
    for name, info in served.signatures[endpoint].inputs.items():
        if name not in document["inputs"]:
            raise Refused(400, f"Missing named input: {name} in 'inputs' object.")
        values = np.array(document["inputs"][name], dtype=object)
        dtype = tf.dtypes.as_dtype(info.dtype)
        allowed = (int,) if dtype.is_integer else (int, float)
        for value in values.ravel():
            if type(value) not in allowed:
                raise Refused(400, f"JSON Value: {value!r} is not of expected type: {dtype.name}")
        tensors[name] = tf.constant(values.astype(dtype.as_numpy_dtype))
    return endpoint, tensors


@contextmanager
def rest_server(served):
    """Port of a server for POST /v1/models/NAME:predict."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            text = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                if self.path != f"/v1/models/{served.name}:predict":
                    raise Refused(404, "Malformed request or unknown model")
                outputs = served.predict(*tensors_of_json(served, text))
                named = {name: value.numpy().tolist() for name, value in outputs.items()}
                single = len(named) == 1
                status, answer = 200, {"outputs": next(iter(named.values())) if single else named}
            except Refused as refusal:
                status, answer = 400, {"error": str(refusal.args[1])}
            body = json.dumps(answer, indent=4).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
