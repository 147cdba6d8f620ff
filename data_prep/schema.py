"""Which columns are truth, survey property or measured, in which units and order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from data_prep.errors import BalrogError

__all__ = ["GROUPS", "NJY_ZERO_POINT", "PHOTOMETRIC_UNITS", "TRANSFORMS", "Column", "Schema"]

GROUPS = ("truth", "survey", "measured")
TRANSFORMS = ("identity", "log10", "log1p", "asinh")
PHOTOMETRIC_UNITS = ("mag", "flux", "nJy", "asinh mag")
# An AB magnitude of 0 is 3631 Jy to 0.0001 mag.
NJY_ZERO_POINT = 31.4


@dataclass(frozen=True)
class Column:
    """One column in physical units.

    Parameters
    ----------
    name : str
        For example ``"meas_mag_r"``.
    unit : str
        ``"mag"`` (AB), ``"flux"`` (at the zero point), ``"nJy"``, ``"asinh mag"``, or free text
        such as ``"arcsec"``.
    group : {"truth", "survey", "measured"}
        What it is.
    reference : str
        Truth column that a measured column is compared with, ``""`` if none.
    minimum, maximum : float or None
        Valid range, ends included; None is no bound.
    transform : {"identity", "log10", "log1p", "asinh"}
        What the networks see of the value, to even out a long tail. Shards and emulated
        catalogues hold the value itself.
    zero_point : float or None
        AB magnitude of unit flux; for flux, nJy and asinh mag.
    softening : float or None
        The b of asinh magnitudes (see :mod:`data_prep.photometry`), in flux units of the zero
        point; None until it is estimated from the catalogue.

    Raises
    ------
    BalrogError
        If the group or transform is unknown, the range is empty or reaches where the transform
        has no value, or the unit does not go with the zero point and softening.
    """

    name: str
    unit: str
    group: str
    reference: str = ""
    minimum: float | None = None
    maximum: float | None = None
    transform: str = "identity"
    zero_point: float | None = None
    softening: float | None = None

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise BalrogError(
                f"column {self.name}: group must be one of {', '.join(GROUPS)}, "
                f"found {self.group!r}"
            )
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and not low < high:
            raise BalrogError(f"column {self.name}: minimum {low} must lie below maximum {high}")
        self._check_transform()
        self._check_photometry()

    def _check_transform(self) -> None:
        if self.transform not in TRANSFORMS:
            raise BalrogError(
                f"column {self.name}: transform must be one of {', '.join(TRANSFORMS)}, "
                f"found {self.transform!r}"
            )
        bound = {"log10": 0, "log1p": -1}.get(self.transform)
        if bound is not None and not (self.minimum is not None and self.minimum > bound):
            raise BalrogError(
                f"column {self.name}: transform {self.transform} needs a minimum above {bound}, "
                f"found {self.minimum}"
            )

    def _check_photometry(self) -> None:
        if self.unit == "asinh mag" and self.zero_point is None:
            raise BalrogError(
                f"column {self.name}: the unit asinh mag needs a zero_point, found none"
            )
        if self.unit == "nJy" and self.zero_point not in (None, NJY_ZERO_POINT):
            raise BalrogError(
                f"column {self.name}: the zero_point of nJy is {NJY_ZERO_POINT}, found "
                f"{self.zero_point}; give other fluxes the unit flux"
            )
        if self.softening is None:
            return
        if self.unit != "asinh mag" or not self.softening > 0:
            raise BalrogError(
                f"column {self.name}: a softening must be above 0 and of a column in asinh mag, "
                f"found {self.softening} and the unit {self.unit}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON; later fields are left out where they say nothing."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        # Fingerprints of schemas older than these fields stay what they were.
        silent = {"transform": "identity", "zero_point": None, "softening": None}
        return {k: v for k, v in content.items() if k not in silent or v != silent[k]}


def _difference(expected: Column, found: Column) -> str:
    """How two columns differ, in words."""
    if expected.name != found.name:
        return f"should be {expected.name!r}, found {found.name!r}"
    wanted, other = asdict(expected), asdict(found)
    return f"is {expected.name!r}, of which " + "; ".join(
        f"the {key.replace('_', ' ')} should be {value!r}, found {other[key]!r}"
        for key, value in wanted.items()
        if value != other[key]
    )


@dataclass(frozen=True)
class Schema:
    """The columns of an emulator, in order.

    Parameters
    ----------
    name : str
        For example ``"des-y3-sof"``.
    bands : tuple of str
        For example ``("r", "i", "z")``.
    columns : tuple of Column
        All columns; within a group their order is that of the arrays.

    Raises
    ------
    BalrogError
        If names repeat, there is no truth or no measured column, or a reference is no truth
        column.

    Examples
    --------
    >>> columns = (Column("true_mag_r", "mag", "truth"), Column("fwhm_r", "arcsec", "survey"),
    ...            Column("meas_mag_r", "mag", "measured", reference="true_mag_r"))
    >>> Schema("mine", ("r",), columns).condition_names
    ('true_mag_r', 'fwhm_r')
    """

    name: str
    bands: tuple[str, ...]
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise BalrogError(f"schema {self.name}: column names repeat: {', '.join(repeated)}")
        if not (self.truth and self.measured):
            raise BalrogError(f"schema {self.name} needs a truth and a measured column")
        truth = [column.name for column in self.truth]
        for column in self.columns:
            if column.reference and column.reference not in truth:
                raise BalrogError(
                    f"schema {self.name}: the reference of {column.name} must be a truth column "
                    f"({', '.join(truth)}), found {column.reference!r}"
                )

    def _group(self, group: str) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.group == group)

    @property
    def truth(self) -> tuple[Column, ...]:
        """Truth columns."""
        return self._group("truth")

    @property
    def survey(self) -> tuple[Column, ...]:
        """Survey properties."""
        return self._group("survey")

    @property
    def measured(self) -> tuple[Column, ...]:
        """Measured columns."""
        return self._group("measured")

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the condition's columns: truth, then survey properties."""
        return tuple(column.name for column in self.truth + self.survey)

    @property
    def measured_names(self) -> tuple[str, ...]:
        """Names of the measured columns."""
        return tuple(column.name for column in self.measured)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the columns (not the schema's name), 64 hexadecimal digits."""
        columns = [column.to_dict() for column in self.truth + self.survey + self.measured]
        canonical = json.dumps(columns, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON; inverse of :meth:`from_dict`."""
        return {
            "name": self.name,
            "bands": list(self.bands),
            "columns": [column.to_dict() for column in self.columns],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Schema:
        """Schema from :meth:`to_dict`'s dictionary.

        Raises
        ------
        BalrogError
            If keys are missing or unknown.
        """
        try:
            columns = tuple(Column(**column) for column in content["columns"])
            return cls(str(content["name"]), tuple(content["bands"]), columns)
        except (KeyError, TypeError) as error:
            raise BalrogError(f"a schema needs name, bands and columns; found {error}") from error

    def require_same(self, other: Schema, where: str) -> None:
        """Demand that `other` has the same columns.

        Parameters
        ----------
        other : Schema
            What was found.
        where : str
            Where it was found, for the message.

        Raises
        ------
        BalrogError
            Naming the first column that differs.
        """
        if self.fingerprint == other.fingerprint:
            return
        mine = self.truth + self.survey + self.measured
        theirs = other.truth + other.survey + other.measured
        for expected, found in zip(mine, theirs, strict=False):
            if expected != found:
                raise BalrogError(
                    f"{where}: expected the columns of schema {self.name}; the first that differs "
                    f"{_difference(expected, found)}"
                )
        raise BalrogError(
            f"{where}: expected the {len(mine)} columns of schema {self.name} ending with "
            f"{mine[-1].name}, found {len(theirs)} ending with {theirs[-1].name}"
        )
