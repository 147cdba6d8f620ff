"""What every task of a prepare job knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_prep.preparation.injections import TableSpec
from data_prep.preparation.prepare_plan import Plan
from data_prep.prepare_settings import PrepareSettings

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """What every task of a prepare job knows.

    Attributes
    ----------
    work : pathlib.Path
        Directory of intermediate files.
    plan : Plan
        What is read from where.
    settings : PrepareSettings
        Options.
    shards, buckets_per_shard : int
        Ranges of the shuffle key that become one file of the train split, and parts of each that
        fit in memory.
    """

    work: Path
    plan: Plan
    settings: PrepareSettings
    shards: int
    buckets_per_shard: int

    @property
    def buckets(self) -> int:
        """Number of buckets."""
        return self.shards * self.buckets_per_shard

    @property
    def writes_detection(self) -> bool:
        """Whether the injections of the detection catalogue become shards, not only partners."""
        return "detection" in self.plan.tables and not self.settings.without_detection

    @property
    def specs(self) -> dict[str, TableSpec]:
        """Role -> every table that is read."""
        others = {"neighbor": self.plan.neighbor_table} if self.plan.neighbor_table else {}
        return dict(self.plan.tables) | others

    @property
    def rows_directory(self) -> Path:
        """Where the rows of the first pass lie."""
        return self.work / "rows"
