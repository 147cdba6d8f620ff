"""Imports point one way, and importing changes nothing global (the house's rules)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "tensorflow", "keras", "galsim", "sep", "dask", "distributed", "lsdb", "hats", "h5py", "tables",
    "numexpr", "matplotlib", "sklearn", "onnx", "onnxruntime", "tf2onnx", "grpc",
    "tensorflow_serving", "rail", "ceci",
)  # fmt: skip
# Modules that are about TensorFlow or Keras themselves.
GRAPH_MODULES = {
    "activations", "blocks", "building", "callbacks", "checkpoints", "datasets", "detection",
    "detection_fit", "differences", "distribution", "domain", "export", "export_endpoints",
    "fitting", "generator", "generator_fit", "keyed_noise", "losses", "members", "monitor",
    "networks", "onnx_export", "quick_draw", "replicas", "splines", "standardizer",
    "standardizer_fit", "streaming", "training", "training_data", "triangular_map", "validation",
    "wgan_gp",
}  # fmt: skip


def _modules(package):
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path, top_level):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", _modules("data_prep"), ids=lambda path: path.stem)
def test_data_prep_knows_nothing_of_balrog_keras(path):
    assert not [name for name in _imports(path, top_level=False) if name.startswith("balrog")]


@pytest.mark.parametrize(
    "path", [*_modules("data_prep"), *_modules("balrog_keras")], ids=lambda path: path.stem
)
def test_heavy_packages_are_imported_where_used(path):
    heavy = HEAVY if path.stem not in GRAPH_MODULES else HEAVY[2:]
    found = [name for name in _imports(path, top_level=True) if name.split(".")[0] in heavy]
    assert not found


def test_networks_metrics_and_plots_import_nothing_that_imports_them_back():
    for name in ("config", "networks", "metrics", "plots"):
        siblings = [
            module
            for module in _imports(ROOT / "balrog_keras" / f"{name}.py", top_level=False)
            if module.startswith("balrog_keras")
        ]
        for module in siblings:
            path = ROOT / (module.replace(".", "/") + ".py")
            assert f"balrog_keras.{name}" not in list(_imports(path, top_level=False))


def test_importing_configures_no_logging_and_loads_nothing_heavy():
    code = (
        "import sys, logging, balrog_keras, data_prep, data_prep.survey_maps, data_prep.prepare\n"
        "assert not logging.getLogger().handlers\n"
        f"assert not [m for m in {HEAVY!r} if m in sys.modules]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
