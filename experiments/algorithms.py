"""Variants of DDLO that show what limits it, or what it has learned."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from main import DDLO

from .execution import learn
from .runs import released, samples


class Supervised(DDLO, compiled=False):
    """DDLO whose DNNs learn optimal decisions, not the best candidates: an upper limit on learning.

    The network must know its optimum.
    """

    def decide_and_learn(self, states):
        """Decide frames (B, S) as DDLO, and learn the optimal decisions."""
        results = [self.decide(states[:0])]
        for block in self.net.blocks(states):
            results.append(self.decide(block))
            self.net.encode(self.net.inputs(self.network, block), self.network.optimum(block)[1])
        return tuple(map(np.concatenate, zip(*results)))


class FrozenAt60Percent(DDLO, compiled=False):
    """DDLO that stops learning after 60 % of the frames: 12,000 of 20,000."""

    frames = 20000  # of the run

    def decide_and_learn(self, states):
        """Decide frames (B, S) as DDLO, and learn from those before it stops."""
        left = max(0, int(0.6 * self.frames) + 1 - self.net.memory_counter)
        results = super().decide_and_learn(states[:left]), self.decide(states[left:])
        return tuple(map(np.concatenate, zip(*results)))


@dataclass(frozen=True)
class TrainedOnThreeUsers:
    """A random scheme: shared DNNs that have learned from the published data, for any number of users."""

    net_num: int
    recombine: bool = False

    def __call__(self, network, states, seed):
        net = trained(self.net_num, self.recombine, seed).for_users(network.N)
        return DDLO(net, network, self.recombine).decide(states)[1]


@lru_cache(maxsize=1)
def trained(net_num, recombine, seed):
    """Return the shared DNNs of a run of the published setting."""
    run = released(shared=True, net_num=net_num, recombine=recombine, seed=seed)
    data = samples(run.problem)
    ddlo, _, _ = learn(run, data, data.time_frames(run.frames)[0])
    return ddlo.net.for_users(3)  # a copy: the next run of this process reuses the net
