import argparse

import pytest

from data_prep.errors import BalrogError
from data_prep.prepare_settings import PrepareSettings, add_arguments, settings_from

REQUIRED = ["--catalog", "c.fits", "--maps", "m", "--out", "o"]


def parsed(*options):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return settings_from(parser.parse_args([*REQUIRED, *options]))


def test_defaults_of_the_command_are_those_of_the_settings():
    settings = parsed()
    assert (str(settings.catalog), str(settings.maps), str(settings.out)) == ("c.fits", "m", "o")
    assert settings == PrepareSettings(
        catalog=settings.catalog, maps=settings.maps, out=settings.out
    )


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        (["--map-ordering", "ring"], "map_nest", False),
        (["--map-ordering", "nest"], "map_nest", True),
        (["--split", "sky+parent"], "split", "sky+parent"),
        (["--workers", "3"], "workers", 3),
        (["--dask", "tcp://h:1"], "dask", "tcp://h:1"),
        (["--unit", "nJy"], "unit", "nJy"),
        (["--test-fraction", "0.3"], "test_fraction", 0.3),
        (["--resume"], "resume", True),
        (["--interpolate"], "interpolate", True),
    ],
)
def test_options(options, name, value):
    assert getattr(parsed(*options), name) == value


@pytest.mark.parametrize(
    "fractions", [("1.5", "0.1"), ("nan", "0.1"), ("0.1", "0"), ("0.5", "0.5")]
)
def test_fractions_are_checked_at_once(fractions):
    with pytest.raises(BalrogError, match="validation.*test.* must"):
        parsed("--validation-fraction", fractions[0], "--test-fraction", fractions[1])


@pytest.mark.parametrize("option", ["--unit", "--split", "--map-ordering"])
def test_choices(option, capsys):
    with pytest.raises(SystemExit):
        parsed(option, "something")
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "least"), [("validation-rows", 1), ("shards", 1), ("batch-rows", 1), ("workers", 0)]
)
def test_numbers_have_a_least_value(option, least):
    with pytest.raises(
        BalrogError, match=f"--{option} must be at least {least}, found {least - 1}"
    ):
        parsed(f"--{option}", str(least - 1))
    parsed(f"--{option}", str(least))


def test_one_cluster_at_a_time():
    with pytest.raises(BalrogError, match="--dask and --workers exclude each other"):
        parsed("--dask", "tcp://h:1", "--workers", "2")


@pytest.mark.parametrize("out", [".", "..", "shards/.."])
def test_output_needs_a_name(out):
    with pytest.raises(BalrogError, match="--out must name a directory of its own"):
        parsed("--out", out)
