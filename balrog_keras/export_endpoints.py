"""The graph of an exported emulator: what each endpoint of the SavedModel computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from balrog_keras.keyed_noise import keyed_normals, keyed_uniform
from balrog_keras.members import Member
from data_prep.schema import Schema

__all__ = ["EmulatorModule"]

_BLOCK_ROWS = 1024
_PARALLEL_BLOCKS = 4
_PROBABILITY_BLOCK = tf.TensorSpec([_BLOCK_ROWS], tf.float32)
_DETECTED_BLOCK = tf.TensorSpec([_BLOCK_ROWS], tf.bool)


class EmulatorModule(tf.Module):
    """Named physical columns in, named physical columns out: what the SavedModel holds.

    Parameters
    ----------
    members : sequence of Member
        At least one; with more, every drawing endpoint takes the number of one as ``member``.
    schema : Schema
        Names and order of the columns.
    latent_dim : int
        Length of the latent vector.
    detection : DetectionModel, optional
        Gives the endpoints ``detection_probability`` and ``emulate_detected``.
    """

    def __init__(
        self,
        members: Sequence[Member],
        schema: Schema,
        latent_dim: int,
        detection: Any = None,
    ) -> None:
        super().__init__(name="balrog_emulator")
        self.members, self.detection = list(members), detection
        self.schema, self.latent_dim = schema, latent_dim
        self._measured_block = tf.TensorSpec([_BLOCK_ROWS, len(schema.measured_names)], tf.float32)

    def emulate(self, row_id: Any, seed: Any, member: Any = None, **columns: Any) -> dict[str, Any]:
        """Draw measured columns; the noise is a function of (seed, row_id)."""
        member = self._checked(member)
        (measured,) = _in_blocks(
            lambda condition, ids: (self._draw(condition, ids, seed, member),),
            (self._condition(columns), row_id),
            (self._measured_block,),
        )
        return self._named(measured)

    def emulate_detected(
        self, row_id: Any, seed: Any, member: Any = None, **columns: Any
    ) -> dict[str, Any]:
        """Draw which rows are detected, and the measured columns of those; NaN in the others.

        A row that is detected has the measured columns that :meth:`emulate` draws for it.
        """
        member = self._checked(member)

        def draw(condition: Any, ids: Any) -> tuple[Any, Any, Any]:
            probability = self.detection.probability(condition)
            detected = keyed_uniform(seed, ids) < probability
            measured = self._draw(condition, ids, seed, member)
            return tf.where(detected[:, None], measured, float("nan")), probability, detected

        measured, probability, detected = _in_blocks(
            draw,
            (self._condition(columns), row_id),
            (self._measured_block, _PROBABILITY_BLOCK, _DETECTED_BLOCK),
        )
        return {**self._named(measured), "p_detect": probability, "detected": detected}

    def detection_probability(self, **columns: Any) -> dict[str, Any]:
        """P(detected | condition)."""
        (probability,) = _in_blocks(
            lambda condition: (self.detection.probability(condition),),
            (self._condition(columns),),
            (_PROBABILITY_BLOCK,),
        )
        return {"p_detect": probability}

    def from_latent(self, latent: Any, member: Any = None, **columns: Any) -> dict[str, Any]:
        """Measured columns for given standard-normal latents ``(N, latent_dim)``."""
        condition = self._condition(columns)
        return self._named(
            self._of_member(self._checked(member), lambda each: each.measured(condition, latent))
        )

    def location_scale(self, member: Any = None, **columns: Any) -> dict[str, Any]:
        """Conditional location and scale of each transformed measured column (Student-t)."""
        condition = self._condition(columns)
        location, scale = self._of_member(
            self._checked(member), lambda each: each.standardizer.location_scale(condition)
        )
        return {**self._named(location, "location_"), **self._named(scale, "scale_")}

    def _draw(self, condition: Any, row_id: Any, seed: Any, member: Any) -> Any:
        latent = keyed_normals(seed, row_id, self.latent_dim)
        return self._of_member(member, lambda each: each.measured(condition, latent))

    def _of_member(self, member: Any, compute: Callable[[Member], Any]) -> Any:
        """What `compute` gives for one member; the graph runs that member only."""
        if member is None:
            return compute(self.members[0])
        branches = [lambda each=each: compute(each) for each in self.members]
        return tf.switch_case(tf.cast(member, tf.int32), branches)

    def _checked(self, member: Any) -> Any:
        """The member's number; a graph error if there is no such member."""
        if member is None:
            return None
        last = len(self.members) - 1
        message = f"member must be from 0 to {last}"
        checks = [
            tf.debugging.assert_non_negative(member, message),
            tf.debugging.assert_less_equal(member, tf.constant(last, tf.int64), message),
        ]
        with tf.control_dependencies(checks):
            return tf.identity(member)

    def _condition(self, columns: dict[str, Any]) -> Any:
        return tf.stack([columns[name] for name in self.schema.condition_names], axis=1)

    def _named(self, values: Any, prefix: str = "") -> dict[str, Any]:
        names = self.schema.measured_names
        return {f"{prefix}{name}": values[:, index] for index, name in enumerate(names)}

    def signatures(self) -> dict[str, Any]:
        """Endpoints of the SavedModel with dynamic batch."""
        columns = {
            name: tf.TensorSpec([None], tf.float32, name) for name in self.schema.condition_names
        }
        keys = {
            "row_id": tf.TensorSpec([None], tf.int64, "row_id"),
            "seed": tf.TensorSpec([], tf.int64, "seed"),
        }
        latent = {"latent": tf.TensorSpec([None, self.latent_dim], tf.float32, "latent")}
        several = len(self.members) > 1
        member = {"member": tf.TensorSpec([], tf.int64, "member")} if several else {}
        endpoints: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
            "serving_default": (self.emulate, keys | member),
            "from_latent": (self.from_latent, latent | member),
            "location_scale": (self.location_scale, member),
        }
        if self.detection is not None:
            endpoints["detection_probability"] = (self.detection_probability, {})
            endpoints["emulate_detected"] = (self.emulate_detected, keys | member)
        return {
            name: tf.function(function).get_concrete_function(**inputs, **columns)
            for name, (function, inputs) in endpoints.items()
        }


def _in_blocks(
    compute: Callable[..., tuple[Any, ...]], inputs: tuple[Any, ...], outputs: tuple[Any, ...]
) -> list[Any]:
    """Apply `compute` to blocks of one fixed number of rows, the last one padded.

    Matrix products and vector instructions of another shape may differ in the last bit, so
    without this a row's draw would depend on the batch it is in. It also keeps the layers in the
    cache.
    """
    rows = tf.shape(inputs[0])[0]
    missing = -rows % _BLOCK_ROWS
    blocks = []
    for values in inputs:
        padding = [[0, missing]] + [[0, 0]] * (values.shape.rank - 1)
        blocks.append(tf.reshape(tf.pad(values, padding), (-1, _BLOCK_ROWS, *values.shape[1:])))
    results = tf.map_fn(
        lambda block: compute(*block),
        tuple(blocks),
        fn_output_signature=outputs,
        parallel_iterations=_PARALLEL_BLOCKS,
    )
    return [tf.reshape(each, (-1, *each.shape[2:]))[:rows] for each in results]
