import logging
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from balrog_keras.callbacks import ProgressLine, StopOnNonFinite, StopOnSignal, Validate
from data_prep.errors import BalrogError


class _Model:
    stop_training = False

    def __init__(self, critic=-1, generator=-1):
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


class _Validator:
    """Scores that were written down before."""

    def __init__(self, *scores):
        self.remaining = list(scores)

    def validate(self, generator):
        energy, selection = self.remaining.pop(0)
        return SimpleNamespace(scores={"energy_score": energy, "selection_score": selection})

    def energy_score(self, generator):
        return 9.0


class _Kept:
    """Checkpoints that note what they are offered and when they save."""

    def __init__(self):
        self.offered, self.saves = [], 0
        self.best_score, self.best_step = tf.Variable(np.inf), tf.Variable(-1)

    def offer(self, score, model):
        self.offered.append(score)
        if score < self.best_score.numpy():
            self.best_score.assign(score)
            self.best_step.assign(50 * len(self.offered))

    def save(self):
        self.saves += 1


def _gan(step, stopping=False):
    iterations = SimpleNamespace(numpy=lambda: np.int64(step))
    return SimpleNamespace(
        stop_training=stopping, generator="raw", ema_generator="averaged",
        optimizer=SimpleNamespace(iterations=iterations),
    )  # fmt: skip


def test_the_selection_score_decides_what_is_kept():
    kept = _Kept()
    callback = Validate(_Validator((1.2, 1.5), (1.3, 1.4)), kept)
    callback.set_model(_gan(50))
    callback.on_epoch_end(0)
    callback.on_epoch_end(1)
    assert kept.offered == [1.5, 1.4]
    assert kept.saves == 2
    assert callback.scores == {
        "energy_score": 1.3, "selection_score": 1.4, "raw/energy_score": 9.0
    }  # fmt: skip
    assert callback.seconds > 0


def test_nothing_is_validated_while_stopping():
    kept = _Kept()
    callback = Validate(_Validator(), kept)
    callback.set_model(_gan(50, stopping=True))
    callback.on_epoch_end(0)
    assert kept.saves == 0


def test_progress_line_names_epoch_score_and_best(caplog):
    caplog.set_level(logging.INFO)
    kept, notes = _Kept(), []
    validate = Validate(_Validator((1.2, 1.5), (1.3, 1.6)), kept)
    progress = SimpleNamespace(done=0, update=lambda count, note: notes.append((count, note)))
    line = ProgressLine(progress, kept, validate, rows=1_000, step_rows=500)
    for callback in (validate, line):
        callback.set_model(_gan(100))
    line.on_train_batch_end(0)
    progress.done = 1_500
    logs = {"critic_gap": 0.25, "gradient_penalty": 0.01}
    for callback in (validate, validate, line):
        callback.on_epoch_end(0, logs)
    line.on_train_batch_end(1)
    assert notes[0] == (500, "epoch 0.0")
    assert notes[1] == (500, "epoch 1.5, score 1.6000, best 1.5000, kept step 50")
    assert [record.message for record in caplog.records] == [
        "step 100: epoch 1.5, score 1.6000, best 1.5000, kept step 50; energy score 1.3000, "
        "critic gap 0.2500, penalty 0.0100"
    ]


def test_a_worker_that_does_not_validate_logs_no_scores(caplog):
    caplog.set_level(logging.INFO)
    kept = _Kept()
    line = ProgressLine(SimpleNamespace(done=0), kept, Validate(_Validator(), kept), 10, 10)
    line.set_model(_gan(1))
    line.on_epoch_end(0, {"critic_gap": 0.25, "gradient_penalty": 0.01})
    assert not caplog.records
