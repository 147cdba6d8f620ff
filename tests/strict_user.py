"""A user's program for a strict type checker: `make lint` checks it, and no name may be Any."""

from pathlib import Path
from typing import assert_type

import numpy as np

import balrog_keras
from balrog_keras import ConditionalWGANGP, Critic, Emulator, Generator, Settings, Standardizer
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.onnx_emulator import OnnxEmulator
from balrog_keras.training import train
from data_prep.errors import BalrogError
from data_prep.manifest import Manifest
from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings
from data_prep.preset import Preset, load_preset
from data_prep.schema import Column, Schema
from data_prep.shards import read_split

assert_type(balrog_keras.__version__, str)


def draws(directory: Path, condition: np.ndarray) -> np.ndarray:
    """What an analyst does."""
    emulator = Emulator.load(directory)
    assert_type(emulator, Emulator)
    assert_type(emulator.schema, Schema)
    assert_type(emulator.has_detection, bool)
    row_id = np.arange(len(condition))
    measured, p_detect, detected = emulator.draw_detected(condition, row_id, seed=1)
    assert_type(p_detect, np.ndarray)
    assert_type(OnnxEmulator.load(directory), OnnxEmulator)
    assert_type(DrawPlan(seed=1, detected=True), DrawPlan)
    return np.asarray(measured[detected])


def learn(catalog: Path, maps: Path, out: Path) -> Path:
    """From files to an emulator."""
    preset = load_preset("des-y3-sof")
    assert_type(preset, Preset)
    assert_type(preset.schema.columns, tuple[Column, ...])
    try:
        manifest = prepare(PrepareSettings(catalog=catalog, maps=maps, out=out))
    except BalrogError as error:
        raise SystemExit(str(error)) from error
    assert_type(manifest, Manifest)
    assert_type(read_split(out, "train"), dict[str, np.ndarray])
    return train(out, "mine", Settings(width=64))


def networks() -> ConditionalWGANGP:
    """The classes that load on first use."""
    generator = Generator(3, width=8)
    assert_type(generator, Generator)
    assert_type(Standardizer(9, [0, 1, 2]), Standardizer)
    return ConditionalWGANGP(generator, Critic())
