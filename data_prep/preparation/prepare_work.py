"""The directory in which a long job keeps what it has done, until its result is whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError
from data_prep.files import write_json
from data_prep.locks import locked

__all__ = ["discard_work", "open_work", "work_path"]

logger = logging.getLogger(__name__)

_JOB_NAME = "job.json"


@contextlib.contextmanager
def open_work(
    out: Path, job: dict[str, Any], resume: bool, purpose: str = "prepare"
) -> Iterator[Path]:
    """Give the work directory of a job, locked against a second process.

    It stays if the job is interrupted (so that ``--resume`` goes on) and goes when the job is
    done or its input is bad.

    Parameters
    ----------
    out : path
        What the job makes, no link; the work directory lies hidden beside it.
    job : dict
        What the result depends on (JSON-able); a job can be resumed by the same one only.
    resume : bool
        Whether to go on with an interrupted job; otherwise what it left is deleted.
    purpose : str
        Ending of the work directory's name.

    Yields
    ------
    pathlib.Path

    Raises
    ------
    BalrogError
        If another process is at it, or the job to resume was another one.
    """
    with locked(out, "give another --out"):
        work = work_path(out, purpose)
        work.mkdir(exist_ok=True)
        _begin(work, out, job, resume)
        try:
            yield work
        except BalrogError:
            discard_work(work)
            raise
        except BaseException:
            logger.info("what is done is kept; run the same command with --resume to go on")
            raise
        discard_work(work)


def _begin(work: Path, out: Path, job: dict[str, Any], resume: bool) -> None:
    saved, digest = work / _JOB_NAME, hashlib.sha256(json.dumps(job).encode()).hexdigest()
    if resume and saved.is_file():
        before, known = _read_job(saved, out)
        if known == digest:
            logger.info("going on with what an interrupted job had done")
            return
        changed = [key for key in sorted({*before, *job}) if before.get(key) != job.get(key)]
        raise BalrogError(
            f"--resume must repeat the interrupted job; changed: {', '.join(changed)}; give the "
            f"same options and files, or start anew without --resume ({out})"
        )
    if resume:
        logger.info("there is no interrupted job at %s; starting anew", out)
    saved.unlink(missing_ok=True)  # First: what a kill leaves of the rest is no job to resume.
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    write_json(saved, {"sha256": digest, "job": job})


def _read_job(saved: Path, out: Path) -> tuple[dict[str, Any], str]:
    """The interrupted job and its checksum."""
    try:
        content = json.loads(saved.read_text(encoding="utf-8"))
        return dict(content["job"]), content["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise BalrogError(
            f"{saved} must say what the interrupted job was, but is damaged ({error}); start anew "
            f"without --resume ({out})"
        ) from None


def work_path(out: Path, purpose: str) -> Path:
    """Where the work directory of a job that makes `out` is."""
    return out.with_name(f".{out.name}.{purpose}")


def discard_work(work: Path) -> None:
    """Delete the work directory; a kill meanwhile leaves nothing that could be resumed."""
    with contextlib.suppress(OSError):
        (work / _JOB_NAME).unlink()
    shutil.rmtree(work, ignore_errors=True)
