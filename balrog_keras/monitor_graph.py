"""Graph of the two networks for TensorBoard, with the names of their layers."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["networks_graph"]


def networks_graph(gan: Any) -> Any:
    """Generator and critic, one behind the other.

    Parameters
    ----------
    gan : ConditionalWGANGP
        Holds both.

    Returns
    -------
    GraphDef
        Its inputs are ``condition`` and ``latent``; each layer's operations are in a name scope
        like ``generator/column_0/hidden_0``.
    """
    import tensorflow as tf

    @tf.function(autograph=False)
    def networks(condition: Any, latent: Any) -> Any:
        standard = condition[:, : gan.generator.num_conditions]
        return gan.critic((gan.generator((condition, latent)), standard))

    graph = networks.get_concrete_function(
        *(
            tf.TensorSpec(shape, tf.float32, name=name)
            for shape, name in zip(gan.generator.input_shapes, ("condition", "latent"), strict=True)
        ),
    ).graph.as_graph_def()
    parts = [*_parts(gan.generator), *_parts(gan.critic)]
    # Keras opens each scope twice, and TensorFlow tells the second from the first.
    repeated = re.compile(rf"\b({'|'.join({re.escape(part.name) for part in parts})})_1(?=/)")
    for node in graph.node:
        node.name = repeated.sub(r"\1", node.name)
        node.input[:] = [repeated.sub(r"\1", name) for name in node.input]
    return graph


def _parts(layer: Any) -> list[Any]:
    """A layer and all layers in it."""
    return [layer, *(part for inner in getattr(layer, "layers", ()) for part in _parts(inner))]
