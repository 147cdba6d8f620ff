"""The wheel has all that the packages need, and what states the version agrees."""

import importlib
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

import balrog_keras
import data_prep

ROOT = Path(__file__).parents[1]


def _settings():
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return settings


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built as pip builds it, from a copy, so that nothing is left in the checkout."""
    home = tmp_path_factory.mktemp("wheel")
    source = home / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for package in ("balrog_keras", "data_prep"):
        shutil.copytree(ROOT / package, source / package, ignore=ignore)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    code = "import setuptools.build_meta as b; print(b.build_wheel('../dist'))"
    (home / "dist").mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    return zipfile.ZipFile(next((home / "dist").glob("*.whl")))


def test_wheel_holds_every_module_and_data_file_and_nothing_else(wheel):
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("balrog_keras", "data_prep")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix in (".py", ".yaml", ".json", ".typed")
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == files
    assert "data_prep/presets/des-y3-sof.yaml" in packed
    assert {"balrog_keras/py.typed", "data_prep/py.typed"} <= packed


def test_wheel_says_what_it_needs_and_starts_the_commands(wheel):
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = wheel.read(f"{folder}/METADATA").decode()
    entries = wheel.read(f"{folder}/entry_points.txt").decode()
    assert f"Version: {balrog_keras.__version__}\n" in metadata
    # Each system gets the distribution of TensorFlow that exists for it.
    assert re.search(r"tensorflow-cpu>=.*sys_platform != \"darwin\".*extra == \"cpu\"", metadata)
    assert re.search(r"tensorflow>=.*sys_platform == \"darwin\".*extra == \"cpu\"", metadata)
    gpu = r"tensorflow\[and-cuda\]>=.*sys_platform == \"linux\".*extra == \"gpu\""
    assert re.search(gpu, metadata)
    assert not re.search(r"^Requires-Dist: tensorflow[^;]*$", metadata, re.M)
    assert "balrog-keras = balrog_keras.__main__:main" in entries
    assert "balrog-data-prep = data_prep.__main__:main" in entries


def test_versions_agree_and_are_semantic():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    stated = {
        _settings()["metadata"]["version"],
        str(citation["version"]),
        balrog_keras.__version__,
        data_prep.__version__,
    }
    assert len(stated) == 1
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z-].*)?", stated.pop())


def test_citation_has_what_the_format_demands():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == _settings()["metadata"]["license"]
    assert all(re.fullmatch(r"10\.\d{4,}/\S+", each["doi"])
               for each in citation["references"] if "doi" in each)  # fmt: skip


def test_every_extra_that_is_named_exists():
    extras = set(_settings()["options.extras_require"])
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "Makefile"]
    sources = [*(ROOT / "balrog_keras").rglob("*.py"), *(ROOT / "data_prep").rglob("*.py")]
    named = set()
    for path in [*pages, *sources]:
        for found in re.findall(r"(?:-e '?\"?\.|balrog-keras)\[([\w,]+)\]", path.read_text()):
            named |= set(found.split(","))
    assert named <= extras
    assert "cpu" in named


def test_every_public_name_loads_and_the_strictly_typed_program_starts():
    assert all(getattr(balrog_keras, name) for name in balrog_keras.__all__)
    assert importlib.import_module("strict_user").Emulator is balrog_keras.Emulator
