"""The examples in docstrings run, and give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for package in ("balrog_keras", "data_prep")
    for path in (ROOT / package).rglob("*.py")
    if ">>>" in path.read_text()
)
# Whose examples need a server, an export or a cluster; tests of their own run the same calls.
NOT_RUN = {
    "balrog_keras.distributed", "balrog_keras.onnx_emulator", "balrog_keras.serving_client",
}  # fmt: skip
# Where a reader starts: each of these has at least one example.
STARTS = {
    "balrog_keras.config", "balrog_keras.emulator", "balrog_keras.metrics", "data_prep.errors",
    "data_prep.photometry", "data_prep.preset", "data_prep.schema",
}  # fmt: skip


def test_modules_where_a_reader_starts_have_examples():
    assert set(MODULES) >= STARTS


@pytest.mark.parametrize("name", [name for name in MODULES if name not in NOT_RUN])
def test_examples(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(name)
    examples = [e for test in doctest.DocTestFinder().find(module) for e in test.examples]
    assert [e for e in examples if not e.options.get(doctest.SKIP)]
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0
