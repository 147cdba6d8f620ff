"""The graph of an exported emulator: what each endpoint of the SavedModel computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from balrog_keras.blocks import BLOCK_ROWS, in_blocks
from balrog_keras.domain import DomainModel
from balrog_keras.keyed_noise import keyed_normals, keyed_uniform
from balrog_keras.members import Member
from data_prep.schema import Schema

__all__ = ["EmulatorModule"]

_NUMBERS = tf.TensorSpec([BLOCK_ROWS], tf.float32)
_FLAGS = tf.TensorSpec([BLOCK_ROWS], tf.bool)


class EmulatorModule(tf.Module):
    """Named physical columns in, named physical columns out: what the SavedModel holds.

    Parameters
    ----------
    members : sequence of Member
        At least one; with more, every drawing endpoint takes the number of one as ``member``.
    schema : Schema
        Names and order of the columns.
    domain : DomainModel
        Fitted.
    detection : DetectionModel, optional
        Gives the endpoints ``detection_probability`` and ``emulate_detected``.
    """

    def __init__(
        self,
        members: Sequence[Member],
        schema: Schema,
        domain: DomainModel,
        detection: Any = None,
    ) -> None:
        super().__init__(name="balrog_emulator")
        self.members, self.domain, self.detection = list(members), domain, detection
        self.schema = schema
        self._measured_block = tf.TensorSpec([BLOCK_ROWS, len(schema.measured_names)], tf.float32)

    def emulate(
        self, row_id: Any, seed: Any, draw: Any, member: Any = None, **columns: Any
    ) -> dict[str, Any]:
        """Draw measured columns; the noise is a function of (seed, row_id, draw)."""
        member = self._checked(member)
        (measured,) = self._in_blocks(
            lambda condition, ids: (self._draw(condition, (seed, ids, draw), member),),
            columns,
            (self._measured_block,),
            row_id,
        )
        return self._named(measured)

    def emulate_detected(
        self, row_id: Any, seed: Any, draw: Any, member: Any = None, **columns: Any
    ) -> dict[str, Any]:
        """Draw which rows are detected, and the measured columns of those; NaN in the others.

        A row that is detected has the measured columns that :meth:`emulate` draws for it.
        """
        member = self._checked(member)

        def draw_block(condition: Any, ids: Any) -> tuple[Any, Any, Any]:
            probability = self.detection.probability(condition)
            detected = keyed_uniform(seed, ids, draw) < probability
            measured = self._draw(condition, (seed, ids, draw), member)
            return tf.where(detected[:, None], measured, float("nan")), probability, detected

        measured, probability, detected = self._in_blocks(
            draw_block, columns, (self._measured_block, _NUMBERS, _FLAGS), row_id
        )
        return {**self._named(measured), "p_detect": probability, "detected": detected}

    def detection_probability(self, **columns: Any) -> dict[str, Any]:
        """P(detected | condition)."""
        (probability,) = self._in_blocks(
            lambda condition: (self.detection.probability(condition),), columns, (_NUMBERS,)
        )
        return {"p_detect": probability}

    def in_domain(self, **columns: Any) -> dict[str, Any]:
        """Whether the condition is inside the training density, and by how much."""
        score, inside = self._in_blocks(self.domain, columns, (_NUMBERS, _FLAGS))
        return {"domain_score": score, "in_domain": inside}

    def from_latent(self, latent: Any, member: Any = None, **columns: Any) -> dict[str, Any]:
        """Measured columns for given standard-normal latents ``(N, M)``."""
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

    def _draw(self, condition: Any, key: tuple[Any, Any, Any], member: Any) -> Any:
        seed, row_id, draw = key
        latent = keyed_normals(seed, row_id, len(self.schema.measured_names), draw)
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

    def _in_blocks(
        self,
        compute: Callable[..., tuple[Any, ...]],
        columns: dict[str, Any],
        outputs: tuple[Any, ...],
        *others: Any,
    ) -> list[Any]:
        """Apply `compute` to blocks of conditions ``(BLOCK_ROWS, C)``, and of other inputs."""
        names = self.schema.condition_names

        def of_block(*values: Any) -> tuple[Any, ...]:
            # Columns are put together in the cache, block by block, and not in memory before.
            block = dict(zip(names, values, strict=False))
            return compute(self._condition(block), *values[len(names) :])

        return in_blocks(of_block, (*(columns[name] for name in names), *others), outputs)

    def _condition(self, columns: dict[str, Any]) -> Any:
        rows = tf.stack([columns[name] for name in self.schema.condition_names])
        return tf.transpose(rows)

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
            "draw": tf.TensorSpec([], tf.int64, "draw"),
        }
        latent = {
            "latent": tf.TensorSpec([None, len(self.schema.measured_names)], tf.float32, "latent")
        }
        several = len(self.members) > 1
        member = {"member": tf.TensorSpec([], tf.int64, "member")} if several else {}
        endpoints: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
            "serving_default": (self.emulate, keys | member),
            "from_latent": (self.from_latent, latent | member),
            "location_scale": (self.location_scale, member),
            "in_domain": (self.in_domain, {}),
        }
        if self.detection is not None:
            endpoints["detection_probability"] = (self.detection_probability, {})
            endpoints["emulate_detected"] = (self.emulate_detected, keys | member)
        return {
            name: tf.function(function, autograph=False).get_concrete_function(**inputs, **columns)
            for name, (function, inputs) in endpoints.items()
        }
