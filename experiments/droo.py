"""DROO's rule as published: a number of candidates that adapts to which of them are chosen."""

from dataclasses import dataclass

import numpy as np

from ddlo.candidates import OrderPreserving
from main import DDLO

INTERVAL = 32  # frames between two changes of the number of candidates


@dataclass(unsafe_hash=True)
class AdaptiveOrderPreserving:
    """Order-preserving quantisation (DROO) whose number of candidates, K, AdaptiveDROO changes."""

    K: int = 1

    def __call__(self, logits, xp=np):
        return OrderPreserving(self.K)(logits, xp)


class AdaptiveDROO(DDLO, compiled=False):
    """DDLO with one DNN whose candidates adapt: an AdaptiveOrderPreserving, of K = N*M at first.

    After every 32 frames K is 2 more than the greatest index, from 0, that was chosen in them, but at
    most N*M. That makes it run step by step: only as many candidates are scored. `scored` is how many
    were. Source: the paper and the package of DROO.
    """

    def __init__(self, net, network, recombine=False):
        super().__init__(net, network, recombine)
        if not isinstance(self.net.candidates, AdaptiveOrderPreserving):
            raise ValueError(  # noqa: TRY004 - as for all that does not suit
                f"adaptive K needs an AdaptiveOrderPreserving, got {self.net.candidates!r}"
            )
        self.net.candidates.K, self.greatest, self.scored = self.net.net[-1], 0, 0

    def decide_and_learn(self, state):
        """Decide frames and learn from the decisions, as DDLO does."""
        state, rule = self.network.check_state(state), self.net.candidates
        results = [super().decide_and_learn(state[:0])]
        while len(state):
            frame = self.net.memory_counter - 1
            k, x = super().decide_and_learn(state[: INTERVAL - frame % INTERVAL])
            self.greatest, self.scored = max(self.greatest, k.max()), self.scored + rule.K * len(k)
            if (frame + len(k)) % INTERVAL == 0:
                rule.K, self.greatest = min(int(self.greatest) + 2, self.net.net[-1]), 0
            results.append((k, x))
            state = state[len(k) :]
        return tuple(np.concatenate(parts) for parts in zip(*results))
