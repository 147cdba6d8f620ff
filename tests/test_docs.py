"""The documentation site builds without a warning, and a page needs nothing from the network."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def _navigation():
    # Of the tags that MkDocs adds to YAML none is used.
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    for entry in nav:
        for value in entry.values():
            yield from (
                [value] if isinstance(value, str) else [next(iter(each.values())) for each in value]
            )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocstrings")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_in_the_navigation_once():
    assert sorted(_navigation()) == PAGES


def test_pages_load_nothing_from_elsewhere_and_equations_are_mathml(site):
    for page in PAGES:
        html = (site / page).with_suffix(".html").read_text()
        loaded = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)"', html)
        loaded += re.findall(r'<link rel="(?:stylesheet|preload)" href="([^"]+)"', html)
        assert not [address for address in loaded if "//" in address], page
        assert 'class="arithmatex"' not in html, page
        for address in loaded:
            assert (site / address.split("?")[0].split("#")[0]).is_file(), (page, address)
    method = (site / "method.html").read_text()
    assert method.count("<math") == _equations(ROOT / "docs/method.md")


def _equations(path):
    text = re.sub(r"`[^`]*`", "", path.read_text())
    display = re.findall(r"\$\$.+?\$\$", text, re.DOTALL)
    return len(display) + len(
        re.findall(r"\$[^$]+\$", re.sub(r"\$\$.+?\$\$", "", text, flags=re.S))
    )


def test_reference_shows_signatures_types_and_docstrings(site):
    text = unescape(re.sub(r"<[^>]+>", "", (site / "api.html").read_text()))
    named = re.findall(r"^::: (\S+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    assert len(named) > 20
    assert not [name for name in named if name not in text]
    assert "seed: int = 0" in text
    assert "Another seed is another realization." in text
    assert ":meth:" not in text


def test_parameters_described_together_have_their_own_types(site):
    """griffe gives all of them the first one's."""
    text = unescape(re.sub(r"<[^>]+>", "", (site / "api.html").read_text()))
    text = re.sub(r"\s+", " ", text)
    for shown in ("condition (ndarray)", "seed (int)", "member (int, default: 0 )"):
        assert f"{shown} – As in draw." in text
    assert re.search(r"detected \(bool, default: False \) – As realizations", text)
    assert "**more (Any) – As realizations" in text
    assert "sequence of str, default: () ) – Columns to copy" in text
    assert not re.search(r"– (Raises|Examples):", text)


def test_options_in_tables_are_not_broken_and_pictures_can_be_opened(site):
    page = (site / "reliability.html").read_text()
    assert "<code><span class=word>--resume</span></code>" in page
    assert "class=word" not in "".join(re.findall(r"<pre.*?</pre>", page, re.DOTALL))
    maps = (site / "maps.html").read_text()
    assert re.search(r'<a href="figures/maps.png"><img [^>]*src="figures/maps.png"[^>]*></a>', maps)


def test_the_tests_of_the_fault_table_exist():
    page = (ROOT / "docs/reliability.md").read_text()
    named = set(re.findall(r"`(test_[\w*]+\.py)`", page))
    assert len(named) > 20
    assert not [name for name in named if not list((ROOT / "tests").glob(name))]
    rows = [line for line in page.splitlines() if line.startswith("| ") and "| test |" not in line]
    faults = rows[: next(n for n, row in enumerate(rows) if row.startswith("| fault | `prepare`"))]
    assert len(faults) > 20
    assert not [row for row in faults if "test_" not in row]


def test_commands_in_the_pages_exist():
    """Every printed command names a command, and options, that the parsers know."""
    from balrog_keras import __main__ as balrog
    from data_prep import __main__ as prep

    parsers = {f"data_prep {name}": prep._command_parser(name) for name in prep._COMMANDS}
    parsers |= {f"balrog_keras {name}": balrog._command_parser(name) for name in balrog._HELP}
    checked = 0
    for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        text = re.sub(r"```console.*?```", "", path.read_text(), flags=re.DOTALL)
        text = text.replace("\\\n", " ")
        for found in re.findall(
            r"^\s*(?:python -m (data_prep|balrog_keras) ([\w-]+)|python (train|evaluate)\.py)(.*)$",
            text, re.MULTILINE,
        ):  # fmt: skip
            package, name, script, rest = found
            parser = parsers[f"{package} {name}" if package else f"balrog_keras {script}"]
            for option in re.findall(r"(?<=\s)--[\w-]+", rest):
                assert option in parser._option_string_actions, (path.name, found)
                checked += 1
    assert checked > 100
