"""Failed writes of TensorFlow as the OSError that they are: one line for users, no traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from data_prep.errors import BalrogError

__all__ = ["tensorflow_file_errors"]

# What TensorFlow says of memory, for which it has the same error as for a full disk.
_MEMORY = re.compile(r"\bOOM\b|out of memory|allocate", re.IGNORECASE)


@contextmanager
def tensorflow_file_errors(remedy: str) -> Iterator[None]:
    """Raise OSError where TensorFlow could not write a checkpoint, an event file or a SavedModel.

    TensorFlow has errors of its own for a full disk, a quota or a missing right, which are no
    OSError.

    Parameters
    ----------
    remedy : str
        What the user can do once there is room, for the message.

    Raises
    ------
    OSError
        With TensorFlow's message, which names the file.
    BalrogError
        If the memory of the device does not suffice, which is no fault of a file.
    """
    try:
        yield
    except Exception as error:
        import tensorflow as tf

        # No space: RESOURCE_EXHAUSTED; too large or past a quota: OUT_OF_RANGE, UNKNOWN.
        kinds = (
            tf.errors.ResourceExhaustedError,
            tf.errors.OutOfRangeError,
            tf.errors.PermissionDeniedError,
            tf.errors.FailedPreconditionError,
            tf.errors.NotFoundError,
            tf.errors.UnknownError,
            tf.errors.DataLossError,
        )
        if not isinstance(error, kinds):
            raise
        # "{{function_node __wrapped__...}} message [Op:SaveV2]"
        text = str(error).splitlines()[0].rpartition("}} ")[2].partition(" [Op:")[0]
        if isinstance(error, tf.errors.ResourceExhaustedError) and _MEMORY.search(text):
            raise BalrogError(
                f"the networks and a batch must fit into the memory of the device, found: {text}; "
                "end what else runs on it, or take a smaller --batch_size"
            ) from error
        raise OSError(f"{text}; {remedy}") from error
