import os
import signal

import pytest

from balrog_keras.callbacks import StopOnNonFinite, StopOnSignal
from data_prep.errors import BalrogError


class _Model:
    stop_training = False

    def __init__(self, critic=-1, generator=-1):
        import numpy as np

        self.first_nonfinite = type("V", (), {"numpy": lambda s: np.array([critic, generator])})()


class _Checkpoints:
    def __init__(self, latest):
        self.latest = latest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_stops_after_the_step_and_gives_the_handlers_back(number):
    before = signal.getsignal(number)
    callback = StopOnSignal()
    callback.set_model(_Model())
    callback.on_train_begin()
    callback.on_train_batch_end(0)
    assert not callback.model.stop_training
    os.kill(os.getpid(), number)
    callback.on_train_batch_end(1)
    assert callback.model.stop_training
    assert callback.received == number
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(
    ("steps", "name", "at"),
    [((7, -1), "critic", 7), ((-1, 9), "generator", 9), ((9, 4), "generator", 4)],
)
def test_first_bad_loss_is_named(steps, name, at):
    callback = StopOnNonFinite(_Checkpoints("runs/x/checkpoints/ckpt-3"))
    callback.set_model(_Model(*steps))
    with pytest.raises(BalrogError, match=rf"the {name}'s loss.*at step {at};.*ckpt-3"):
        callback.on_epoch_end(0)


def test_no_checkpoint_yet_is_said():
    callback = StopOnNonFinite(_Checkpoints(None))
    callback.set_model(_Model(0, 0))
    with pytest.raises(BalrogError, match="no checkpoint was written yet"):
        callback.on_train_batch_end(0)


def test_finite_losses_pass():
    callback = StopOnNonFinite(_Checkpoints(None))
    callback.set_model(_Model())
    callback.on_epoch_end(0)
