"""An emulator without TensorFlow: noise that is a known function of its keys."""

from types import SimpleNamespace

import numpy as np
from toy import toy_schema


class FakeEmulator:
    """Draws truth plus keyed noise; detected with probability 0.6; in the domain if r < 24."""

    def __init__(self, members=1):
        self.schema, self.label, self.members = toy_schema(), "fake", members
        self.has_detection = True
        self.info = {"name": "fake", "schema": self.schema.to_dict(), "map_patterns": {}}

    def keyed(self, row_id, *keys):
        """Uniform numbers in [0, 1), (N,)."""
        phase = np.asarray(row_id) % 9973 * 12.9898 + np.dot(keys, (78.233, 37.719, 4.581))
        return np.modf(np.abs(np.sin(phase)) * 43758.5453)[0]

    def drawn_columns(self, condition, row_id, seed, member, detected, draw=0):
        noise = self.keyed(row_id, seed, member, draw)
        values = condition[:, :3].T + noise.astype("float32")
        found = self.keyed(row_id, seed, 99, draw) < 0.6
        found &= np.isfinite(condition[:, 0])
        columns = dict(zip(self.schema.measured_names, values, strict=True))
        if not detected:
            return columns
        columns = {name: np.where(found, each, np.nan) for name, each in columns.items()}
        p_detect = np.where(np.isfinite(condition[:, 0]), 0.6, np.nan).astype("float32")
        return {**columns, "p_detect": p_detect, "detected": found}

    def in_domain(self, condition):
        score = condition[:, 0]
        return score, score < 24


def fake_world(place, rows=2_500):
    """A truth catalogue in a directory, and its columns."""
    import pandas as pd
    from toy import toy_conditions

    table = pd.DataFrame(toy_conditions(rows, 8), columns=list(toy_schema().condition_names))
    rng = np.random.default_rng(1)
    table = table.assign(
        object_id=np.arange(rows) * 13 + 10**12, redshift=rng.random(rows),
        ra=rng.uniform(0, 360, rows), dec=rng.uniform(-60, 60, rows), name="galaxy",
    )  # fmt: skip
    table.to_parquet(place / "truth.parquet")
    return SimpleNamespace(path=place / "truth.parquet", table=table)
