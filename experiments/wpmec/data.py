"""Channel gains of WPMEC: generated ones, those of the experiments, and DROO's files."""

from pathlib import Path

import numpy as np

from ddlo import checks
from ddlo.data import Data, check_states
from ddlo.enumeration import ENUMERATED_TASKS
from ddlo.files import read_mat

from .network import ROUNDING, WPMEC

SAMPLES = 20000  # generated gains
DIGITS = 1e-5  # largest relative error of the rates in DROO's files, with a margin
KEYS = ("input_h", "output_mode", "output_obj")  # of DROO's files
# Fractions of the frames between which weights are swapped, and each of two devices is off.
SWAPPED = (0.6, 0.8)
OFF = {2: (0.6, 0.75), 7: (0.65, 0.7)}


def channel_gains(samples, N, seed=0):
    """Return channel gains, float64 (samples, N); the same seed gives the same gains.

    DROO's data sets fit this model: device n = 1, 2, ... is 2.8 + (n - 1)/3 m away, the mean gain is
    that of free space at 915 MHz with an exponent of 2.8 and an antenna gain of 4.11, and Rayleigh
    fading makes the gain exponential. Raises ValueError for fewer than 2 samples or an invalid seed.
    """
    distance = 2.8 + np.arange(checks.integer("N", N)) / 3  # m
    mean = 4.11 * (3e8 / (4 * np.pi * 915e6 * distance)) ** 2.8
    random = np.random.RandomState(checks.integer("seed", seed, 0))
    return random.exponential(mean, (checks.integer("samples", samples, 2), N))


# States of the experiments: float64 (samples, N) for a network and a number of frames.


def gains(network, frames):
    """Return 20,000 samples, for any number of frames."""
    return channel_gains(SAMPLES, network.N)


def gains_in_order(network, frames):
    """Return one sample per frame."""
    return channel_gains(frames, network.N)


def gains_with_devices_off(network, frames):
    """Return one sample per frame; two devices are OFF in some."""
    h = channel_gains(frames, network.N)
    for device, (begin, end) in OFF.items():
        h[int(begin * frames) : int(end * frames), device] = 0
    return h


def swapped(network):
    """Return a WPMEC with DROO's two weights, 1 and 1.5, swapped."""
    return WPMEC(network.N, 2.5 - network.weights)


def load_gains(path):
    """Load a data set of DROO, data_N.mat, or another file with its keys: a WPMEC and its Data.

    Up to 12 devices gain_min is the optimum, and a printed line counts stored decisions that are worse.
    With more devices it is the Q of the stored decisions, the "best known utility". Raises ValueError
    for a missing key, a wrong shape, invalid gains or decisions, or a rate that its decision does not
    reach.
    """
    path, content = Path(path), read_mat(path)
    try:
        h, mode, rate = (checks.array(key, content[key]) for key in KEYS)
        network = WPMEC(h.shape[-1])
        check_states("input_h", h, network)
        checks.array("output_mode", mode, shape=h.shape)
        rate = checks.array("output_obj", rate.ravel(), shape=h.shape[:1])
        Q = network.compute_Q(h, mode)
        is_reached = np.isclose(rate, 1 / Q, rtol=DIGITS, atol=0)
        checks.every("output_obj", rate, is_reached, "the rates of output_mode in bit/s")
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} must have DROO's {', '.join(KEYS)}: {error}") from error
    if network.N > ENUMERATED_TASKS:
        return network, Data(h, Q, "best known utility")
    data = Data.generate(network, states=h)
    worse = np.count_nonzero(Q > (1 + ROUNDING) * data.gain_min)
    if worse:
        beaten = f"{path.name}: {worse} of {len(h)} stored decisions are not optimal"
        print(f"{beaten}; gain ratios are relative to the optimum")
    return network, data
