"""The README's Python runs as printed, on the committed emulator."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from only_tensorflow import ALL_AGAIN, refuse_others

from balrog_keras.emulator import Emulator

ROOT = Path(__file__).parents[1]
BLOCKS = [part.split("```")[0] for part in (ROOT / "README.md").read_text().split("```python")[1:]]


def _run(code):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_plain_tensorflow_block_then_emulator_block():
    between = "import sys\nassert 'balrog_keras' not in sys.modules\nprint('BETWEEN')\n"
    done = _run(refuse_others() + BLOCKS[0] + between + ALL_AGAIN + BLOCKS[1])
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("BETWEEN")
    assert "meas_mag_r" in first
    assert "meas_mag_z" in second


def test_the_first_block_was_alone_with_tensorflow():
    done = _run(refuse_others() + "import numpy, absl\nimport pandas\n")
    assert "No module named 'pandas'" in done.stderr


def test_committed_emulator_is_whole_and_draws_its_domain():
    emulator = Emulator.load(ROOT / "saved_models" / "mini-balrog")
    assert emulator.label == "mini-Balrog: simulated images, realistic maps"
    quantiles = [emulator.info["domain"][c]["quantiles"] for c in emulator.schema.condition_names]
    rng = np.random.default_rng(0)
    low, high = (np.array([q[level] for q in quantiles]) for level in ("0.01", "0.99"))
    condition = rng.uniform(low, high, (20_000, 9)).astype("float32")
    drawn = emulator.draw(condition, np.arange(20_000), seed=1)
    assert np.isfinite(drawn).all()
    assert np.abs(np.median(drawn - condition[:, :3], axis=0)).max() < 0.4


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_readme_links_every_page_and_pages_exist(page):
    assert f"docs/{page.name}" in (ROOT / "README.md").read_text()
