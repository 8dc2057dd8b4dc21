"""TensorFlow, imported without its start-up messages, and the device that it computes on."""

import functools
import os
from contextlib import contextmanager

from ddlo import checks, guardian
from ddlo.screen import import_matplotlib


@contextmanager
def quiet_stderr():
    """Silence stderr below Python: some of TensorFlow's messages ignore its log level."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(guardian.silenced or nowhere, 2)
        yield
        if guardian.silenced:
            os.lseek(guardian.silenced, 0, os.SEEK_SET)
            os.truncate(guardian.silenced, 0)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On a GPU a process takes the memory that it needs, and not all: the suite has several processes.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# There products are always computed in the same way, and not in the one that was fastest when tried:
# the compiled loop trains as `learn` does, to the last bit. What a user sets comes last, and so counts.
flags = os.environ.get("XLA_FLAGS", "")
if flags.startswith("-") or not flags:  # else it is the path of a file with flags
    os.environ["XLA_FLAGS"] = f"--xla_gpu_autotune_level=0 {flags}".strip()
import_matplotlib()  # which Keras imports, too
with quiet_stderr():
    import tensorflow as tf
    import tensorflow.experimental.numpy as tnp  # noqa: F401 - to be imported from here
tf.get_logger().setLevel("ERROR")  # every MemoryDNN traces functions of its own: no warnings
# On a GPU, too, products are float32, as released: TensorFloat-32 would round at 1e-3.
tf.config.experimental.enable_tensor_float_32_execution(False)


def use_device(name=None):
    """Have TensorFlow compute on a device, before it has computed; return the device it uses.

    Parameters
    ----------
    name : str, optional
        CPU, GPU, or one of several GPUs in TensorFlow's order, such as GPU:1. The default is
        TensorFlow's choice: a GPU that it sees, else the CPU.

    Raises
    ------
    ValueError
        If there is no such device, or TensorFlow has already computed on another one.
    """
    gpus = tf.config.list_physical_devices("GPU")
    devices = {"CPU": []} | {f"GPU:{i}": [gpu] for i, gpu in enumerate(gpus)}
    visible = tf.config.get_visible_devices("GPU")
    if name is None:
        return "GPU:0" if visible else "CPU"
    device = {"CPU:0": "CPU", "GPU": "GPU:0"}.get(name.upper(), name.upper())
    if device not in devices:
        raise ValueError(f"device must be one of {', '.join(devices)}, got {checks.quoted(name)}")
    try:
        if visible != devices[device]:
            tf.config.set_visible_devices(devices[device], "GPU")
    except RuntimeError as error:
        raise ValueError(f"too late to compute on {name}: {error}") from error
    return device


@functools.cache
def compile_quietly():
    """Compile something for the first time: before 2.21 TensorFlow prints a message then."""
    with quiet_stderr():
        tf.function(lambda: tf.zeros(()), jit_compile=True)()
