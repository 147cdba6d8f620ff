"""Several emulators and models of photometric errors side by side on the same held-out rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from balrog_keras.comparison import statistic
from balrog_keras.depth_errors import DepthErrors
from balrog_keras.evaluation import evaluate
from balrog_keras.held_out import HeldOut
from balrog_keras.photometric_errors import GaussianErrors, NeighbourErrors
from balrog_keras.row_sample import sample_split
from data_prep.manifest import Manifest

__all__ = ["PEER_STATISTICS", "PeerView", "compare_peers"]

logger = logging.getLogger(__name__)

_ROWS, _DRAWS, _REPLICATES = 20_000, 50, 100
_TRAINING_ROWS = 200_000

# What is shown -> where it is in an evaluation's statistics; a path that ends at several columns
# gives the worst of them.
PEER_STATISTICS: dict[str, tuple[str, ...]] = {
    "C2ST AUC": ("c2st", "larger"),
    "worst PIT KS in a bin": ("pit", "worst_bin"),
    "worst W1 / spread": ("wasserstein",),
    "worst bias / spread": ("bias",),
    "worst spread ratio": ("spread_ratio",),
    "worst colour KS": ("colour_ks",),
    "worst error of a rank correlation": ("rank_correlation",),
    "energy score": ("energy_score", "emulator"),
}
_RIGHT = {"spread_ratio": 1.0}


class PeerView:
    """Draws of one model, judged in the conditional scales of another.

    Parameters
    ----------
    peer : object
        Has ``draw(condition, row_id, seed)``.
    name : str
        Label.
    judge : Emulator
        Gives the schema and the conditional location and scale.
    """

    def __init__(self, peer: Any, name: str, judge: Any) -> None:
        self.schema, self.label, self._peer, self._judge = judge.schema, name, peer, judge

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Measured columns of the peer, (N, M)."""
        return np.asarray(self._peer.draw(condition, row_id, seed))

    def location_scale(self, condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional location and scale of the judge, both (N, M)."""
        location, scale = self._judge.location_scale(condition)
        return np.asarray(location), np.asarray(scale)


def compare_peers(
    emulators: Mapping[str, Any], manifest: Manifest, held_out: HeldOut, seed: int = 0
) -> list[dict[str, Any]]:
    """Main statistics of every emulator and of photometric errors made without one.

    Parameters
    ----------
    emulators : mapping of str to Emulator
        By name; the first one's conditional location and scale judge all.
    manifest : Manifest
        Of the shards, whose training rows the photometric-error models know.
    held_out : HeldOut
        Rows that no emulator was trained on; 20,000 of them are used.
    seed : int
        Seed of the choice of rows, draws and folds.

    Returns
    -------
    list of dict
        Per model ``name``, ``rows`` and ``statistics``: name -> statistic with its interval. The
        first entry is the null of all, if there is an oracle.
    """
    judge = next(iter(emulators.values()))
    train = sample_split(manifest.directory, "train", _TRAINING_ROWS, seed).rows
    known = judge.schema, train["condition"], train["measured"]
    models: dict[str, Any] = {**emulators, GaussianErrors.label: GaussianErrors(*known)}
    depth = DepthErrors(*known)
    if depth.fits:
        models[DepthErrors.label] = depth
    for column, fit in depth.depths.items():
        logger.info("%s: 5 sigma depth of a point source %.2f mag", column, fit.m5)
    models[NeighbourErrors.label] = NeighbourErrors(*known)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x9EE5]))
    few = held_out.subset(np.isin(np.arange(len(held_out)), rng.permutation(len(held_out))[:_ROWS]))
    peers: list[dict[str, Any]] = []
    for name, model in models.items():
        logger.info("side by side: %s", name)
        found = evaluate(
            PeerView(model, name, judge), few, draws=_DRAWS, seed=seed,
            replicates=_REPLICATES, least_draws=1,
        )  # fmt: skip
        peers.append({"name": name, "rows": len(few), "statistics": _main(found.statistics)})
        if found.null_kind == "oracle" and len(peers) == 1:
            null = _main(found.statistics, "null", "null_interval")
            null["energy score"] = _oracle_energy(found.statistics)
            peers.insert(0, {"name": "oracle", "rows": len(few), "statistics": null})
    return peers


def _oracle_energy(statistics: dict[str, Any]) -> dict[str, Any]:
    entry = statistics["energy_score"]["oracle"]
    return statistic(entry["value"], entry["interval"])


def _main(
    statistics: dict[str, Any], value: str = "value", interval: str = "interval"
) -> dict[str, Any]:
    """The statistics of `PEER_STATISTICS`; of several columns the one furthest from right."""
    result = {}
    for name, path in PEER_STATISTICS.items():
        entry = statistics
        for key in path:
            entry = entry[key]
        right = _RIGHT.get(path[-1], 0.0)
        entries = [entry] if "value" in entry else list(entry.values())
        if entries:
            # A column without a spread has no value; it must not hide those that have one.
            worst = max(entries, key=lambda each: np.nan_to_num(abs(each[value] - right), nan=-1.0))
            result[name] = statistic(worst[value], worst.get(interval))
    return result
