"""DROO's published rule: the number of candidates adapts to the candidates that win."""

from dataclasses import dataclass

import numpy as np

from ddlo import checks
from ddlo.candidates import OrderPreserving
from main import DDLO

INTERVAL = 32  # frames between changes of K


@dataclass(unsafe_hash=True)
class AdaptiveOrderPreserving:
    """Order-preserving quantization (DROO) with a number of candidates, K, that AdaptiveDROO sets."""

    K: int = 1

    def __call__(self, logits, xp=np):
        return OrderPreserving(self.K)(logits, xp)


class AdaptiveDROO(DDLO, compiled=False):
    """DDLO with one DNN and an AdaptiveOrderPreserving rule, at first with K = N*M candidates.

    After every 32 frames K becomes the greatest index, from 0, that won in them, plus 2, but at most
    N*M. The frames run step by step, so only K candidates are scored; `scored` counts them. Source: the
    paper and package of DROO. Raises ValueError for another candidate rule.
    """

    without_last = False  # whether the last of the 32 frames does not count

    def __init__(self, net, network, recombine=False):
        super().__init__(net, network, recombine)
        if not isinstance(net.candidates, AdaptiveOrderPreserving):
            found = checks.quoted(net.candidates)
            raise ValueError(f"candidates must be an AdaptiveOrderPreserving, got {found}")  # noqa: TRY004
        net.candidates.K, self.greatest, self.scored = net.n_out, 0, 0

    def decide_and_learn(self, states):
        """Decide frames (B, S) and learn from them, as DDLO does."""
        states, rule = np.atleast_2d(self.network.check_state(states)), self.net.candidates
        results = [super().decide_and_learn(states[:0])]
        while len(states):
            frame = self.net.memory_counter - 1
            k, x = super().decide_and_learn(states[: INTERVAL - frame % INTERVAL])
            ends = (frame + len(k)) % INTERVAL == 0
            counted = k[:-1] if ends and self.without_last else k
            self.greatest = counted.max(initial=self.greatest)
            self.scored += rule.K * len(k)
            if ends:
                rule.K, self.greatest = min(int(self.greatest) + 2, self.net.n_out), 0
            results.append((k, x))
            states = states[len(k) :]
        return tuple(map(np.concatenate, zip(*results)))


class ReleasedDROO(AdaptiveDROO, compiled=False):
    """AdaptiveDROO with all that differs from DDLO in DROO's package.

    It trains from its first frames on, its biases start as 0.1, and the last of 32 frames does not count
    for K.
    """

    without_last = True

    def __init__(self, net, network, recombine=False):
        super().__init__(net, network, recombine)
        net.training_start = 1

    def decide_and_learn(self, states):
        """Decide frames (B, S) and learn from them, as DDLO does."""
        if self.net.memory_counter == 1:  # a new run
            weights = self.net.get_weights()
            self.net.set_weights([w if w.ndim == 3 else np.full_like(w, 0.1) for w in weights])
        return super().decide_and_learn(states)
