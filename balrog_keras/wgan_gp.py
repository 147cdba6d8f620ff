"""The conditional Wasserstein GAN with gradient penalty, as one Keras model."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from balrog_keras.generator import Generator
from balrog_keras.losses import energy_score_loss, gradient_penalty
from balrog_keras.networks import Critic
from balrog_keras.replicas import apply_gradients, repeat, rows_of_replica

__all__ = ["ConditionalWGANGP"]

# What each stateless draw of one step is for; part of its seed.
_LATENT, _INTERPOLATION, _GENERATOR_LATENT = range(3)
# Scales: measured rows are nearer, and one draw in a million would outweigh all the others.
_FAR = 100.0
_LOGGED = (
    "critic_loss", "critic_gap", "gradient_penalty", "critic_gradient_norm",
    "generator_loss", "energy_score", "log_likelihood", "generator_gradient_norm",
)  # fmt: skip


@keras.saving.register_keras_serializable(package="balrog_keras")
class ConditionalWGANGP(keras.Model):
    """Generator and critic trained against each other on standardized rows.

    The critic minimises ``E[D(G(z, c), c)] - E[D(x, c)] + weight * penalty``; the generator
    minimises ``-E[D(G(z, c), c)] + energy_score_weight * energy score - likelihood_weight * log
    likelihood``. An exponential moving average of the generator's weights, :attr:`ema_generator`,
    is what is validated and exported.

    All training noise is stateless: a function of (seed, step, purpose) and of the row's place in
    the whole batch. A resumed run therefore continues exactly as the uninterrupted one, and under
    a ``tf.distribute`` strategy, where replica r of R gets rows r, r + R, ... of each batch, the
    numbers are those of one device.

    Parameters
    ----------
    generator : Generator
        Built on shapes ``(None, C)``, ``(None, M)``; ``(None, C + 2 M)`` if it sees residuals.
    critic : Critic
        Built on shapes ``(None, M)``, ``(None, C)``.
    critic_steps : int
        Critic updates in one training step; the step's batch is cut into that many parts.
    gradient_penalty_weight : float
        Weight of the penalty.
    gradient_penalty_side : {'one', 'two'}
        Form of the penalty, see :func:`~balrog_keras.losses.gradient_penalty`.
    gradient_penalty_fraction : float
        Share of each batch on which the penalty is estimated.
    energy_score_weight : float
        Weight of the energy score in the generator's loss; 0 spares it a second draw per row.
    likelihood_weight : float
        Weight of the negative log-likelihood in the generator's loss.
    ema_decay : float
        Decay of the moving average after warm-up.
    num_linked : int
        The last columns, of which critic and energy score see the arsinh: deviations of linked
        columns (:class:`~balrog_keras.differences.Differences`) are of hundreds of scales in one
        row of a thousand, and would have all their attention. Others are seen up to 100 scales.
    seed : int
        Seed of the training noise.
    **kwargs
        Passed to :class:`keras.Model`.
    """

    def __init__(
        self,
        generator: Generator,
        critic: Critic,
        critic_steps: int = 1,
        gradient_penalty_weight: float = 10.0,
        gradient_penalty_side: str = "one",
        gradient_penalty_fraction: float = 0.25,
        energy_score_weight: float = 0.5,
        likelihood_weight: float = 1.0,
        ema_decay: float = 0.998,
        num_linked: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.generator, self.critic = generator, critic
        self.critic_steps = critic_steps
        self.gradient_penalty_weight = gradient_penalty_weight
        self.gradient_penalty_side = gradient_penalty_side
        self.gradient_penalty_fraction = gradient_penalty_fraction
        self.energy_score_weight, self.likelihood_weight = energy_score_weight, likelihood_weight
        self.ema_decay, self.num_linked, self.seed = ema_decay, num_linked, seed
        self.ema_generator = Generator.from_config({**generator.get_config(), "name": "ema"})
        self.ema_generator.build(generator.input_shapes)
        self.ema_generator.set_weights(generator.get_weights())
        self.ema_generator.trainable = False
        logged = [name for name in _LOGGED if energy_score_weight or name != "energy_score"]
        self._means = {name: keras.metrics.Mean(name=name) for name in logged}
        # Step at which the critic's and the generator's loss first were not finite; -1 never.
        self.first_nonfinite = tf.Variable([-1, -1], dtype=tf.int64, trainable=False)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this model, networks included."""
        names = (
            "critic_steps", "gradient_penalty_weight", "gradient_penalty_side",
            "gradient_penalty_fraction", "energy_score_weight", "likelihood_weight", "ema_decay",
            "num_linked", "seed",
        )  # fmt: skip
        networks = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in ("generator", "critic")
        }
        return {
            **super().get_config(), **networks, **{name: getattr(self, name) for name in names}
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ConditionalWGANGP:
        """Rebuild, with fresh weights, from :meth:`get_config`."""
        config = dict(config)
        generator = keras.saving.deserialize_keras_object(config.pop("generator"))
        critic = keras.saving.deserialize_keras_object(config.pop("critic"))
        return cls(generator, critic, **config)

    def compile(self, generator_optimizer: Any, critic_optimizer: Any, **kwargs: Any) -> None:
        """Set the optimizers, built at once so that checkpoints hold their slots from the start.

        Parameters
        ----------
        generator_optimizer, critic_optimizer : keras.optimizers.Optimizer
            One each; they must not be shared.
        **kwargs
            Passed to :meth:`keras.Model.compile`, for example ``jit_compile``.
        """
        super().compile(optimizer=generator_optimizer, **kwargs)
        self.critic_optimizer = critic_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        critic_optimizer.build(self.critic.trainable_variables)

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Draw with the averaged generator: ``(condition, latent)`` to ``(batch, M)``."""
        return self.ema_generator(inputs)

    @property
    def metrics(self) -> list[Any]:
        """The running means of what is logged, so that Keras resets them."""
        return list(self._means.values())

    def _normal(self, step: Any, purpose: int, part: Any, rows: Any) -> Any:
        """Latents of this replica's rows, ``(rows, M)``."""
        shape = (rows, self.generator.num_outputs)
        return self._draw(tf.random.stateless_normal, shape, step, purpose, part)

    def _draw(self, draw: Any, shape: tuple[Any, int], step: Any, purpose: int, part: Any) -> Any:
        """Rows of this replica of what `draw` gives for the whole batch."""
        number = step * 65536 + purpose * 8192 + tf.cast(part, tf.int64)
        seed = tf.stack([tf.constant(self.seed, tf.int64), number])
        return rows_of_replica(draw, shape, seed)

    def train_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        """Update the critic `critic_steps` times, then the generator and its average once.

        The critic's last update and the generator's see the same draws, which saves making them
        twice.

        Parameters
        ----------
        data : (context, measured)
            What the generator takes, and standardized rows: float32, critic_steps * batch of each.

        Returns
        -------
        dict of str to float32 tensor
            Losses and their terms, critic gap and gradient norms, each the mean since the last
            reset (Keras resets at the start of each of its epochs).
        """
        step = tf.cast(self.optimizer.iterations, tf.int64)
        contexts, measured = (
            tf.reshape(each, (self.critic_steps, -1, each.shape[-1])) for each in data
        )
        self._first_steps(contexts, measured, step)
        logs = self._last_steps(contexts[-1], measured[-1], step)
        self._update_average(step)
        self._note_nonfinite(step, logs)
        for name, value in logs.items():
            self._means[name].update_state(value)
        return {name: mean.result() for name, mean in self._means.items()}

    def condition_of(self, context: Any) -> Any:
        """Standardized conditions alone, which are what the critic takes."""
        return context[:, : self.generator.num_conditions]

    def _seen(self, rows: Any) -> Any:
        """What critic and energy score see of standardized rows ``(N, M)``."""
        count = self.generator.num_outputs - self.num_linked
        near = tf.clip_by_value(rows[:, :count], -_FAR, _FAR)
        return tf.concat([near, tf.asinh(rows[:, count:])], axis=1)

    def _first_steps(self, contexts: Any, measured: Any, step: Any) -> None:
        """All updates of the critic but the last."""

        def update(part: Any) -> None:
            context, real = contexts[part], self._seen(measured[part])
            latent = self._normal(step, _LATENT, part, int(real.shape[0]))
            fake = self._seen(self.generator((context, latent)))
            self._critic_step(self.condition_of(context), real, fake, step, part)

        repeat(self.critic_steps - 1, update)

    def _last_steps(self, context: Any, real: Any, step: Any) -> dict[str, Any]:
        """Last update of the critic and then that of the generator, both on the same draws."""
        draws = 2 if self.energy_score_weight else 1
        latent = self._normal(step, _GENERATOR_LATENT, 0, draws * int(real.shape[0]))
        with tf.GradientTape() as tape:
            fakes, likelihoods = self.generator.draw_and_score(context, latent, real)
            condition = self.condition_of(context)
            first, *others = tf.split(self._seen(fakes), draws)
            real = self._seen(real)
            with tape.stop_recording():
                logs = self._critic_step(condition, real, first, step, self.critic_steps - 1)
            likelihood = tf.reduce_mean(likelihoods)
            loss = -tf.reduce_mean(self.critic((first, condition)))
            if others:
                logs["energy_score"] = energy_score_loss(first, others[0], real)
                loss += self.energy_score_weight * logs["energy_score"]
            if self.likelihood_weight:
                loss -= self.likelihood_weight * likelihood
        norm = apply_gradients(tape, loss, self.generator, self.optimizer)
        return logs | {
            "generator_loss": loss,
            "log_likelihood": likelihood,
            "generator_gradient_norm": norm,
        }

    def _critic_step(
        self, condition: Any, real: Any, fake: Any, step: Any, part: Any
    ) -> dict[str, Any]:
        # Rows come shuffled, so the first ones are as good as any.
        some = math.ceil(self.gradient_penalty_fraction * int(real.shape[0]))
        epsilon = self._draw(tf.random.stateless_uniform, (some, 1), step, _INTERPOLATION, part)
        with tf.GradientTape() as tape:
            # One call for both halves: larger matrix products run nearer the machine's peak.
            both = self.critic((tf.concat([real, fake], 0), tf.concat([condition, condition], 0)))
            real_score, fake_score = tf.split(both, 2)
            gap = tf.reduce_mean(real_score) - tf.reduce_mean(fake_score)
            penalty = gradient_penalty(
                self.critic,
                real[:some],
                fake[:some],
                condition[:some],
                epsilon,
                self.gradient_penalty_side,
            )
            loss = self.gradient_penalty_weight * penalty - gap
        norm = apply_gradients(tape, loss, self.critic, self.critic_optimizer)
        return {
            "critic_loss": loss,
            "critic_gap": gap,
            "gradient_penalty": penalty,
            "critic_gradient_norm": norm,
        }

    def _update_average(self, step: Any) -> None:
        """Move the average towards the generator; the decay warms up (arXiv:1806.04498)."""
        count = tf.cast(step, tf.float32)
        decay = tf.minimum(self.ema_decay, (1.0 + count) / (10.0 + count))
        pairs = zip(self.ema_generator.weights, self.generator.weights, strict=True)
        for average, weight in pairs:
            average.assign(average + (1.0 - decay) * (weight - average))

    def _note_nonfinite(self, step: Any, logs: dict[str, Any]) -> None:
        losses = tf.stack([logs["critic_loss"], logs["generator_loss"]])
        fresh = (self.first_nonfinite < 0) & ~tf.math.is_finite(losses)
        self.first_nonfinite.assign(tf.where(fresh, step, self.first_nonfinite))

    def test_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        """Critic gap and energy score of the averaged generator on one batch.

        Parameters
        ----------
        data : (context, measured)
            As :meth:`train_step` takes them; ``batch`` rows.

        Returns
        -------
        dict of str to float32 tensor
            ``critic_gap`` and ``energy_score``.
        """
        context, real = data[0], self._seen(data[1])
        # Step -1 is never trained on: evaluation noise is its own and the same every time.
        rows = 2 * tf.shape(real)[0]
        latent = self._normal(tf.constant(-1, tf.int64), _GENERATOR_LATENT, 0, rows)
        drawn = self.ema_generator((tf.concat([context, context], 0), latent))
        first, second = tf.split(self._seen(drawn), 2)
        condition = self.condition_of(context)
        gap = tf.reduce_mean(self.critic((real, condition)) - self.critic((first, condition)))
        return {"critic_gap": gap, "energy_score": energy_score_loss(first, second, real)}
