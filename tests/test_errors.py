import sys

import pytest

from data_prep.errors import BalrogError, MissingExtraError, require


def test_missing_extra_is_one_line_that_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "galsim", None)
    with pytest.raises(MissingExtraError) as caught:
        require("galsim", "sim")
    assert "balrog-keras[sim]" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, BalrogError)
    assert isinstance(caught.value, ImportError)


def test_a_broken_dependency_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "halfbroken.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        require("halfbroken", "cpu")
