"""Where a catalogue has the columns that an emulator needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data_prep.preset import Preset, Source
from data_prep.schema import Column

__all__ = ["CatalogColumns"]


@dataclass(frozen=True)
class CatalogColumns:
    """Where a catalogue has what the emulator needs.

    Instead of a sequence of names a single one can be given as a string.

    Attributes
    ----------
    conditions : mapping of str to sequence of str
        Condition column -> its names in the catalogue, the first present counts
        (``name`` or ``name[0]``). A condition that is not listed has its own name.
    position : (sequence of str, sequence of str)
        Names of right ascension and of declination, degrees.
    row_id : sequence of str
        Names of a column of whole numbers; empty for the row number.
    keep : sequence of str
        Columns copied to the output; ``["all"]`` for every one that holds numbers.
    preset : Preset, optional
        A survey's, with names, units, sentinels, expressions and extinction of the conditions;
        values are converted to the emulator's units.
    """

    conditions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    position: tuple[Sequence[str], Sequence[str]] = (("ra",), ("dec",))
    row_id: Sequence[str] = ()
    keep: Sequence[str] = ()
    preset: Preset | None = None

    def __post_init__(self) -> None:
        several = {name: _several(found) for name, found in self.conditions.items()}
        object.__setattr__(self, "conditions", several)
        ra, dec = self.position
        object.__setattr__(self, "position", (_several(ra), _several(dec)))
        for name in ("row_id", "keep"):
            object.__setattr__(self, name, _several(getattr(self, name)))

    @classmethod
    def of_preset(cls, preset: Preset, keep: Sequence[str] = ()) -> CatalogColumns:
        """Names, units and conversions as a survey's preset states them."""
        return cls(position=preset.position, row_id=preset.id, keep=keep, preset=preset)

    @property
    def vector_bands(self) -> Sequence[str]:
        """Order of the bands in vector columns, for ``name[r]``."""
        return self.preset.vector_bands if self.preset else ()

    def source_of(self, column: Column) -> Source | None:
        """The preset's source of a condition that it takes from the catalogue, else None."""
        source = self.preset.sources.get(column.name) if self.preset else None
        return source if source and source.inputs else None


def _several(names: str | Sequence[str]) -> Sequence[str]:
    """A single name as a sequence of one."""
    return (names,) if isinstance(names, str) else names
