"""TensorFlow: imported without its start-up messages, and set up to give the released results.

As a backend of MemoryDNN it has what the training step needs: `xp`, `gather`, `cross_entropy`,
`gradients`, `compiled` and `use_device`; ddlo/backend_torch.py has the same.
"""

import functools
import os
from contextlib import contextmanager

from ddlo import checks


@contextmanager
def quiet_stderr():
    """Silence stderr below Python: some of TensorFlow's messages ignore its log level."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Without this each process takes all memory of a GPU, and a suite runs several.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# Autotuning may pick another matrix product in each compilation; without it the compiled loop trains as
# `learn` does, to the last bit, also on a GPU, unless a user sets XLA_FLAGS.
os.environ.setdefault("XLA_FLAGS", "--xla_gpu_autotune_level=0")
with quiet_stderr():
    import tensorflow as tf
    import tensorflow.experimental.numpy as tnp
if not tf.executing_eagerly():
    raise ImportError(
        "DDLO needs TensorFlow's eager execution: use another process than code that calls "
        "tf.compat.v1.disable_v2_behavior() or disable_eager_execution()"
    )
tf.get_logger().setLevel("ERROR")  # every MemoryDNN traces its own functions: no warnings
# Matrix products are float32 as released; TensorFloat-32 would round at 1e-3.
tf.config.experimental.enable_tensor_float_32_execution(False)


def use_device(name=None):
    """Choose the device of all TensorFlow computations, and return its name.

    `name` is CPU, GPU, or one of several GPUs such as GPU:1; default: TensorFlow's choice. Raises
    ValueError if there is no such device, RuntimeError if TensorFlow has already used another.
    """
    gpus = tf.config.list_physical_devices("GPU")
    devices = {"CPU": []} | {f"GPU:{i}": [gpu] for i, gpu in enumerate(gpus)}
    visible = tf.config.get_visible_devices("GPU")
    if name is None:
        return "GPU:0" if visible else "CPU"
    device = checks.device(name, devices)
    if visible != devices[device]:
        tf.config.set_visible_devices(devices[device], "GPU")
    return device


xp, gather = tnp, tf.gather
cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits


def gradients(function, weights):
    """Return costs (K,) = function(weights), and the gradients of their sum."""
    with tf.GradientTape() as tape:
        tape.watch(weights)
        costs = function(weights)
    return costs, tape.gradient(costs, weights)


def compiled(function):
    """Return a function of tensors or NumPy arrays compiled by XLA."""
    _compile_quietly()
    fast = tf.function(function, jit_compile=True, autograph=False)

    def call(*arguments):
        if tf.config.functions_run_eagerly():  # then TensorFlow passes NumPy arrays on
            arguments = tf.nest.map_structure(tf.convert_to_tensor, arguments)
        return fast(*arguments)

    return call


@functools.cache
def _compile_quietly():
    """Compile something once: before 2.21 TensorFlow prints a message then."""
    with quiet_stderr():
        tf.function(lambda: tf.zeros(()), jit_compile=True, autograph=False)()
