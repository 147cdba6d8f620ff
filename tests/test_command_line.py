"""What every command must have: help with examples that parse, suggestions, exit codes, colours."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from balrog_keras import __main__ as balrog
from data_prep import __main__ as prep
from data_prep.console import paint

ROOT = Path(__file__).parents[1]
COMMANDS = {
    **{("data_prep", name): prep._command_parser for name in prep._COMMANDS},
    **{("balrog_keras", name): balrog._command_parser for name in balrog._OWN_PARSERS},
}
KEYS = sorted(COMMANDS)
IDS = [" ".join(key) for key in KEYS]


def _parser(key):
    return COMMANDS[key](key[1])


def _examples(help_text):
    """Commands of the examples, as words; continued lines are joined."""
    part = re.sub(r"\\\n\s*", " ", help_text.split("examples:\n", 1)[1])
    lines = [line.strip() for line in part.splitlines()]
    commands = [line for line in lines if line.startswith("python ")]
    return [shlex.split(line.split("    ")[0]) for line in commands]


def _of_example(words):
    """Which command an example runs, and its arguments."""
    if words[1] in ("train.py", "evaluate.py"):
        return ("balrog_keras", words[1][:-3]), words[2:]
    assert words[1] == "-m"
    return (words[2], words[3]), words[4:]


@pytest.mark.parametrize("key", KEYS, ids=IDS)
def test_help_has_examples_that_parse_exit_codes_and_verbosity(key, tmp_path):
    help_text = _parser(key).format_help()
    found = [_of_example(words) for words in _examples(help_text)]
    assert key in [of for of, _ in found]
    config = tmp_path / "settings.yaml"
    config.write_text("width: 64\n")
    for of, arguments in found:
        _parser(of).parse_args([str(config) if a.endswith(".yaml") else a for a in arguments])
    assert "exit codes:\n  0 done; 1 the job failed" in help_text
    assert "--quiet" in help_text
    assert "--verbose" in help_text


@pytest.mark.parametrize("module", [prep, balrog], ids=["data_prep", "balrog_keras"])
def test_overview_names_every_command_and_its_examples_parse(module):
    text = module._parser().format_help()
    names = [name for package, name in COMMANDS if package == module.__name__.split(".")[0]]
    assert all(re.search(rf"\n +{name}\s", text) for name in names)
    for words in _examples(text):
        of, arguments = _of_example(words)
        _parser(of).parse_args(arguments)


@pytest.mark.parametrize("main", [prep.main, balrog.main])
def test_version_and_no_command(main, capsys):
    for arguments, code, stream, text in (
        (["--version"], 0, 0, f"balrog-keras {balrog.__version__}"),
        ([], 2, 1, "required: COMMAND"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == code
        assert text in capsys.readouterr()[stream]


@pytest.mark.parametrize(
    ("main", "arguments", "meant"),
    [
        (prep.main, ["prepair"], "prepair (did you mean prepare?)"),
        (prep.main, ["prepare", "--catalogue", "c", "--maps", "m", "--out", "o"], "--catalog"),
        (prep.main, ["prepare", "--split", "sky-parent"], "did you mean sky+parent"),
        (prep.main, ["simulate", "--out", "o", "--tile", "4", "--sead=1"], "--seed"),
        (balrog.main, ["emulte"], "emulte (did you mean emulate?)"),
        (balrog.main, ["emulate", "e", "--relizations", "3"], "did you mean --realizations"),
        (balrog.main, ["train", "--data", "d", "--name", "n", "--learning-rate", "1"], "unrec"),
        (balrog.main, ["train", "--data", "d", "--name", "n", "--critic-steps", "2"],
         "did you mean --critic_steps"),
        (balrog.main, ["sweep", "--data", "d", "--name", "n", "--trails", "2"], "--trials"),
        (balrog.main, ["evaluate", "e", "--data", "d", "--ouy", "o"], "did you mean --out"),
    ],
)  # fmt: skip
def test_misspelt_words_exit_2_and_name_what_is_close(main, arguments, meant, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert meant in " ".join(capsys.readouterr().err.split())


def test_misspelt_setting_in_a_file_exits_2_and_names_what_is_close(tmp_path, capsys):
    (tmp_path / "settings.yaml").write_text("widht: 64\n")
    with pytest.raises(SystemExit) as end:
        balrog.main(["train", "--data", "d", "--name", "n", f"--config={tmp_path}/settings.yaml"])
    assert end.value.code == 2
    assert "did you mean width" in capsys.readouterr().err


def test_nothing_is_suggested_for_what_is_right(capsys):
    with pytest.raises(SystemExit):
        prep.main(["prepare", "--catalog", "c", "--split", "sky"])
    error = capsys.readouterr().err
    assert "required: --maps, --out" in error
    assert "did you mean" not in error


def test_misspelt_preset_exits_1_and_names_what_is_close(tmp_path, capsys):
    places = ["--catalog", str(tmp_path), "--maps", str(tmp_path), "--out", str(tmp_path / "o")]
    assert prep.main(["prepare", "--preset", "des_y3_sot", *places]) == 1
    assert "did you mean des-y3-sof" in capsys.readouterr().err


def test_verbose_shows_the_traceback_and_quiet_only_the_line(tmp_path, capsys):
    assert prep.main(["verify", str(tmp_path), "--quiet"]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert prep.main(["verify", str(tmp_path), "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_verbose_logs_which_files_are_used(capfd):
    """In a process of its own, since logging is set up once."""
    code = (
        "from data_prep.console import run_command; from data_prep.preset import load_preset\n"
        "run_command(lambda: len(load_preset('des-y6').schema.name) and 0, verbose={})"
    )
    for verbose in (True, False):
        subprocess.run([sys.executable, "-c", code.format(verbose)], check=True, cwd=ROOT)
        assert ("data_prep.preset: preset des-y6: " in capfd.readouterr().err) == verbose


class _Terminal:
    def isatty(self):
        return True


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint("error:", "red", _Terminal()) == "\033[31merror:\033[0m"
    assert paint("error:", "red", sys.stdout) == "error:"
    monkeypatch.setenv("TERM", "dumb")
    assert paint("error:", "red", _Terminal()) == "error:"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("error:", "red", _Terminal()) == "error:"


def _completions(line, program, tmp_path):
    out = tmp_path / "completions"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "3" if line.startswith("python -m") else "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    subprocess.run([sys.executable, "-m", program], env=environment, check=True, cwd=ROOT)
    return [word.strip() for word in out.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "program", "expected"),
    [
        ("balrog-keras ma", "balrog_keras", {"maps", "magnification"}),
        ("balrog-keras train --critic_st", "balrog_keras", {"--critic_steps"}),
        ("balrog-keras train --generator_activation g", "balrog_keras", {"gelu"}),
        ("balrog-keras train --strategy m", "balrog_keras", {"mirrored", "multiworker"}),
        ("python -m balrog_keras maps --ns", "balrog_keras", {"--nside"}),
        ("balrog-data-prep prepare --preset des-y3-m", "data_prep",
         {"des-y3-metacal", "des-y3-metacal-lensing"}),
    ],
)  # fmt: skip
def test_tab_completes_commands_options_and_presets(line, program, expected, tmp_path):
    pytest.importorskip("argcomplete")
    assert set(_completions(line, program, tmp_path)) == expected


def test_help_takes_less_than_a_second_of_processor_time():
    """Of the slowest parser; what else runs on the machine does not count."""
    code = (
        "import time, sys; from balrog_keras.__main__ import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: print(time.process_time(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert float(done.stderr.splitlines()[-1]) < 1
