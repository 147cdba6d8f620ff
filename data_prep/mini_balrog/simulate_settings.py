"""Settings of the mini-Balrog, validated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from data_prep.errors import BalrogError

__all__ = ["SimulateSettings"]


@dataclass(frozen=True, kw_only=True)
class SimulateSettings:
    """Everything that decides what is simulated.

    Attributes
    ----------
    out : str
        Directory to write.
    tiles : int
        Coadd tiles; on the default sky each has a region (nside 64) of its own.
    realizations : int
        Injection realizations of each tile, which share its field.
    tile_pixels : int
        Pixels of 0.263 arcsec along a tile's side.
    parents : int
        Galaxies that are injected over and over, in three disjoint pools.
    seed, split_seed : int
        Seed of everything drawn; seed of which region is train, validation, test.
    validation_fraction, test_fraction : float
        Shares of the tiles; give `prepare` the same.
    workers : int
        Processes; changes nothing in the result.
    maps, truth : str or None
        Directory of survey property maps; catalogue of true galaxies.
    replicate : bool
        Also redraw the test regions.
    """

    out: str
    tiles: int = 320
    realizations: int = 5
    tile_pixels: int = 512
    parents: int = 16_000
    seed: int = 0
    split_seed: int = 0
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    workers: int = 1
    maps: str | None = None
    truth: str | None = None
    replicate: bool = False

    def __post_init__(self) -> None:
        limits = {
            "tiles": (3, 100_000),
            "realizations": (1, 1_000),
            "tile_pixels": (256, 4_096),
            "parents": (30, 10**8),
            "seed": (0, 2**63 - 1),
            "workers": (1, 4_096),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise BalrogError(
                    f"--{name.replace('_', '-')} must lie between {low} and {high}, found "
                    f"{getattr(self, name)}"
                )

    def recorded(self) -> dict[str, Any]:
        """Settings that decide the result: all but where it is written and by how many."""
        return {k: v for k, v in asdict(self).items() if k not in ("out", "workers")}
