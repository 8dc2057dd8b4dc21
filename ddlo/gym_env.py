"""A network as a Gymnasium environment, so that agents of any library can be compared with DDLO.

The only module that needs the optional package gymnasium. A step is a time frame: the observation is its
state, the action a decision, the reward -Q. Frames come in the order of the samples; an episode goes
through all of them once and is truncated then.
"""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, MultiBinary
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ddlo.data import Data
from ddlo.network import as_network


class _Frames:
    """The shared part of both environments: checked data, spaces, and the gain of a decision."""

    def __init__(self, network, data):
        self.network = as_network(network)
        self.data = Data.given(data, self.network)
        low, high = (bound(self.data.states, axis=0) for bound in (np.min, np.max))
        # Bounds rounded to float32 still contain all states.
        low = np.nextafter(low.astype(np.float32), np.float32(-np.inf))
        high = np.nextafter(high.astype(np.float32), np.float32(np.inf))
        self.observation_space = Box(low, high, dtype=np.float32)
        self.action_space = MultiBinary(self.network.N * self.network.M)

    def __len__(self):
        return len(self.data.states)

    def states(self, frames):
        return self.data.states[frames].astype(np.float32)

    def gains(self, frames, decisions):
        """Return rewards -Q (B,) and info of decisions (B, N*M) in frames with these numbers (B,)."""
        Q = np.asarray(self.network.compute_Q(self.data.states[frames], decisions), float)
        info = {"Q": Q} | {self.data.measure: self.data.compare(Q, frames)}
        return -Q, info


class OffloadingEnv(gymnasium.Env):
    """Decide one time frame in each step.

    `network` and `data` are those of main.run: states (samples, S), or a tuple with gain_min (samples,)
    and its name. The observation is a float32 vector (S,), the action N*M zeros and ones, the reward -Q
    in J. info has Q and, if gain_min is known, the gain_ratio (or the difference if utilities are
    negative). Raises ValueError as main.run.
    """

    metadata: ClassVar = {"render_modes": []}

    def __init__(self, network, data):
        self.frames, self.frame = _Frames(network, data), 0
        self.observation_space = self.frames.observation_space
        self.action_space = self.frames.action_space

    def reset(self, *, seed=None, options=None):
        """Begin an episode with the first sample; return its state and an empty info."""
        super().reset(seed=seed)
        self.frame = 0
        return self.frames.states(0), {}

    def step(self, action):
        """Make a decision (N*M,); return the next state, reward, False, whether it was the last, info."""
        rewards, info = self.frames.gains(np.array([self.frame]), np.asarray(action)[None])
        self.frame += 1
        is_over = self.frame == len(self.frames)
        info = {name: values[0].item() for name, values in info.items()}
        return self.frames.states(self.frame - is_over), rewards[0].item(), False, is_over, info


class OffloadingVectorEnv(VectorEnv):
    """Decide `num_envs` time frames in each step, in one call of compute_Q.

    Parameters as for OffloadingEnv. Environment i begins with sample i * samples // num_envs and goes
    through all; all start again in the step that ends their episodes.
    """

    metadata: ClassVar = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, network, data, num_envs):
        self.frames, self.num_envs = _Frames(network, data), num_envs
        self.single_observation_space = self.frames.observation_space
        self.single_action_space = self.frames.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.first = np.arange(num_envs) * len(self.frames) // num_envs
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        """Begin episodes; return the states (num_envs, S) and an empty info."""
        super().reset(seed=seed)
        self.steps = 0
        return self._states(), {}

    def step(self, actions):
        """Make decisions (num_envs, N*M); return as OffloadingEnv, arrays (num_envs, ...)."""
        samples = len(self.frames)
        rewards, info = self.frames.gains((self.first + self.steps) % samples, np.asarray(actions))
        self.steps += 1
        is_over = np.full(self.num_envs, self.steps == samples)
        if is_over.all():
            info |= {"final_obs": self._states(self.steps - 1), "_final_obs": is_over}
            self.steps = 0
        info |= {f"_{name}": np.full(self.num_envs, True) for name in info if name[0] != "_"}
        return self._states(self.steps), rewards, np.full(self.num_envs, False), is_over, info

    def _states(self, steps=0):
        return self.frames.states((self.first + steps) % len(self.frames))
