"""A network as a Gymnasium environment, so that agents of any library can be compared with DDLO.

The only module that needs the optional package gymnasium. For several environments in a step give each
its own slice of the samples, in Gymnasium's SyncVectorEnv: docs/usage.md has an example.
"""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, MultiBinary

from ddlo import checks
from ddlo.data import Data
from ddlo.network import as_network


class OffloadingEnv(gymnasium.Env):
    """Decide one time frame in each step; an episode goes through all samples in order.

    `network` and `data` are those of main.run: states (samples, S), or a tuple with gain_min (samples,)
    and its name; the environment keeps a copy. The observation is a float32 vector (S,), the action N*M
    zeros and ones, the reward -Q. info has Q and, if gain_min is known, the gain_ratio (or the
    difference if utilities are negative). Raises ValueError as main.run.
    """

    metadata: ClassVar = {"render_modes": []}

    def __init__(self, network, data):
        self.network = as_network(network)
        self.data = Data.given(data, self.network)
        low, high = (bound(self.data.states, axis=0) for bound in (np.min, np.max))
        # Bounds rounded to float32 still contain all states.
        low = np.nextafter(low.astype(np.float32), np.float32(-np.inf))
        high = np.nextafter(high.astype(np.float32), np.float32(np.inf))
        self.observation_space = Box(low, high, dtype=np.float32)
        self.action_space = MultiBinary(self.network.N * self.network.M)
        self.frame = None

    def reset(self, *, seed=None, options=None):
        """Begin an episode with the first sample; return its state and an empty info."""
        super().reset(seed=seed)
        self.frame = 0
        return self.data.states[0].astype(np.float32), {}

    def step(self, action):
        """Make a decision (N*M,); return the next state, reward, False, whether it was the last, info.

        Raises ValueError for an invalid decision, RuntimeError outside an episode.
        """
        if self.frame is None:
            raise RuntimeError("no episode has begun, or it has ended: call reset() before step()")
        decision = checks.array("action", action, shape=self.action_space.shape)
        now = np.array([self.frame])
        Q = self.network.compute_Q(self.data.states[now], checks.binary("action", decision)[None])
        Q = np.asarray(Q, float)
        info = {"Q": Q.item()} | {self.data.measure: self.data.compare(Q, now).item()}
        is_last = self.frame + 1 == len(self.data.states)
        state = self.data.states[self.frame + (not is_last)].astype(np.float32)
        self.frame = None if is_last else self.frame + 1
        return state, -Q.item(), False, is_last, info
