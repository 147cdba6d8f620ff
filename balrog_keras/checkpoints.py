"""A run's checkpoints: everything that resuming needs, and the best generator so far."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import tensorflow as tf

from balrog_keras.generator import Generator
from balrog_keras.standardizer import Standardizer
from data_prep.errors import BalrogError

__all__ = ["Checkpoints"]

logger = logging.getLogger(__name__)

_KEPT = 3
_TOLERANCE = 0.005


class Checkpoints:
    """Save and restore networks, average, optimizers, standardizer and the best generator.

    Parameters
    ----------
    directory : path
        Where the last three checkpoints are kept.
    gan : ConditionalWGANGP
        Compiled model.
    standardizer : Standardizer
        Saved and restored with it.

    Attributes
    ----------
    best_generator : Generator
        The kept averaged generator, see :meth:`offer`.
    best_score, best_step : tf.Variable
        The lowest selection score so far, and the step of the kept generator (-1 before the
        first validation).
    """

    def __init__(self, directory: Path, gan: Any, standardizer: Standardizer) -> None:
        self.gan = gan
        self.best_generator = Generator.from_config(gan.ema_generator.get_config())
        self.best_generator.build(gan.ema_generator.input_shapes)
        self.best_score = tf.Variable(float("inf"), dtype=tf.float32)
        self.best_step = tf.Variable(-1, dtype=tf.int64)
        # Variables are named one by one: a layer kept in a list is not found by attribute.
        self._checkpoint = tf.train.Checkpoint(
            gan=_variables(gan),
            generator_optimizer=_variables(gan.optimizer),
            critic_optimizer=_variables(gan.critic_optimizer),
            first_nonfinite=gan.first_nonfinite,
            standardizer=_variables(standardizer),
            best_generator=_variables(self.best_generator),
            best_score=self.best_score,
            best_step=self.best_step,
        )
        try:
            self._manager = tf.train.CheckpointManager(
                self._checkpoint, str(directory), max_to_keep=_KEPT
            )
        except (ValueError, tf.errors.OpError) as error:
            raise BalrogError(
                f"{Path(directory) / 'checkpoint'} must list the checkpoints beside it, but is "
                f"damaged ({error}); delete the directory to train this run from its start"
            ) from None

    @property
    def step(self) -> int:
        """Generator updates done."""
        return int(self.gan.optimizer.iterations.numpy())

    @property
    def latest(self) -> str | None:
        """Path of the newest checkpoint whose files are there, or None."""
        kept = [path for path in self._manager.checkpoints if Path(f"{path}.index").is_file()]
        return kept[-1] if kept else None

    def offer(self, score: float, gan: Any) -> bool:
        """Keep the averaged generator unless an earlier score was clearly lower; tells whether.

        Scores within 0.5 % differ by less than the noise of the validation rows. Of such, the
        later generator is kept: it was trained longer and at lower learning rates.
        """
        lowest = float(self.best_score.numpy())
        if not score <= lowest + _TOLERANCE * abs(lowest):
            return False
        self.best_generator.set_weights(gan.ema_generator.get_weights())
        self.best_score.assign(min(score, lowest))
        self.best_step.assign(self.step)
        return True

    def save(self) -> str:
        """Write a checkpoint; gives its path. Written aside, then renamed, by TensorFlow."""
        return str(self._manager.save(checkpoint_number=self.step))

    def restore(self) -> bool:
        """Load the newest checkpoint; False if there is none.

        Raises
        ------
        BalrogError
            If it cannot be read or is of another model.
        """
        if self.latest is None:
            if any(Path(self._manager.directory).glob("ckpt-*.index")):
                logger.warning(
                    "%s holds checkpoints that its list does not name: this run starts anew",
                    self._manager.directory,
                )
            return False
        try:
            status = self._checkpoint.restore(self.latest)
            status.assert_consumed()
        except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
            first = str(error).splitlines()[0]
            raise BalrogError(
                f"checkpoint {self.latest} cannot be restored ({first}); delete its files to "
                "resume from the one before it"
            ) from None
        return True


def _variables(owner: Any) -> list[Any]:
    """TensorFlow variables of a Keras model or optimizer, in Keras' fixed order."""
    return [variable.value for variable in owner.variables]
