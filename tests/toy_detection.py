"""Injections whose probability of detection is known, for tests that need no images."""

import numpy as np
from shard_files import write_shards
from toy import toy_conditions, toy_rows, toy_schema

MANIFEST = {
    "preset": "toy",
    "label": "toy: a known detection probability",
    "dropped": {},
    "rows_read": 0,
    "regions": {},
    "parents": {},
    "map_patterns": {},
    "provenance": {"sources": []},
}


def toy_probability(condition: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """Logistic in the i magnitude; the limit is brighter in bad seeing. float64 (rows,)."""
    condition = condition.astype("float64")
    limit = 23.5 - 2.0 * (condition[:, 4] - 0.95) - 0.05 * (condition[:, 7] - 9)
    return 1 / (1 + np.exp((condition[:, 1] - limit - shift) / 0.35))


def toy_injections(rows: int, seed: int) -> dict[str, np.ndarray]:
    """One detection split, keyed as shards are."""
    condition = toy_conditions(rows, seed)
    rng = np.random.default_rng([seed, 3])
    return {
        "condition": condition,
        "row_id": np.arange(rows, dtype="int64") + 10**9 * seed,
        "parent_id": rng.integers(0, max(2, rows // 4), rows),
        "region": rng.integers(0, 40, rows),
        "position": rng.uniform(10, 20, (rows, 2)).astype("float32"),
        "detected": (rng.random(rows) < toy_probability(condition)).astype("int64"),
    }


def write_detection_shards(directory, train=20_000, validation=4_000, test=4_000, seed=0):
    """Shards with measured rows, and every injection, of the toy."""
    splits = {name: toy_rows(1_000, 10 * seed + k) for k, name in enumerate(("train", "test"), 1)}
    splits["validation"] = toy_rows(500, 10 * seed + 3)
    counts = {"train": train, "validation": validation, "test": test}
    for k, (name, count) in enumerate(counts.items(), 4):
        splits[f"detection-{name}"] = toy_injections(count, 10 * seed + k)
    directory.mkdir(parents=True)
    write_shards(directory, splits, toy_schema(), MANIFEST, shards=2)
    return directory
