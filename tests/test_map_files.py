import errno
import json

import healpy
import healsparse
import numpy as np
import pytest

from balrog_keras.map_files import describe_map, write_maps
from balrog_keras.maps import PaintedMaps
from data_prep.errors import BalrogError
from data_prep.survey_maps import SurveyMap

RECORD = {"label": "toy", "seed": 1}


def painted(seed=0):
    rng = np.random.default_rng(seed)
    names = ["coverage", "completeness", "completeness_error"]
    names += [f"{kind}_meas_mag_i{end}" for kind in ("bias", "scatter", "depth")
              for end in ("", "_error")]  # fmt: skip
    pixels = np.arange(40, 60)
    values = {name: rng.random(pixels.size).astype("float32") for name in names}
    values["depth_meas_mag_i"][4] = np.nan
    return PaintedMaps(16, pixels, values)


@pytest.fixture(scope="module", autouse=True)
def _no_figures():
    """The figure has its own tests."""
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("balrog_keras.maps_figures.overview_figure", lambda *given: Figure((1, 1)))
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    place = tmp_path_factory.mktemp("files") / "maps"
    write_maps(place, painted(), RECORD, ["healsparse", "healpix"])
    return place


def test_both_formats_have_every_value(written):
    for name, values in painted().values.items():
        sparse = healsparse.HealSparseMap.read(str(written / f"{name}.hsp"))
        full = healpy.read_map(written / f"{name}.fits", nest=True)
        known = np.isfinite(values)
        pixels = painted().pixels[known]
        np.testing.assert_array_equal(np.sort(sparse.valid_pixels), pixels)
        np.testing.assert_array_equal(sparse[pixels], values[known])
        np.testing.assert_array_equal(full[pixels], values[known])
        assert np.count_nonzero(full > -1.6e30) == known.sum()
        for suffix in (".hsp", ".fits"):
            assert SurveyMap.open(written / f"{name}{suffix}").unit == describe_map(name)[1]


def test_the_record_describes_every_map(written):
    record = json.loads((written / "maps.json").read_text())
    assert {"label": "toy", "seed": 1, "nside": 16, "nest": True}.items() <= record.items()
    assert record["maps"].keys() == painted().values.keys()
    depth = record["maps"]["depth_meas_mag_i"]
    assert (depth["pixels"], depth["unit"]) == (19, "mag")
    assert "10 sigma" in depth["description"]
    assert record["maps"]["coverage"]["median"] == pytest.approx(
        np.median(painted().values["coverage"])
    )


def test_the_same_maps_are_the_same_bytes(written, tmp_path):
    write_maps(tmp_path / "again", painted(), RECORD, ["healsparse", "healpix"])
    for path in sorted(written.iterdir()):
        if path.suffix != ".png":
            assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_only_maps_are_replaced_and_only_when_told(tmp_path, monkeypatch):
    place = tmp_path / "maps"
    place.mkdir()
    write_maps(place, painted(), RECORD)
    with pytest.raises(BalrogError, match="give --overwrite"):
        write_maps(place, painted(1), RECORD)
    write_maps(place, painted(1), RECORD, overwrite=True)
    before = (place / "coverage.hsp").read_bytes()

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("balrog_keras.map_files.write_json", full)
    with pytest.raises(OSError, match="No space left"):
        write_maps(place, painted(2), RECORD, overwrite=True)
    assert (place / "coverage.hsp").read_bytes() == before
    assert list(tmp_path.iterdir()) == [place]
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "thesis.tex").write_text("all of it")
    with pytest.raises(BalrogError, match="no maps"):
        write_maps(other, painted(), RECORD, overwrite=True)
    assert (other / "thesis.tex").exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"maps": {}}', b'{"tiles": 3}', b"\xff"])
def test_a_record_of_another_program_is_not_replaced(tmp_path, content):
    (tmp_path / "maps.json").write_bytes(content)
    with pytest.raises(BalrogError, match=r"maps\.json must list the maps .* another program's"):
        write_maps(tmp_path, painted(), RECORD, overwrite=True)
    assert (tmp_path / "maps.json").read_bytes() == content


def test_a_file_put_among_the_maps_is_not_lost(tmp_path):
    place = tmp_path / "maps"
    for _ in range(2):
        write_maps(place, painted(), RECORD, overwrite=True)
    (place / "notes.txt").touch()
    with pytest.raises(BalrogError, match=r"also holds notes\.txt, which would be lost"):
        write_maps(place, painted(), RECORD, overwrite=True)
    assert (place / "notes.txt").exists()
