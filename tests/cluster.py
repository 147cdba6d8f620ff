"""Several workers of one training on this machine, as processes that talk over loopback."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def start_workers(arguments: list[str], directory: Path, count: int = 2) -> list[subprocess.Popen]:
    """The same Python command on every worker; their output is in worker-K.log."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    processes = []
    for index in range(count):
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment = {
            **os.environ, "TF_CONFIG": json.dumps(cluster), "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        }  # fmt: skip
        with open(directory / f"worker-{index}.log", "w") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, *arguments],
                    cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
    return processes


def log_of(directory: Path, index: int) -> str:
    """What a worker has written so far."""
    return (directory / f"worker-{index}.log").read_text()
