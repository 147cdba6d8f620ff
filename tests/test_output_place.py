import pytest

from balrog_keras.output_place import files_in, require_apart, require_only, require_other
from data_prep.errors import BalrogError


def test_an_output_may_lie_beside_or_below_what_is_read(tmp_path):
    require_apart(tmp_path / "out", [tmp_path, tmp_path / "in", None])
    require_other(tmp_path, [tmp_path / "in"])


@pytest.mark.parametrize("output", ["", ".", "/"])
def test_an_output_has_a_name(tmp_path, output):
    with pytest.raises(BalrogError, match="--out must name a file or directory"):
        require_apart(tmp_path.__class__(output), [])


def test_an_output_replaces_nothing_that_is_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for output in ("in", "link"):
        for read in ("in", "in/part.parquet"):
            with pytest.raises(BalrogError, match=f"would replace .*{read}; give another --plot"):
                require_apart(tmp_path / output, [tmp_path / read], "--plot")
        with pytest.raises(BalrogError, match="another directory than what is read"):
            require_other(tmp_path / output, [tmp_path / "in"])


@pytest.mark.parametrize("part", ["1", "training_weights"])
@pytest.mark.parametrize("below", ["", "variables/x", "new"])
def test_an_output_is_no_part_of_an_emulator(tmp_path, part, below):
    """It would be refused from then on, for a file that it does not list."""
    (tmp_path / part).mkdir()
    require_other(tmp_path / part / below, [])
    (tmp_path / "emulator.json").touch()
    for require in (require_apart, require_other):
        with pytest.raises(BalrogError, match=f"--out must lie outside .*{part}, whose files"):
            require(tmp_path / part / below, [])
        require(tmp_path / "evaluation" / below, [])


def test_files_that_are_not_known_are_named(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a", "below/b", "below/.c"):
        (tmp_path / name).touch()
    assert files_in(tmp_path) == ["a", "below/.c", "below/b"]
    require_only(tmp_path, ["a", "below/b", "below/.c", "gone"], tmp_path / "record")
    with pytest.raises(BalrogError, match=r"also holds below/\.c, below/b, which would be lost"):
        require_only(tmp_path, ["a"], tmp_path / "record")
