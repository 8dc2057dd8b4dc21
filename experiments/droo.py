"""DROO's rule on this problem: one DNN, and K candidates made of its output.

Source: L. Huang, S. Bi, Y. A. Zhang, "Deep reinforcement learning for online computation offloading
in wireless powered mobile-edge computing networks", 2020, the next method of the same authors. Its
order-preserving quantisation takes the place of DDLO's K DNNs; memory and training are DDLO's.
"""

import numpy as np

from memory import MemoryDNN


class DROO(MemoryDNN):
    """One DNN whose output is quantised to K candidate decisions that keep the order of its entries.

    The first candidate offloads the tasks whose output is above 1/2, as DDLO does. The others take
    an entry of the output as threshold instead, the one closest to 1/2 first, then the second
    closest, and so on. Logits z stand for the outputs 1/(1+exp(-z)) here: they have the same order
    and the same order of distances from 1/2, and do not saturate.

    Parameters
    ----------
    net : sequence of int
        Neurons of each layer, [n_in, hidden ..., n_out].
    K : int
        Candidates, from 1 to n_out + 1.
    parameters
        Those of MemoryDNN, but for net_num, which is 1, and flips and user_flips, which are 0.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    def __init__(self, net, K, **parameters):
        super().__init__(net, 1, flips=0, user_flips=0, **parameters)
        if not isinstance(K, (int, np.integer)) or not 1 <= K <= self.net[-1] + 1:
            raise ValueError(
                f"K is {K!r}; 1 to {self.net[-1] + 1} candidates were expected, as order-preserving "
                "quantisation makes no more of so many outputs"
            )
        self.K = K

    def candidates(self, logits, np=np):
        """Return K candidates, bool (K, B, n_out), for the logits (1, B, n_out) of the DNN.

        `np` is NumPy or, for tensors, tensorflow.experimental.numpy.
        """
        z = logits[0]
        order = np.argsort(np.abs(z), axis=-1, kind="stable")[..., : self.K - 1]
        threshold = np.moveaxis(np.take_along_axis(z, order, axis=-1), -1, 0)[..., None]
        # The task that is the threshold gets what the first candidate does not give it.
        others = (z > threshold) | ((z == threshold) & (threshold <= 0))
        return np.concatenate([logits > 0, others], axis=0)

    def _unsure(self, logits, rounding):
        """Whether rounding could turn the sign of a logit, or the order of their distances from 0."""
        distance = np.abs(logits[0])
        distance = np.sort(np.concatenate([np.zeros((len(distance), 1)), distance], axis=1))
        return (np.diff(distance) < 2 * rounding[0].max(axis=1, keepdims=True)).any(axis=1)
