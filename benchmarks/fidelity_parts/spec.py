"""One training of one system: what is trained, on how much, for how long."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError

__all__ = ["BudgetTooShortError", "Clock", "Spec", "pin"]


class BudgetTooShortError(BalrogError):
    """A budget that does not hold what comes before the first step."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What identifies a result; the same spec is never trained twice.

    Parameters
    ----------
    system : str
        A name in `fidelity_parts.systems.SYSTEMS`.
    label : str
        Name in the table.
    seed : int
        Of everything random in the training.
    seconds : float
        Budget of the training: compilation, scaling and validations included, imports not.
    cores : int
        Cores the training may use.
    clock : {'wall', 'cpu'}
        What `seconds` counts: time, or the process's processor time over `cores`, which a busy
        machine does not shorten.
    rows : int, optional
        Training rows; all by default.
    settings : dict
        What differs from the system's defaults.
    """

    system: str
    label: str
    seed: int
    seconds: float
    cores: int
    clock: str = "wall"
    rows: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """Name shared by the seeds of one experiment."""
        parts = [self.label, f"{self.seconds:g}s", f"{self.cores}{self.clock}"]
        parts += [f"{self.rows}rows"] if self.rows else []
        if self.settings:
            parts.append(hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
                         .hexdigest()[:6])  # fmt: skip
        return "-".join(parts)

    @property
    def key(self) -> str:
        """Name of its files."""
        return f"{self.group}-seed{self.seed}"

    def but(self, **changes: Any) -> Spec:
        """The same with some fields changed."""
        return replace(self, **changes)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Spec:
        """Read what :meth:`save` wrote."""
        return cls(**json.loads(path.read_text()))


class Clock:
    """Time since it was made, as a spec counts it.

    Parameters
    ----------
    kind : {'wall', 'cpu'}
        See :class:`Spec`.
    cores : int
        Divisor of processor time.
    """

    def __init__(self, kind: str, cores: int) -> None:
        self._kind, self._cores = kind, cores
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def elapsed(self) -> float:
        """Seconds on this clock."""
        if self._kind == "cpu":
            return (time.process_time() - self._cpu) / self._cores
        return time.perf_counter() - self._wall

    def report(self) -> dict[str, float]:
        """Wall and processor seconds and peak memory, for the record."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return {
            "seconds": self.elapsed(),
            "wall_seconds": time.perf_counter() - self._wall,
            "cpu_seconds": time.process_time() - self._cpu,
            "peak_gib": peak,
        }


def pin(cores: int) -> None:
    """Keep this process and its thread pools on `cores` of the cores it may use.

    Call it before TensorFlow or PyTorch is imported: they size their pools by what they find.

    Raises
    ------
    BalrogError
        If there are not as many.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if cores > len(allowed):
        raise BalrogError(f"expected --cores of at most {len(allowed)}, found {cores}")
    os.sched_setaffinity(0, allowed[:cores])
    os.environ["OMP_NUM_THREADS"] = str(cores)
