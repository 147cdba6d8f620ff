"""The client against a PredictionService over the SavedModel; the page's requests as printed."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from serving_world import Refused, Served, grpc_server, rest_server, tensors_of_json
from toy import toy_conditions, toy_schema
from untrained import untrained_pair

from balrog_keras.emulator import Emulator
from balrog_keras.serving_client import ServedEmulator
from data_prep.errors import BalrogError

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/serving.md").read_text()
PYTHON = [part.split("```")[0] for part in PAGE.split("```python")[1:]]
SHELL = [part.split("```")[0] for part in PAGE.split("```sh")[1:]]
NAMES = toy_schema().condition_names


@pytest.fixture(scope="module")
def bundle(toy_shards, toy_settings, tmp_path_factory):
    """Two members and a detection model."""
    return untrained_pair(tmp_path_factory, toy_shards, toy_settings)


@pytest.fixture(scope="module")
def server(bundle):
    with grpc_server(Served(bundle)) as (port, service):
        yield f"localhost:{port}", service


@pytest.fixture(scope="module")
def client(server):
    return ServedEmulator(server[0], "pair")


def _columns(condition):
    return dict(zip(NAMES, condition.T, strict=True))


def test_a_catalogue_past_4_mb_is_the_emulators_to_the_bit(bundle, server, client):
    rows, member = 100_000, 1
    condition = toy_conditions(rows, 9)
    ids = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, rows)
    server[1].sizes.clear()
    found = client.draw(_columns(condition), ids, seed=5, member=member)
    requests, answers = np.transpose(server[1].sizes)
    assert len(requests) > 1
    assert max(requests.max(), answers.max()) < 4 * 1024**2 < requests.sum()
    expected = Emulator.load(bundle).draw(condition, ids, 5, member)
    for name, values in zip(toy_schema().measured_names, expected.T, strict=True):
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == np.float32


def test_one_message_past_4_mb_is_what_the_server_refuses(server):
    """So the chunks are needed."""
    careless = ServedEmulator(server[0], "pair", message_bytes=2**30)
    with pytest.raises(BalrogError, match="RESOURCE_EXHAUSTED"):
        careless.draw(_columns(toy_conditions(100_000, 9)), np.arange(100_000), seed=5)


def test_detection_of_a_data_frame_in_small_messages(bundle, server):
    client = ServedEmulator(server[0], "pair", version=1, message_bytes=65_536 + 25_000)
    condition, ids = toy_conditions(1_500, 4), np.arange(1_500)
    table = pd.DataFrame(condition, columns=list(NAMES)).assign(name="galaxy")
    server[1].sizes.clear()
    found = client.draw_detected(table, ids, seed=-2)
    assert len(server[1].sizes) == 3
    emulator = Emulator.load(bundle)
    measured, p_detect, detected = emulator.draw_detected(condition, ids, -2)
    assert found["detected"].dtype == bool
    np.testing.assert_array_equal(found["detected"], detected)
    np.testing.assert_array_equal(found["p_detect"], p_detect)
    np.testing.assert_array_equal(found["meas_mag_z"], measured[:, 2])
    assert np.isnan(found["meas_mag_z"][~detected]).all()
    np.testing.assert_array_equal(client.p_detect(table), p_detect)


def test_no_rows(client):
    found = client.draw_detected(_columns(toy_conditions(0, 1)), [], seed=1)
    assert {name: (values.dtype, len(values)) for name, values in found.items()} == {
        **dict.fromkeys((*toy_schema().measured_names, "p_detect"), (np.float32, 0)),
        "detected": (np.bool_, 0),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"true_mag_r": [20.0]}}, "needs the columns fwhm_i, .*not given"),
        (
            {"columns": dict.fromkeys([*NAMES[1:], NAMES[0].upper()], [20.0])},
            r"needs the columns true_mag_r \(did you mean TRUE_MAG_R\?\), not given",
        ),
        ({"columns": dict.fromkeys(NAMES, ["20"])}, "column 'fwhm_i' must be numbers; found <U2"),
        ({"row_id": [1, 2]}, r"one shape \(N,\)"),
        ({"row_id": [0.5]}, "whole numbers .*dtype float64"),
        ({"seed": 1.9}, "seed must be .*found 1.9"),
        ({"seed": "1"}, "seed must be .*found '1'"),
        ({"seed": 2**63}, "seed must be a 64-bit"),
        ({"draw": -1}, "draw must be .*found -1"),
        ({"member": -1}, "member must be .*found -1"),
        ({"member": 2}, "(?s)INVALID_ARGUMENT: .*member must be from 0 to 1"),
    ],
)
def test_bad_input_is_named(client, change, message):
    given = {"columns": _columns(toy_conditions(1, 1)), "row_id": [0], "seed": 1} | change
    with pytest.raises(BalrogError, match=message):
        client.draw(**given)


def test_no_draw_for_what_is_masked_or_null(client):
    """NumPy would send the number under the mask, and fail on the null of a data frame."""
    columns, ids = _columns(toy_conditions(3, 1)), [1, 2, 3]
    whole = client.draw_detected(columns, ids, seed=1)
    masked = np.ma.array(columns["fwhm_r"], mask=[False, True, False])
    nullable = pd.array([*columns["fwhm_r"]], "Float64")
    nullable[1] = pd.NA
    table = pd.DataFrame(columns).assign(fwhm_r=nullable)
    for given in (columns | {"fwhm_r": masked}, table):
        found = client.draw_detected(given, ids, seed=1)
        assert np.isnan(found["p_detect"]).tolist() == [False, True, False]
        assert np.isnan(found["meas_mag_r"][1])
        assert not found["detected"][1]
        for name, values in whole.items():
            np.testing.assert_array_equal(found[name][[0, 2]], values[[0, 2]])


def test_what_is_not_served_is_named(server, client):
    with pytest.raises(BalrogError, match="NOT_FOUND: .*another"):
        ServedEmulator(server[0], "another")
    with pytest.raises(BalrogError, match="NOT_FOUND: no version 7"):
        ServedEmulator(server[0], "pair", version=7)
    with pytest.raises(BalrogError, match="pair at localhost:1: UNAVAILABLE"):
        ServedEmulator("localhost:1", "pair", timeout=10)


@pytest.fixture(scope="module")
def mini():
    return Served(ROOT / "saved_models/mini-balrog")


def test_only_an_ensemble_has_members_and_a_channel_will_do(mini):
    import grpc

    with grpc_server(mini) as (port, _), grpc.insecure_channel(f"localhost:{port}") as channel:
        client = ServedEmulator(channel, "mini-balrog")
        with pytest.raises(BalrogError, match="member must be 0 for mini-balrog"):
            client.draw(_columns(toy_conditions(2, 1)), [0, 1], seed=1, member=1)


def test_requests_of_the_page_run_as_printed(mini, capsys):
    """Against the stand-ins: only the ports are theirs."""
    with grpc_server(mini) as (grpc_port, _), rest_server(mini) as rest_port:

        def here(text):
            return text.replace("8500", str(grpc_port)).replace("8501", str(rest_port))

        exec(here(PYTHON[0] + PYTHON[1]), {})
        (command,) = (text for text in SHELL if text.lstrip().startswith("curl"))
        curl = subprocess.run(here(command), shell=True, capture_output=True, text=True, check=True)
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])) == 2
    answer = json.loads(curl.stdout)["outputs"]
    condition = np.float32([[22.9, 22.4, 22.1, 0.95, 0.90, 0.88, 5, 8, 14],
                            [24.1, 23.8, 23.6, 0.95, 0.90, 0.88, 5, 8, 14]])  # fmt: skip
    emulator = Emulator.load(ROOT / "saved_models/mini-balrog")
    measured, p_detect, detected = emulator.draw_detected(condition, np.array([1, 2]), 1)
    assert answer["detected"] == detected.tolist()
    np.testing.assert_allclose(answer["p_detect"], p_detect, rtol=1e-6)
    np.testing.assert_allclose(answer["meas_mag_r"], measured[:, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1.0}, "not of expected type: int64"),
        ({"row_id": [1.0, 2.0]}, "not of expected type: int64"),
        ({"fwhm_r": None}, "not of expected type: float32"),
    ],
)
def test_stand_in_refuses_what_the_server_would(mini, change, message):
    """The page warns of these."""
    inputs = {name: [20.0, 21.0] for name in NAMES} | {"row_id": [1, 2], "seed": 1, "draw": 0}
    tensors_of_json(mini, json.dumps({"inputs": inputs}))
    with pytest.raises(Refused, match=message):
        tensors_of_json(mini, json.dumps({"inputs": inputs | change}))
    inputs.pop("seed")
    with pytest.raises(Refused, match="Missing named input: seed"):
        tensors_of_json(mini, json.dumps({"inputs": inputs}))


def test_docker_line_mounts_the_bundle_under_its_name():
    (command,) = (text for text in SHELL if text.lstrip().startswith("docker"))
    assert "MODEL_NAME=mini-balrog" in command
    assert "saved_models/mini-balrog:/models/mini-balrog" in command
    assert [path.name for path in (ROOT / "saved_models/mini-balrog").iterdir()
            if path.name.isdigit()] == ["1"]  # fmt: skip
