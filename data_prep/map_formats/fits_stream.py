"""FITS files as streams, plain or gzipped: headers and checksums, in bounded memory."""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from data_prep.errors import BalrogError

__all__ = [
    "Hdu",
    "is_gzipped",
    "open_stream",
    "parse_header",
    "read_hdus",
    "require_checksums",
    "whole",
]

_BLOCK = 2880
_CARD = 80
# A header of more blocks than this (36 cards each) has lost its END.
_MOST_BLOCKS = 1000
_CHUNK = 1 << 24
_VALUE = re.compile(r"\s*(?:'((?:[^']|'')*)'|([^/]*))")


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Turn what readers raise at a damaged file into one line for the user."""
    if not path.exists():
        raise BalrogError(f"a map file is needed; {path} does not exist")
    try:
        yield
    except BalrogError:
        raise
    except (OSError, EOFError, zlib.error, ArithmeticError, LookupError, MemoryError,
            RuntimeError, TypeError, ValueError) as error:  # fmt: skip
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise BalrogError(
            f"{path} must be a whole map; it is truncated or damaged ({lines[0]}); fetch it anew"
        ) from error


def is_gzipped(path: Path) -> bool:
    """Whether a file is compressed by gzip, whatever its name."""
    with open(path, "rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def open_stream(path: Path) -> IO[bytes]:
    """Open a file's content for reading from front to back, unzipped on the way."""
    return cast(IO[bytes], gzip.open(path)) if is_gzipped(path) else open(path, "rb")


@dataclass(frozen=True)
class Hdu:
    """One header of a FITS file and where its data lie.

    Attributes
    ----------
    header : dict
        Keyword -> bool, int, float or str; of a repeated keyword the first.
    start, size : int
        First byte of the data in the (unzipped) file, and their number without padding.
    header_sum : int
        Sum of the header's 32-bit words.
    """

    header: Mapping[str, Any]
    start: int
    size: int
    header_sum: int

    @property
    def padded_size(self) -> int:
        """Bytes of the data with the padding to whole FITS blocks."""
        return -(-self.size // _BLOCK) * _BLOCK


def read_hdus(path: Path, most: int = 2) -> list[Hdu]:
    """Read the first headers of a file, the primary one and its extensions.

    Raises
    ------
    OSError, EOFError, ValueError
        If it is no FITS file or a header is damaged; see :func:`whole`.
    """
    found: list[Hdu] = []
    with open_stream(path) as stream:
        while len(found) < most:
            content = _read_header(stream, b"XTENSION" if found else b"SIMPLE  ")
            if not content:
                break
            header = parse_header(content)
            hdu = Hdu(header, stream.tell(), _data_size(header), _word_sum(content))
            found.append(hdu)
            if len(found) < most:
                stream.seek(hdu.start + hdu.padded_size)
    return found


def require_checksums(path: Path) -> None:
    """Demand that the data and headers have the checksums that the file states, if any.

    Reads what has a checksum once per process, in bounded memory.

    Raises
    ------
    BalrogError
        If a checksum differs.
    OSError, EOFError, ValueError
        As for :func:`read_hdus`.
    """
    status = os.stat(path)
    _require_checksums(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _require_checksums(path: Path, size: int, mtime_ns: int) -> None:
    hdus = read_hdus(path)
    stated = [hdu for hdu in hdus if _stated(hdu, "CHECKSUM") or _stated(hdu, "DATASUM")]
    if not stated:
        return
    with open_stream(path) as stream:
        for number, hdu in enumerate(hdus):
            if hdu not in stated:
                continue
            stream.seek(hdu.start)
            data_sum = _fold(_sum_of(stream, hdu.padded_size))
            wrong = _stated(hdu, "DATASUM") and int(hdu.header["DATASUM"]) != data_sum
            # By the standard's encoding the words of a whole HDU add up to minus zero.
            total = _fold(hdu.header_sum + data_sum)
            if wrong or (_stated(hdu, "CHECKSUM") and total not in (0, 0xFFFFFFFF)):
                raise BalrogError(
                    f"{path} must have the checksum that its header {number} states, but differs: "
                    "bytes were changed; fetch it anew"
                )


def _stated(hdu: Hdu, key: str) -> bool:
    return bool(str(hdu.header.get(key, "")).strip())


def _sum_of(stream: IO[bytes], size: int) -> int:
    total = 0
    while size:
        chunk = stream.read(min(size, _CHUNK))
        if not chunk:
            raise EOFError("the file ends before its data do")
        size -= len(chunk)
        total += _word_sum(chunk)
    return total


def _word_sum(content: bytes) -> int:
    return int(np.frombuffer(content, ">u4").sum(dtype=np.uint64))


def _fold(total: int) -> int:
    """Ones' complement sum of 32 bits."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _read_header(stream: IO[bytes], first: bytes) -> bytes:
    """Blocks up to END; empty at the end of the file or where no further header begins."""
    blocks: list[bytes] = []
    while len(blocks) < _MOST_BLOCKS:
        block = stream.read(_BLOCK)
        if not blocks and block[: len(first)] != first:
            if first == b"SIMPLE  ":
                raise OSError("it is no FITS file")
            return b""
        if len(block) < _BLOCK:
            raise EOFError("the file ends within a header")
        blocks.append(block)
        cards = (block[place : place + 8] for place in range(0, _BLOCK, _CARD))
        if b"END     " in cards:
            return b"".join(blocks)
    raise OSError("a header has no END")


def parse_header(content: bytes) -> dict[str, Any]:
    """Keywords and values of a FITS header's cards; of a repeated keyword the first."""
    header: dict[str, Any] = {}
    for place in range(0, len(content), _CARD):
        card = content[place : place + _CARD].decode("latin-1")
        if card[8:10] == "= ":
            header.setdefault(card[:8].rstrip(), _parse_value(card[10:]))
    return header


def _parse_value(text: str) -> Any:
    match = _VALUE.match(text)
    quoted, plain = match.groups() if match else (None, text)
    if quoted is not None:
        return quoted.replace("''", "'").rstrip()
    plain = plain.strip()
    if plain in ("T", "F"):
        return plain == "T"
    for kind in (int, float):
        try:
            return kind(plain.replace("D", "E"))
        except ValueError:
            continue
    return plain


def _data_size(header: Mapping[str, Any]) -> int:
    axes = [_count(header, f"NAXIS{axis + 1}") for axis in range(_count(header, "NAXIS"))]
    if not axes:
        return 0
    bits: int = header["BITPIX"]
    if bits not in (8, 16, 32, 64, -32, -64):
        raise ValueError(f"BITPIX is {bits!r}")
    groups, parameters = header.get("GCOUNT", 1), header.get("PCOUNT", 0)
    if groups != 1 or not isinstance(parameters, int) or parameters < 0:
        raise ValueError(f"PCOUNT is {parameters!r}, GCOUNT {groups!r}")
    return abs(bits) // 8 * (parameters + math.prod(axes))


def _count(header: Mapping[str, Any], key: str) -> int:
    found = header.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1 << 50:
        raise ValueError(f"{key} is {found!r}")
    return found
