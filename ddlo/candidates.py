"""Candidate rules: how the DNNs' logits become the decisions among which the best is picked.

A rule is a callable `rule(logits, xp)` of logits float64 (K, B, n_out) for B frames, that returns
candidates, bool (C, B, n_out), with 1 to offload a task. `xp` is NumPy or, for tensors in compiled
code, tensorflow.experimental.numpy: a rule is written with what both have. MemoryDNN takes any rule;
those that are frozen dataclasses listed in RULES are saved with it.
"""

import functools
import itertools
import math
from dataclasses import asdict, dataclass

import numpy as np

from ddlo import checks

MOST_SUBSETS = 2**15  # of tasks, that nearest neighbours are sought among


def threshold(logits, xp=np):
    """Offload a task if its logit is above 0: one candidate of each DNN, as released."""
    return logits > 0


@dataclass(frozen=True)
class Flips:
    """The DNNs' decisions, and extra candidates in which their least confident tasks are flipped.

    A task is the less confident the closer its logit is to 0. First come all DNNs' own decisions,
    then all DNNs' flips, one after the other in the order of the tasks, then their user flips.
    Raises ValueError where the logits have fewer tasks than are to be flipped. Ours, not the paper's.
    """

    flips: int = 0  # extra candidates of each DNN, each with one task flipped: 0 to N*M
    user_flips: int = 0  # likewise, each with one task of every user flipped: 0 to M
    users: int = 1  # N, whose tasks are equal parts of the last axis

    def __call__(self, logits, xp=np):
        n_out = logits.shape[-1]
        users = checks.integer("users", self.users)
        if n_out % users:
            raise ValueError(f"users must be a divisor of {n_out} tasks, got {users}")
        decision = logits > 0
        candidates = [decision]
        for name, groups in (("flips", 1), ("user_flips", users)):
            flips = checks.integer(name, getattr(self, name), 0, n_out // groups)
            if flips:
                candidates.append(_flipped(logits, decision, flips, groups, xp))
        return xp.concatenate(candidates, axis=0)


def _flipped(logits, decision, flips, groups, xp):
    """Return decisions with the least confident tasks of each group flipped, one per candidate."""
    dnns, frames, n_out = logits.shape
    shape = (dnns, frames, groups, n_out // groups)
    if flips == shape[-1]:  # all tasks, however confident: nothing to sort
        flipped = np.arange(flips)[:, None, None, None]
    else:
        distance = xp.reshape(xp.abs(logits), shape)
        least_confident = xp.argsort(distance, axis=-1, kind="stable")[..., :flips]
        flipped = xp.moveaxis(xp.sort(least_confident, axis=-1), -1, 0)  # (flips, K, B, groups)
    is_flipped = flipped[..., None] == np.arange(shape[-1])
    others = xp.reshape(decision, shape) != is_flipped  # (flips, K, B, groups, tasks)
    return xp.reshape(others, (flips * dnns, frames, n_out))


@dataclass(frozen=True)
class OrderPreserving:
    """Order-preserving quantisation of one DNN's output, as in DROO: K candidates.

    The first candidate offloads the tasks whose output is above 1/2. The others take an entry of the
    output as threshold instead: the one closest to 1/2 first, then the second closest, and so on.
    Logits z stand for the outputs 1/(1+exp(-z)) here: they have the same order and the same order of
    distances from 1/2, and do not saturate. Raises ValueError if there is more than one DNN, or K is
    not in 1 to n_out + 1, the most candidates that this rule has.

    Source: L. Huang, S. Bi, Y. J. Zhang, "Deep reinforcement learning for online computation
    offloading in wireless powered mobile-edge computing networks", 2020.
    """

    K: int

    def __call__(self, logits, xp=np):
        if logits.shape[0] != 1:
            raise ValueError(f"order-preserving quantisation takes 1 DNN, got {logits.shape[0]}")
        K = checks.integer("K", self.K, 1, logits.shape[-1] + 1)
        z = logits[0]
        order = xp.argsort(xp.abs(z), axis=-1, kind="stable")[..., : K - 1]
        value = xp.moveaxis(xp.take_along_axis(z, order, axis=-1), -1, 0)[..., None]
        # The task that is the threshold gets what the first candidate does not give it.
        others = (z > value) | ((z == value) & (value <= 0))
        return xp.concatenate([logits > 0, others], axis=0)


@dataclass(frozen=True)
class NearestNeighbours:
    """K-nearest-neighbour quantisation of one DNN's output, as in DROO: the K decisions nearest to it.

    The nearest one offloads the tasks whose output y is above 1/2. Another one is farther from the
    output by |1 - 2*y| for each task in which it differs, of the squared distance. Of equally far
    ones those come first that differ in fewer tasks, less confident ones. Raises ValueError if there
    is more than one DNN, K is not in 1 to 2**n_out, or so large that there are too many to compare.
    """

    K: int

    def __call__(self, logits, xp=np):
        if logits.shape[0] != 1:
            raise ValueError(f"nearest-neighbour quantisation takes 1 DNN, got {logits.shape[0]}")
        n_out = logits.shape[-1]
        K, z = checks.integer("K", self.K, 1, 2 ** min(n_out, 30)), logits[0]
        subsets = _nearest_subsets(min(n_out, K - 1), K)
        ranked = xp.argsort(xp.abs(z), axis=-1, kind="stable")[..., : subsets.shape[1]]  # (B, few)
        distance = xp.tanh(xp.abs(xp.take_along_axis(z, ranked, axis=-1)) / 2)
        farther = xp.sum(xp.where(subsets, distance[:, None], 0.0), axis=-1)  # (B, subsets)
        nearest = xp.argsort(farther, axis=-1, kind="stable")[:, :K]
        is_flipped = xp.take(xp.asarray(subsets), nearest, axis=0)[..., None]  # (B, K, few, 1)
        places = ranked[:, None, :, None] == np.arange(n_out)
        others = (z > 0)[:, None] != xp.any(is_flipped & places, axis=2)
        return xp.moveaxis(others, 1, 0)


@functools.cache
def _nearest_subsets(few, K):
    """Return which of the `few` least confident tasks may be flipped in one of the K nearest decisions.

    Bool (subsets, few), smaller ones first. All 2**s subsets of a set of s tasks are as near as it is,
    so that no set is larger than log2(K).
    """
    sizes = range(min(few, K.bit_length() - 1) + 1)
    number = sum(math.comb(few, size) for size in sizes)
    if number > MOST_SUBSETS:
        raise ValueError(f"K must be smaller, as {number} decisions would be compared, got {K}")
    subsets = [subset for size in sizes for subset in itertools.combinations(range(few), size)]
    return np.array([np.isin(np.arange(few), subset) for subset in subsets]).reshape(number, few)


def checked_rule(rule, dnns, tasks):
    """Return a rule that works for so many DNNs and tasks. Raises ValueError if it does not."""
    if not callable(rule):
        raise ValueError(f"candidates must be a callable (logits, xp), got {checks.quoted(rule)}")  # noqa: TRY004
    found = np.asarray(rule(np.zeros((dnns, 1, tasks)), np))
    if found.dtype != bool or found.ndim != 3 or found.shape[1:] != (1, tasks):
        raise ValueError(
            f"candidates must return booleans of shape (C, frames, {tasks}), got {found.dtype} of "
            f"shape {found.shape} for one frame"
        )
    return rule


RULES = {rule.__name__: rule for rule in (threshold, Flips, OrderPreserving, NearestNeighbours)}


def described(rule):
    """Return a rule as a dict for a JSON file: its name and, of a dataclass, its fields."""
    if rule is threshold:
        return {"rule": "threshold"}
    fields = asdict(rule) if type(rule) in RULES.values() else {}
    return {"rule": getattr(rule, "__name__", type(rule).__name__)} | fields


def from_description(description):
    """Return the rule that a dict by `described` is of; ValueError if it is none of RULES."""
    fields = dict(description)
    name = fields.pop("rule")
    if name not in RULES:
        raise ValueError(
            f"its candidate rule {checks.quoted(name)} is a custom one, to be given as load(path, candidates=)"
        )
    return RULES[name](**fields) if isinstance(RULES[name], type) else RULES[name]
