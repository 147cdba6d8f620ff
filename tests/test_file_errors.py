import pytest
import tensorflow as tf

from balrog_keras.file_errors import tensorflow_file_errors
from data_prep.errors import BalrogError


@pytest.mark.parametrize(
    "message",
    [
        "OOM when allocating tensor with shape[4096,128] and type float on GPU:0 [Op:MatMul]",
        "{{function_node __wrapped__x}} Out of memory while trying to allocate 99 bytes.",
    ],
)
def test_memory_of_a_device_is_no_full_disk(message):
    with (
        pytest.raises(BalrogError, match=r"memory of the device.*--batch_size") as raised,
        tensorflow_file_errors("make room"),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, message)
    assert "make room" not in str(raised.value)


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), tensorflow_file_errors("make room"):
        raise ZeroDivisionError
