"""A network as a Gymnasium environment, to compare agents of any library with DDLO.

Only this module needs the package gymnasium. docs/usage.md has an example with several environments.
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

    Takes `network` and `data` and raises as main.run. The observation is a float32 vector (S,), the action
    N*M zeros and ones, the reward -Q. info has Q and, if gain_min is known, the gain_ratio (or the
    difference if utilities are negative).
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
        self.frame = len(self.data.states)  # no episode has begun

    def reset(self, *, seed=None, options=None):
        """Begin an episode with the first sample; return its state and an empty info."""
        super().reset(seed=seed)
        self.frame = 0
        return self.data.states[0].astype(np.float32), {}

    def step(self, action):
        """Make a decision (N*M,); return the next state, reward, False, whether it was the last, info.

        Raises ValueError for an invalid decision, IndexError outside an episode.
        """
        decision = checks.array("action", action, shape=self.action_space.shape)
        now, states = np.array([self.frame]), self.data.states
        Q = self.network.compute_Q(states[now], checks.binary("action", decision)[None])
        Q = np.asarray(Q, float)
        info = {"Q": Q.item()} | {self.data.measure: self.data.compare(Q, now).item()}
        self.frame += 1
        is_last = self.frame == len(states)
        state = states[self.frame - is_last].astype(np.float32)
        return state, -Q.item(), False, is_last, info
