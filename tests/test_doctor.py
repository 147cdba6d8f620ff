import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from balrog_keras import doctor, doctor_devices, doctor_packages
from balrog_keras.config import Settings
from balrog_keras.doctor_command import main
from balrog_keras.doctor_devices import GpuFacts, tensorflow_devices, why_no_gpu

ROOT = Path(__file__).parents[1]
SMALL = Settings(
    width=8, depth=1, generator_width=8, generator_depth=1, batch_size=256, xla=False
)  # fmt: skip


def test_self_test_draws_with_the_emulator_and_gives_rates(monkeypatch):
    from balrog_keras import doctor_self_test

    monkeypatch.setattr(doctor_self_test, "_MATRIX", 64)
    monkeypatch.setattr(doctor_self_test, "_ROWS", 4096)
    found = doctor_self_test.self_test(ROOT / "saved_models/mini-balrog", SMALL)
    rates = [value for name, value in found.items() if "per_second" in name or "gflops" in name]
    assert len(rates) == 3
    assert min(rates) > 0
    assert found["drawn_with"].endswith("mini-balrog")
    assert set(found["seconds"]) == {"matmul", "training", "load", "drawing"}


def test_quick_report_is_json_and_names_devices_and_extras(capsys):
    code = main(["--quick", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (code, report["ok"], report["problems"]) == (0, True, [])
    assert report["versions"]["tensorflow"].startswith("2.")
    assert report["devices"] == tensorflow_devices()
    assert (report["no_gpu"] is None) == any(each["type"] == "GPU" for each in report["devices"])
    assert {"sim", "report", "onnx"} <= set(report["extras"])
    assert not {"cpu", "tf", "gpu"} & set(report["extras"])
    assert [each["ok"] for each in report["required"] if each["package"] == "numpy"] == [True]
    assert report["self_test"] is None


def test_without_tensorflow_exits_1_and_says_what_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert main([]) == 1
    out = capsys.readouterr().out
    assert 'tensorflow is not installed: pip install -e ".[cpu]"' in out
    assert "not ready" in out


def test_a_self_test_that_fails_exits_1(monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("no such device")

    monkeypatch.setattr("balrog_keras.doctor_self_test.self_test", broken)
    assert main([]) == 1
    assert "self-test: RuntimeError: no such device" in capsys.readouterr().out


def test_missing_and_old_packages_are_problems_with_the_command(monkeypatch):
    wanted = ["numpy>=99", 'nosuchpackage>=2; python_version > "3"', 'other; extra == "sim"']
    monkeypatch.setattr(doctor_packages, "requires", lambda name: wanted)
    problems = doctor.examine(quick=True)["problems"]
    assert len(problems) == 2
    assert problems[0].startswith("numpy>=99 is needed, found 2")
    assert problems[1].startswith("nosuchpackage>=2 is needed, found nothing: pip install")


def test_extra_is_there_only_if_all_of_it_is(monkeypatch):
    wanted = ["numpy", 'pandas; extra == "a"', 'nosuch; extra == "a"', 'scipy>=1; extra == "b"']
    monkeypatch.setattr(doctor_packages, "requires", lambda name: wanted)
    monkeypatch.setattr(doctor_packages, "metadata", lambda name: _Extras())
    found = doctor_packages.extras()
    assert (found["a"]["ok"], found["b"]["ok"]) == (False, True)
    assert [each["package"] for each in found["a"]["packages"]] == ["pandas", "nosuch"]


class _Extras:
    def get_all(self, key):
        return ["a", "b"]


def test_two_tensorflows_are_a_warning(monkeypatch):
    both = {"tensorflow": "2.20", "tensorflow-cpu": "2.21"}
    monkeypatch.setattr(doctor_packages, "tensorflow_packages", lambda: both)
    assert "installed over each other" in doctor.examine(quick=True)["warnings"][0]


FACTS = GpuFacts(
    system="Linux", visible=None, cuda_build=True, driver_error="", driver_gpus=1,
    cuda_packages=9, amd=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason", "lost"),
    [
        ({"system": "Darwin"}, "macOS", False),
        ({"driver_error": "there is no NVIDIA driver"}, "docker run --gpus all", False),
        ({"driver_error": "there is no NVIDIA driver", "amd": True}, "tensorflow-rocm", True),
        ({"driver_error": "finds no GPU", "visible": "-1"}, "'-1', which hides all", False),
        ({"visible": ""}, "CUDA_VISIBLE_DEVICES='' hides 1 GPU", True),
        ({"visible": "-1"}, "hides 1 GPU", True),
        ({"visible": "0", "cuda_build": False}, "built for CPUs only", True),
        ({"cuda_packages": 0}, 'pip install "balrog-keras[gpu]"', True),
        ({}, "TF_CPP_MIN_LOG_LEVEL=0", True),
    ],
)
def test_why_no_gpu(change, reason, lost):
    found = why_no_gpu(replace(FACTS, **change))
    assert reason in found[0]
    assert found[1] is lost


class _DriverWithoutDevices:
    """libcuda where no device is visible."""

    def cuInit(self, flags):
        return 100


@pytest.mark.parametrize(
    ("visible", "reason"),
    [("-1", "CUDA_VISIBLE_DEVICES='-1' hides 2 GPU"), ("0", "finds no GPU"), (None, "finds no")],
)
def test_gpus_that_the_environment_hides_from_the_driver(visible, reason, monkeypatch, tmp_path):
    for name in ("0000:17:00.0", "0000:65:00.0"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(doctor_devices, "_DRIVER_GPUS", tmp_path)
    monkeypatch.setattr(doctor_devices.ctypes, "CDLL", lambda name: _DriverWithoutDevices())
    monkeypatch.setattr(doctor_devices, "_visible", lambda: visible)
    error, count = doctor_devices._driver()
    found, lost = why_no_gpu(replace(FACTS, visible=visible, driver_error=error, driver_gpus=count))
    assert reason in found
    assert lost == (visible == "-1")
