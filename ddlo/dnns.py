"""The K DNNs as arrays: layers, initial weights, activation, Adam, and the backends that train them."""

import importlib
from itertools import pairwise

import numpy as np

from ddlo import checks

BACKENDS = {"tensorflow": "ddlo.backend", "torch": "ddlo.backend_torch"}  # the modules
BETA2, EPSILON = np.float32(0.999), float(np.float32(1e-8))  # of Adam; beta1 is 0.09 as released


def backend_module(name):
    """Return the module of a backend, imported now. Raises ImportError if it is not installed."""
    return importlib.import_module(BACKENDS[checks.choice("backend", name, BACKENDS)])


def check_layers(net, net_num):
    """Return the neurons of each layer of each DNN, a tuple of tuples. Raises ValueError."""
    layers = np.array(net, object)  # lists of different lengths give one axis of lists
    if layers.ndim == 1:
        layers = np.tile(layers, (net_num, 1))
    valid = layers.ndim == 2 and len(layers) == net_num and layers.shape[1] > 1
    valid = valid and all(isinstance(n, (int, np.integer)) and n > 0 for n in layers.flat)
    if not valid or (layers[:, [0, -1]] != layers[0, [0, -1]]).any():
        raise ValueError(
            "net must be the neurons of each layer, at least two, or as many layers with the same inputs "
            f"and outputs for each of {net_num} DNNs, got {checks.quoted(net)}"
        )
    return tuple(map(tuple, layers.tolist()))


def initial_state(layers, beta1, random):
    """Return [weights, m, v, powers] before training, float32; `weights` are w1, b1, w2, b2, ...

    Each w is (K, n_in, n_out), each b (K, n_out). Smaller DNNs are padded with zeros, which training
    leaves at zero.
    """
    weights = []
    for n_in, n_out in pairwise(zip(*layers)):  # of all DNNs
        w = np.zeros((len(layers), max(n_in), max(n_out)), np.float32)
        for k, shape in enumerate(zip(n_in, n_out)):
            # As released, 1 / n_in of the first layer is the standard deviation in every layer.
            w[k, : shape[0], : shape[1]] = random.normal(0, 1 / layers[k][0], shape)
        weights += [w, np.zeros(w.shape[::2], np.float32)]
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    return [weights, m, v, np.array([beta1, BETA2], np.float32)]


def adam(state, gradients, rate, beta1, xp):
    """Return the state [weights, m, v, powers] after a step of Adam; `powers` are beta1**t, beta2**t.

    In TensorFlow 1's form, as released: epsilon stays outside the bias correction.
    """
    weights, m, v, powers = state
    rate = rate * xp.sqrt(1 - powers[1]) / (1 - powers[0])
    new1, new2 = float(1 - beta1), float(1 - BETA2)  # as TensorFlow 1 rounds them, to float32
    m = [m + new1 * (g - m) for m, g in zip(m, gradients)]
    v = [v + new2 * (g * g - v) for v, g in zip(v, gradients)]
    weights = [w - rate * m / (xp.sqrt(v) + EPSILON) for w, m, v in zip(weights, m, v)]
    return [weights, m, v, xp.stack([powers[0] * float(beta1), powers[1] * float(BETA2)])]


def numpy_of(value):
    """Return a tensor, also one on a GPU, as a NumPy array."""
    return value if isinstance(value, np.ndarray) else np.asarray(value.cpu())


def relu(x, xp=np):
    """Return max(x, 0), for tensors with the gradient 0 at 0, as released."""
    if xp is np:
        return np.maximum(x, 0)
    if hasattr(xp, "relu"):  # PyTorch
        return xp.relu(x)
    from ddlo.backend import tf

    return tf.nn.relu(x)
