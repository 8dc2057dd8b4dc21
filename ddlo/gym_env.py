"""A network as a Gymnasium environment, so that agents of any library can be compared with DDLO.

An optional module: it needs the package gymnasium, which nothing else here does. A step is a time frame:
the observation is its state, the action a decision, the reward -Q. Frames come in the order of the
samples, and an episode goes once through all of them; it is truncated then, as frames do not end.
"""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, MultiBinary
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ddlo.comparison import compared, measure_of
from ddlo.dataset import check_data


class _Frames:
    """What both environments share: the data, checked, their spaces, and what a decision gains."""

    def __init__(self, network, data):
        self.network = network
        self.states, self.gain_min, self.reference = check_data(data, network)
        self.measure = measure_of(self.gain_min)
        low, high = (bound(self.states, axis=0) for bound in (np.min, np.max))
        self.observation_space = Box(*_outside(low, high), dtype=np.float32)
        self.action_space = MultiBinary(network.N * network.M)

    def gains(self, frames, decisions):
        """Return rewards -Q (B,) and info of decisions (B, N*M) in frames of these numbers (B,)."""
        Q = np.asarray(self.network.compute_Q(self.states[frames], decisions), float)
        info = {"Q": Q}
        if self.gain_min is not None:
            least = self.gain_min[frames]
            info[self.measure] = compared(self.measure, Q, least, self.reference)
        return -Q, info


class OffloadingEnv(gymnasium.Env):
    """Decide one time frame in each step.

    Parameters
    ----------
    network : MUMT or another object with N, M and compute_Q
    data : as in main.run: states (samples, S), or a tuple of them, gain_min (samples,), what it is

    The observation is a float32 vector (S,), the action N*M zeros and ones, the reward -Q in J. info has Q
    and, where gain_min is known, the gain_ratio (or the difference where utilities are negative).
    Raises ValueError as main.run does.
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
        return self._state(), {}

    def step(self, action):
        """Make a decision (N*M,): return the next state, the reward, False, whether it was the last, info."""
        rewards, info = self.frames.gains([self.frame], np.asarray(action)[None])
        self.frame += 1
        is_over = self.frame == len(self.frames.states)
        info = {name: values[0].item() for name, values in info.items()}
        state = self._state(self.frame - is_over)
        return state, rewards[0].item(), False, is_over, info

    def _state(self, frame=0):
        return self.frames.states[frame].astype(np.float32)


class OffloadingVectorEnv(VectorEnv):
    """Decide `num_envs` time frames in each step, in one call of compute_Q.

    Parameters are those of OffloadingEnv, and `num_envs`. Environment i begins with sample
    i * samples // num_envs and goes through all; all begin anew in the step that ends their episodes.
    """

    metadata: ClassVar = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, network, data, num_envs):
        self.frames, self.num_envs = _Frames(network, data), num_envs
        self.single_observation_space = self.frames.observation_space
        self.single_action_space = self.frames.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.first = np.arange(num_envs) * len(self.frames.states) // num_envs
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        """Begin episodes; return the states (num_envs, S) and an empty info."""
        super().reset(seed=seed)
        self.steps = 0
        return self._states(), {}

    def step(self, actions):
        """Make decisions (num_envs, N*M): return as OffloadingEnv does, arrays (num_envs, ...)."""
        samples = len(self.frames.states)
        rewards, info = self.frames.gains((self.first + self.steps) % samples, np.asarray(actions))
        self.steps += 1
        is_over = np.full(self.num_envs, self.steps == samples)
        if is_over.all():
            info |= {"final_obs": self._states(self.steps - 1), "_final_obs": is_over}
            self.steps = 0
        info |= {f"_{name}": np.full(self.num_envs, True) for name in info if name[0] != "_"}
        return self._states(self.steps), rewards, np.full(self.num_envs, False), is_over, info

    def _states(self, steps=0):
        return self.frames.states[(self.first + steps) % len(self.frames.states)].astype(np.float32)


def _outside(low, high):
    """Round bounds to float32 so that all states stay within them."""
    low32, high32 = low.astype(np.float32), high.astype(np.float32)
    return np.nextafter(low32, np.float32(-np.inf)), np.nextafter(high32, np.float32(np.inf))
