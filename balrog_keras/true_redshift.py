"""True redshifts of held-out rows, from the catalogue of what was injected."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError

__all__ = ["REDSHIFT_KEYS", "RedshiftSource"]

logger = logging.getLogger(__name__)

# What the id column of the catalogue identifies -> feature of the shards.
REDSHIFT_KEYS = {"injection": "row_id", "parent": "parent_id"}
_BATCH_ROWS = 500_000
# Outside are sentinels; a little below zero is a peculiar velocity.
_LOWEST, _HIGHEST = -0.1, 20.0


@dataclass(frozen=True)
class RedshiftSource:
    """A column of true redshifts.

    Parameters
    ----------
    catalog : pathlib.Path
        Any format of :func:`data_prep.catalogs.open_catalog` but a pickle.
    column : str
        Redshift; what is not between -0.1 and 20 is taken as not known.
    id : str
        Whole numbers.
    key : {"injection", "parent"}
        Whether these are ids of injections (the preset's ``id``) or of their parents (``parent``).

    Raises
    ------
    BalrogError
        If the key is another.
    """

    catalog: Path
    column: str
    id: str
    key: str = "injection"

    def __post_init__(self) -> None:
        if self.key not in REDSHIFT_KEYS:
            raise BalrogError(
                f"the key of redshifts must be {' or '.join(REDSHIFT_KEYS)}, found {self.key!r}"
            )

    def read(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        """Redshifts of rows of the shards, in memory that depends on these alone.

        Parameters
        ----------
        rows : dict of arrays
            As :func:`data_prep.shards.read_split` gives them; N rows.

        Returns
        -------
        float64 array, shape (N,)
            NaN where there is none.

        Raises
        ------
        BalrogError
            If a column is missing, or no row has a redshift.
        """
        catalog = open_catalog(self.catalog)
        redshift = catalog.require([self.column], "the true redshift")
        identity = catalog.require([self.id], f"the id of a {self.key}")
        wanted, place = np.unique(rows[REDSHIFT_KEYS[self.key]], return_inverse=True)
        found = np.full(len(wanted), np.nan)
        for batch in catalog.batches([redshift.column, identity.column], _BATCH_ROWS):
            ids, values = (batch[each.column] for each in (identity, redshift))
            at = np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)
            z = np.asarray(values, np.float64)
            with np.errstate(invalid="ignore"):
                known = (wanted[at] == ids) & (z > _LOWEST) & (z < _HIGHEST)
            found[at[known]] = z[known]
        result = found[place.ravel()]
        known_rows = int(np.isfinite(result).sum())
        if not known_rows:
            raise BalrogError(
                f"{self.catalog} must have {self.column} of test rows by the {self.key} ids in "
                f"{self.id}, found none of {len(result):,}: is that the column the shards were "
                "made with? (--redshift-key says whose id it is)"
            )
        logger.info("true redshifts of %s of %s test rows", f"{known_rows:,}", f"{len(result):,}")
        return result
