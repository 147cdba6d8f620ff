"""Progress of long work: a bar with rate and ETA on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import ExitStack
from types import TracebackType

__all__ = ["Progress"]

logger = logging.getLogger(__name__)


class Progress:
    """Report work done, as a context manager.

    Parameters
    ----------
    description : str
        What is being done, for example ``"emulate"``.
    total : int or None
        Units of work in all, if known.
    unit : str
        Name of one unit, for example ``"galaxies"``.
    log_seconds : float
        Least time between two log lines when standard error is not a terminal.
    initial : int
        Units that were done before, by a job that is resumed; no part of the rate.

    Examples
    --------
    >>> with Progress("count", 3, "rows") as progress:
    ...     for _ in range(3):
    ...         progress.update(1)
    >>> progress.done
    3
    """

    def __init__(
        self,
        description: str,
        total: int | None,
        unit: str,
        log_seconds: float = 10.0,
        initial: int = 0,
    ) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.log_seconds = log_seconds
        self.done = self.initial = initial

    def __enter__(self) -> Progress:
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        self._around = ExitStack()
        if sys.stderr.isatty():
            # Log lines go above the bar, not into it.
            self._around.enter_context(logging_redirect_tqdm())
        self._start = self._last = time.monotonic()
        self._last_done = self.done
        self._bar = tqdm(
            desc=self.description,
            total=self.total,
            initial=self.initial,
            unit=f" {self.unit}",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
        )
        return self

    def update(self, count: int, note: str = "") -> None:
        """Add `count` finished units; `note` is shown behind the rate."""
        self.done += count
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)
        now = time.monotonic()
        if self._bar.disable and now - self._last >= self.log_seconds:
            logger.info("%s", self._line(now, note))
            self._last, self._last_done = now, self.done

    def _line(self, now: float, note: str = "") -> str:
        # Of the time since the last line: a slow start would spoil the estimate for long.
        rate = (self.done - self._last_done) / max(now - self._last, 1e-9)
        of_total = f" of {self.total:,}" if self.total else ""
        left = (self.total - self.done) / rate if self.total and rate else None
        eta = f", {left:.0f} s left" if left is not None else ""
        tail = f", {note}" if note else ""
        return f"{self.description}: {self.done:,}{of_total} {self.unit}, {rate:,.0f}/s{eta}{tail}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._around.close()
        if kind is None:
            now = time.monotonic()
            fresh = self.done - self.initial
            rate = fresh / max(now - self._start, 1e-9)
            logger.info(
                "%s: %s %s in %.1f s, %s/s",
                self.description,
                f"{fresh:,}",
                self.unit,
                now - self._start,
                f"{rate:,.0f}",
            )
