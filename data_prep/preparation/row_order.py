"""Two catalogues that belong together by their order: every injection, and the detected ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.catalogs import Catalog, Element
from data_prep.errors import BalrogError
from data_prep.preparation.row_values import detected_flags
from data_prep.preset import Preset
from data_prep.progress import Progress
from data_prep.sources import Source

__all__ = ["RowOrderCatalog"]

_SCAN_ROWS = 1_000_000


@dataclass(frozen=True)
class _Detected:
    """How the catalogue of every injection says which are detected."""

    elements: Mapping[str, Element]
    source: Source
    path: Path

    def of(self, batch: Mapping[str, np.ndarray], first_row: int) -> np.ndarray:
        rows = first_row + np.arange(len(next(iter(batch.values()))))
        return detected_flags(batch, self.elements, self.source, rows, str(self.path))


class RowOrderCatalog(Catalog):
    """Every injection, with the columns of the detected ones beside it (NaN where undetected).

    Row k of the second catalogue is the k-th detected row of the first, as in DES Y6 (Anbajagane
    et al. 2025, arXiv:2501.05683), where no key joins them. That the numbers of rows agree is
    checked when they are joined, positions (if the preset names them) as rows are read.
    """

    def __init__(
        self,
        injected: Catalog,
        matched: Catalog,
        detected: _Detected,
        starts: Sequence[int],
        preset: Preset,
    ) -> None:
        self.injected, self.matched = injected, matched
        self.path, self.label = matched.path, matched.label or injected.label
        self.rows = injected.rows
        self.widths = {**matched.widths, **injected.widths}
        self._detected, self._starts, self._preset = detected, starts, preset

    @classmethod
    def join(cls, injected: Catalog, matched: Catalog, preset: Preset) -> RowOrderCatalog:
        """Join by order.

        Parameters
        ----------
        injected : Catalog
            Every injection, with the flag of the detected ones.
        matched : Catalog
            The detected rows of `injected`, in the same order.
        preset : Preset
            Says what is detected, and which positions to compare.

        Returns
        -------
        RowOrderCatalog

        Raises
        ------
        BalrogError
            If the number of detected injections is not the number of matched rows, a column is
            missing, or it is not known whether an injection was detected.
        """
        if preset.detected is None:
            raise BalrogError("a preset with `join: row_order` must say what is `detected:`")
        elements = {
            alias: injected.require(entry.names, "detected", preset.vector_bands)
            for alias, entry in preset.detected.inputs.items()
        }
        detected = _Detected(elements, preset.detected, injected.path)
        columns = list({element.column for element in elements.values()})
        for name in preset.position_check[:2] if preset.position_check else ():
            matched.require((name,), "position_check")
        counts, row = np.zeros(-(-injected.rows // _SCAN_ROWS), np.int64), 0
        with Progress(f"count detected in {injected.path.name}", injected.rows, "rows") as progress:
            for batch in injected.batches(columns, _SCAN_ROWS):
                mask = detected.of(batch, row)
                blocks = (row + np.flatnonzero(mask)) // _SCAN_ROWS
                counts += np.bincount(blocks, minlength=len(counts))
                row += len(mask)
                progress.update(len(mask))
        starts = [0, *np.cumsum(counts).tolist()]
        if starts[-1] != matched.rows or not matched.rows:
            raise BalrogError(
                f"{matched.path} must be the detected rows of {injected.path}, in order: "
                f"{starts[-1]:,} are detected there, {matched.rows:,} rows found here; are they "
                "of the same release, and uncut?"
            )
        return cls(injected, matched, detected, starts, preset)

    def resolve(self, name: str) -> str | None:
        """Name under which one of the catalogues has a column, or None."""
        return self.injected.resolve(name) or self.matched.resolve(name)

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """Row ranges that can be read on their own."""
        return self.injected.pieces(rows)

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns of both catalogues in batches of the rows of the first."""
        stop = self.rows if stop is None else stop
        ours = [name for name in columns if name in self.injected.widths]
        theirs = [name for name in columns if name not in self.injected.widths]
        needed = {element.column for element in self._detected.elements.values()}
        position, checked = self._preset.position_check, []
        if position and theirs:
            checked = [self.injected.require(n, "the position") for n in self._preset.position]
            needed |= {element.column for element in checked}
        first, row = self._matched_before(start), start
        for batch in self.injected.batches(sorted({*ours, *needed}), batch_rows, start, stop):
            mask = self._detected.of(batch, row)
            count = int(np.count_nonzero(mask))
            found = self._read_matched(theirs, first, count)
            if checked and position:
                own = [batch[element.column][mask] for element in checked]
                self._require_same_place(own, first, count, position)
            yield {name: batch[name] for name in ours} | {
                name: _spread(values, mask) for name, values in found.items()
            }
            first, row = first + count, row + len(mask)

    def _matched_before(self, row: int) -> int:
        """Detected rows before this row of the first catalogue."""
        block, rest = divmod(row, _SCAN_ROWS)
        before, first = self._starts[block], block * _SCAN_ROWS
        if rest:
            columns = [element.column for element in self._detected.elements.values()]
            for batch in self.injected.batches(columns, _SCAN_ROWS, first, row):
                mask = self._detected.of(batch, first)
                before, first = before + int(np.count_nonzero(mask)), first + len(mask)
        return before

    def _read_matched(
        self, columns: Sequence[str], first: int, count: int
    ) -> dict[str, np.ndarray]:
        if not columns:
            return {}
        if not count:
            count, first = 1, min(first, self.matched.rows - 1)
            batch = next(self.matched.batches(columns, count, first, first + count))
            return {name: values[:0] for name, values in batch.items()}
        parts = list(self.matched.batches(columns, count, first, first + count))
        return {name: np.concatenate([part[name] for part in parts]) for name in columns}

    def _require_same_place(
        self, own: list[np.ndarray], first: int, count: int, position: tuple[str, str, float]
    ) -> None:
        *names, arcsec = position
        ra_name, dec_name = (self.matched.require((str(name),), "").column for name in names)
        theirs = self._read_matched([ra_name, dec_name], first, count)
        ra, dec = own
        across = (theirs[ra_name] - ra + 180) % 360 - 180
        apart = np.hypot(across * np.cos(np.radians(dec)), theirs[dec_name] - dec) * 3600
        wrong = ~(apart <= arcsec)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise BalrogError(
                f"{self.matched.path}: row {first + row} must be the detected injection at "
                f"ra {ra[row]:.6f}, dec {dec[row]:.6f} of {self.injected.path}, but lies at "
                f"{theirs[ra_name][row]:.6f}, {theirs[dec_name][row]:.6f}: the rows of the two "
                f"files are not in the same order ({np.count_nonzero(wrong):,} of "
                f"{count:,} rows are more than {arcsec:g} arcsec apart)"
            )


def _spread(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Put values at the rows of a mask; NaN elsewhere."""
    dtype = values.dtype if values.dtype.kind == "f" else np.float64
    spread = np.full((len(mask), *values.shape[1:]), np.nan, dtype)
    spread[mask] = values
    return spread
