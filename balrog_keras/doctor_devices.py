"""What TensorFlow computes on, and why it does not use a GPU."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

__all__ = ["GpuFacts", "cpu", "gpu_facts", "tensorflow_devices", "why_no_gpu"]

# https://docs.nvidia.com/cuda/cuda-driver-api: cuInit, and CUDA_ERROR_NO_DEVICE.
_CUDA_NO_DEVICE = 100
# A directory per GPU, whatever the environment hides.
_DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """What this machine has for a GPU.

    Attributes
    ----------
    system : str
        ``platform.system()``.
    visible : str or None
        ``CUDA_VISIBLE_DEVICES``; None if it is not set.
    cuda_build : bool
        Whether the installed TensorFlow is built for CUDA.
    driver_error : str
        Why the NVIDIA driver cannot be used; "" if it can.
    driver_gpus : int
        GPUs the driver knows, those that the environment hides too.
    cuda_packages : int
        CUDA libraries that are installed as Python packages.
    amd : bool
        Whether there is an AMD compute device.
    """

    system: str
    visible: str | None
    cuda_build: bool
    driver_error: str
    driver_gpus: int
    cuda_packages: int
    amd: bool


def cpu() -> dict[str, Any]:
    """Model and cores of the processor: ``{"model": str, "cores": int}``; cores it may use."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)$", info.read_text(), re.M) if info.is_file() else []
    model = names[0] if names else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"model": model, "cores": cores}


def tensorflow_devices() -> list[dict[str, str]]:
    """Devices that TensorFlow sees; each has ``type`` ("CPU", "GPU") and ``name``."""
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        found.append({"type": device.device_type, "name": details.get("device_name", device.name)})
    return found


def gpu_facts() -> GpuFacts:
    """Ask the driver, TensorFlow and the environment."""
    import tensorflow as tf

    error, count = _driver()
    packages = [each for each in distributions() if str(each.name).startswith("nvidia-")]
    return GpuFacts(
        system=platform.system(),
        visible=_visible(),
        cuda_build=tf.test.is_built_with_cuda(),
        driver_error=error,
        driver_gpus=count,
        cuda_packages=len(packages),
        amd=Path("/dev/kfd").exists(),
    )


def _visible() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def _hides_all(visible: str | None) -> bool:
    return visible is not None and visible.strip() in ("", "-1", "none", "NoDevFiles")


def _driver() -> tuple[str, int]:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1)", 0
    status, count = driver.cuInit(0), ctypes.c_int(0)
    if status == _CUDA_NO_DEVICE:
        # With all GPUs hidden by CUDA_VISIBLE_DEVICES the driver says that there are none.
        hidden = len(list(_DRIVER_GPUS.glob("*"))) if _hides_all(_visible()) else 0
        return ("", hidden) if hidden else ("the NVIDIA driver finds no GPU", 0)
    if status or driver.cuDeviceGetCount(ctypes.byref(count)):
        return f"the NVIDIA driver does not start (cuInit gives {status})", 0
    return "", count.value


def why_no_gpu(facts: GpuFacts) -> tuple[str, bool]:
    """Why TensorFlow sees no GPU, and what to do.

    Parameters
    ----------
    facts : GpuFacts
        Of a machine on which TensorFlow sees none.

    Returns
    -------
    reason : str
        One sentence or two.
    lost : bool
        Whether there is a GPU that could be used.

    Examples
    --------
    >>> facts = GpuFacts(system="Linux", visible=None, cuda_build=False, driver_error="",
    ...                  driver_gpus=1, cuda_packages=0, amd=False)
    >>> why_no_gpu(facts)[0].split(";")[0]
    'this TensorFlow is built for CPUs only'
    """
    if facts.system == "Darwin":
        return "TensorFlow for macOS computes on the CPU", False
    if facts.driver_error:
        if facts.amd:
            return "the GPU is AMD's, which needs the build tensorflow-rocm (not tested)", True
        hidden = _hides_all(facts.visible)
        also = f", or CUDA_VISIBLE_DEVICES={facts.visible!r}, which hides all" if hidden else ""
        return (
            f"{facts.driver_error}: no GPU, or a container that was started without it "
            f"(docker run --gpus all, apptainer exec --nv){also}"
        ), False
    if _hides_all(facts.visible):
        return (
            f"CUDA_VISIBLE_DEVICES={facts.visible!r} hides {facts.driver_gpus} GPU; unset it"
        ), True
    if not facts.cuda_build:
        return (
            "this TensorFlow is built for CPUs only; make a new environment and install "
            '"balrog-keras[gpu]" there instead of the extra cpu'
        ), True
    if not facts.cuda_packages:
        return (
            "the CUDA libraries that TensorFlow opens are not installed as packages: "
            'pip install "balrog-keras[gpu]"'
        ), True
    return (
        f"the driver knows {facts.driver_gpus} GPU, and TensorFlow cannot open the CUDA libraries: "
        "run with TF_CPP_MIN_LOG_LEVEL=0 to see which one is missing; an LD_LIBRARY_PATH with "
        "another CUDA, or a driver older than the libraries, are the usual causes"
    ), True
