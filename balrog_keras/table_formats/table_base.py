"""What every format of a table that is written offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

__all__ = ["TableWriter"]


class TableWriter(ABC):
    """Takes parts of one table, all with the same columns, units and metadata.

    Parameters
    ----------
    path : path
        The file to write, or the directory to fill, which exists.
    name : str
        What the table is called.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name

    @abstractmethod
    def write(self, part: pyarrow.Table) -> None:
        """Append rows; a part may have none."""

    def finish(self) -> None:
        """Write what can be written only when every row is known."""
        return

    def close(self) -> None:
        """Let go of open files, whether the table is finished or not."""
        return
