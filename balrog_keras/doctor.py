"""Whether this installation is whole, what it computes on, and how fast it is."""

from __future__ import annotations

import importlib
import platform
from pathlib import Path
from typing import Any

from balrog_keras import doctor_packages
from data_prep.errors import BalrogError

__all__ = ["examine"]

_FORMAT_VERSION = 1


def examine(emulator: Path | None = None, quick: bool = False) -> dict[str, Any]:
    """Look at packages and devices, and compute for some seconds.

    Parameters
    ----------
    emulator : path, optional
        ``saved_models/NAME`` to draw with in the self-test.
    quick : bool
        Leave out the self-test.

    Returns
    -------
    dict
        JSON-able: ``format_version``, ``ok``, ``problems`` (what keeps it from working),
        ``warnings`` (what it works without), ``versions``, ``required``, ``extras``,
        ``processor``, ``devices``, ``no_gpu`` (None if there is one) and ``self_test`` (None if
        left out).
    """
    from balrog_keras import doctor_devices

    problems: list[str] = []
    report: dict[str, Any] = {
        "format_version": _FORMAT_VERSION,
        "versions": _versions(),
        "required": doctor_packages.required(),
        "extras": doctor_packages.extras(),
        "processor": doctor_devices.cpu(),
        "devices": [],
        "no_gpu": None,
        "self_test": None,
    }
    warnings = _package_notes(report, problems)
    if _tensorflow_starts(problems):
        report["versions"] |= {name: _module_version(name) for name in ("tensorflow", "keras")}
        report["devices"] = doctor_devices.tensorflow_devices()
        if not any(device["type"] == "GPU" for device in report["devices"]):
            reason, lost = doctor_devices.why_no_gpu(doctor_devices.gpu_facts())
            report["no_gpu"] = reason
            warnings += [f"no GPU is used: {reason}"] * lost
        if not quick:
            report["self_test"] = _self_test(emulator, problems)
    return {**report, "ok": not problems, "problems": problems, "warnings": warnings}


def _versions() -> dict[str, str]:
    import balrog_keras

    return {
        "balrog_keras": balrog_keras.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _module_version(name: str) -> str:
    return str(importlib.import_module(name).__version__)


def _package_notes(report: dict[str, Any], problems: list[str]) -> list[str]:
    """Warnings; what keeps the package from working goes to `problems`."""
    for each in report["required"]:
        if not each["ok"]:
            found = each["found"] or "nothing"
            problems.append(
                f"{each['package']}{each['wanted']} is needed, found {found}: "
                f'pip install "{each["package"]}{each["wanted"]}"'
            )
    warnings = []
    if not report["required"]:
        warnings.append("this package is not installed, only found by its folder: pip install -e .")
    installed = doctor_packages.tensorflow_packages()
    if len(installed) > 1:
        warnings.append(
            f"{' and '.join(installed)} are installed over each other: uninstall all of them and "
            "install one again"
        )
    return warnings


def _tensorflow_starts(problems: list[str]) -> bool:
    """Whether TensorFlow can be imported; if not, why goes to `problems`."""
    command = doctor_packages.install_command("cpu")
    info = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and info.is_file() and " avx " not in info.read_text():
        # The import would end the process with SIGILL.
        problems.append(
            "TensorFlow's wheels need a processor with AVX; this one (or its virtual machine) has "
            "none: use another machine, or conda-forge's build"
        )
        return False
    try:
        for name in ("tensorflow", "keras"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        problems.append(f"{error.name} is not installed: {command}")
    except Exception as error:
        # Whatever a broken installation raises is what the user must see.
        first = " ".join(str(error).split())[:300]
        problems.append(
            f"TensorFlow does not start ({type(error).__name__}: {first}); uninstall it and "
            f"install it again: {command}"
        )
    else:
        return True
    return False


def _self_test(emulator: Path | None, problems: list[str]) -> dict[str, Any] | None:
    from balrog_keras.doctor_self_test import self_test

    try:
        return self_test(emulator)
    except BalrogError as error:
        problems.append(f"self-test: {error}")
    except Exception as error:
        first = " ".join(str(error).split())[:300]
        problems.append(f"self-test: {type(error).__name__}: {first}")
    return None
