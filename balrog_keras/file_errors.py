"""Failed writes of TensorFlow as the OSError that they are: one line for users, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["tensorflow_file_errors"]


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
        raise OSError(f"{text}; {remedy}") from error
