"""What is in a sky map: how many values, which, where; read in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from data_prep.expressions import evaluate
from data_prep.inspection.footprint import Footprint
from data_prep.map_formats.map_file import SurveyMap
from data_prep.preset import Preset
from data_prep.progress import Progress
from data_prep.splits import keyed_hash
from data_prep.statistics import ColumnStatistics

__all__ = ["MapContent"]


class MapContent:
    """Counts and statistics of a map.

    Parameters
    ----------
    nside : int
        Of the map.

    Attributes
    ----------
    stored, valid : int
        Pixels that the file lists, and those of them that have a value.
    statistics : ColumnStatistics
        Of the values.
    odd : Counter
        Sentinel -> pixels that hold it as a value.
    outside : Counter
        Survey column (and preset) that the map serves as -> values out of its range.
    footprint : Footprint
        Where the values are.
    """

    def __init__(self, nside: int) -> None:
        self.stored = self.valid = 0
        self.statistics = ColumnStatistics(1)
        self.odd: Counter[float] = Counter()
        self.outside: Counter[str] = Counter()
        self.footprint = Footprint(nside)

    @classmethod
    def read(
        cls,
        survey_map: SurveyMap,
        sentinels: Sequence[float] = (),
        served: Sequence[tuple[Preset, str]] = (),
    ) -> MapContent:
        """Read a map from front to back.

        Parameters
        ----------
        survey_map : SurveyMap
            The map.
        sentinels : sequence of float
            Values to look out for.
        served : sequence of (Preset, str)
            Presets and their survey columns whose ranges to check.

        Returns
        -------
        MapContent

        Raises
        ------
        BalrogError
            If the file is damaged.
        """
        import healpy

        content = cls(survey_map.nside)
        with Progress(f"read {survey_map.path.name}", None, "pixels") as progress:
            for pixels, values in survey_map.blocks():
                good = np.isfinite(values)
                nested, values = pixels[good], values[good]
                if not survey_map.nest:
                    nested = healpy.ring2nest(survey_map.nside, nested)
                content.stored += len(pixels)
                content.valid += len(values)
                # Neighbouring values are alike: a sample of them needs random keys.
                keys = keyed_hash(nested, 0, "shuffle")
                content.statistics.update(values[:, None], keys)
                content.footprint.add_pixels(nested, survey_map.nside)
                content.odd.update(
                    {value: np.count_nonzero(values == np.float32(value)) for value in sentinels}
                )
                content.outside.update(
                    {f"{name} of {p.schema.name}": _outside(values, p, name) for p, name in served}
                )
                progress.update(len(pixels))
        return content


def _outside(values: np.ndarray, preset: Preset, name: str) -> int:
    """Values out of a survey column's range; 0 if it takes more than this map to know."""
    if name not in preset.sources:
        return 0
    source = preset.sources[name]
    if source.expression:
        (alias,) = source.maps
        values = evaluate(source.expression, {alias: values}, name)
    column = next(column for column in preset.schema.columns if column.name == name)
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    return int(np.count_nonzero((values < low) | (values > high)))
