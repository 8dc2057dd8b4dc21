"""Candidate rules: from the DNNs' logits to the decisions among which DDLO picks.

A rule is a callable `rule(logits, xp)`. It maps logits, float64 (K, B, n_out) for B frames, to
candidates, bool (C, B, n_out), True to offload a task. `xp` is NumPy, or tensorflow.experimental.numpy
for tensors: use functions that both have. MemoryDNN takes any rule and saves those in RULES.
"""

import functools
from dataclasses import asdict, dataclass
from itertools import chain, combinations, islice

import numpy as np

from ddlo import checks

MOST_SUBSETS = 2**15  # subsets of tasks compared for nearest neighbors


def threshold(logits, xp=np):
    """Offload a task if its logit is above 0: one candidate per DNN, as released."""
    return logits > 0


@dataclass(frozen=True)
class Flips:
    """The DNNs' decisions, and candidates that flip their least confident tasks: not in the paper.

    A task is less confident the closer its logit is to 0. All DNNs' decisions come first, then their
    flips in the order of the tasks, then their user flips.
    """

    flips: int = 0  # extra candidates per DNN, each with one task flipped: 0 to N*M
    user_flips: int = 0  # the same, each with one task of every user flipped: 0 to M
    users: int = 1  # N; each has an equal part of the last axis

    def __call__(self, logits, xp=np):
        candidates = [logits > 0]
        for name, groups in (("flips", 1), ("user_flips", self.users)):
            flips = checks.integer(name, getattr(self, name), 0, logits.shape[-1] // groups)
            if flips:
                candidates.append(_flipped(logits, candidates[0], flips, groups, xp))
        return xp.concatenate(candidates, axis=0)


def _flipped(logits, decision, flips, groups, xp):
    """Return decisions that flip one of the least confident tasks of every group."""
    dnns, frames, n_out = logits.shape
    shape = (dnns, frames, groups, n_out // groups)
    if flips == shape[-1]:  # all tasks: nothing to sort
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
    """Order-preserving quantization of one DNN's output (DROO): K candidates.

    The first candidate offloads the tasks whose output is above 1/2. Each other one takes an entry of
    the output as its threshold, the closest to 1/2 first. Logits z replace the outputs 1/(1+exp(-z)):
    they are ordered alike and do not saturate. Source: Huang, Bi and Zhang, DROO, 2020.
    """

    K: int  # 1 to n_out + 1

    def __call__(self, logits, xp=np):
        K, z = checks.integer("K", self.K, 1, logits.shape[-1] + 1), _single(logits)
        order = xp.argsort(xp.abs(z), axis=-1, kind="stable")[..., : K - 1]
        value = xp.moveaxis(xp.take_along_axis(z, order, axis=-1), -1, 0)[..., None]
        # At its own threshold a task gets the opposite of the first candidate's decision.
        others = (z > value) | ((z == value) & (value <= 0))
        return xp.concatenate([logits > 0, others], axis=0)


@dataclass(frozen=True)
class NearestNeighbours:
    """K-nearest-neighbor quantization of one DNN's output (DROO): the K decisions nearest to it.

    The nearest decision offloads the tasks whose output y is above 1/2. Each task that differs from it
    adds |1 - 2*y| to the squared distance. Ties go to decisions that differ in fewer and less confident
    tasks. Raises ValueError for a K that needs too many comparisons.
    """

    K: int  # 1 to 2**n_out

    def __call__(self, logits, xp=np):
        n_out = logits.shape[-1]
        K, z = checks.integer("K", self.K, 1, 2 ** min(n_out, 30)), _single(logits)
        subsets = _nearest_subsets(min(n_out, K - 1), K)
        ranked = xp.argsort(xp.abs(z), axis=-1, kind="stable")[..., : subsets.shape[1]]  # (B, few)
        distance = xp.tanh(xp.abs(xp.take_along_axis(z, ranked, axis=-1)) / 2)
        farther = xp.sum(xp.where(subsets, distance[:, None], 0.0), axis=-1)  # (B, subsets)
        nearest = xp.argsort(farther, axis=-1, kind="stable")[:, :K]
        is_flipped = xp.take(xp.asarray(subsets), nearest, axis=0)[..., None]  # (B, K, few, 1)
        places = ranked[:, None, :, None] == np.arange(n_out)
        others = (z > 0)[:, None] != xp.any(is_flipped & places, axis=2)
        return xp.moveaxis(others, 1, 0)


def _single(logits):
    """Return the logits (B, n_out) of the only DNN."""
    if logits.shape[0] != 1:
        raise ValueError(f"quantization takes 1 DNN, got {logits.shape[0]}")
    return logits[0]


@functools.cache
def _nearest_subsets(few, K):
    """Return the sets of least confident tasks that the K nearest decisions may flip.

    Bool (subsets, few), small sets first. All 2**s subsets of a set of s tasks are at least as near, so
    no set is larger than log2(K).
    """
    sizes = range(min(few, K.bit_length() - 1) + 1)
    subsets = chain.from_iterable(combinations(range(few), size) for size in sizes)
    subsets = list(islice(subsets, MOST_SUBSETS + 1))
    if len(subsets) > MOST_SUBSETS:
        raise ValueError(f"K must be smaller, as too many decisions would be compared, got {K}")
    return np.array([np.isin(np.arange(few), each) for each in subsets]).reshape(len(subsets), few)


def check_rule(rule, dnns, tasks):
    """Return a rule that works for this number of DNNs and tasks. Raises ValueError if it does not."""
    found = np.asarray(rule(np.zeros((dnns, 1, tasks)), np))
    if found.dtype != bool or found.ndim != 3 or found.shape[1:] != (1, tasks):
        raise ValueError(
            f"candidates must return booleans of shape (C, frames, {tasks}), got {found.dtype} of "
            f"shape {found.shape} for one frame"
        )
    return rule


RULES = {rule.__name__: rule for rule in (threshold, Flips, OrderPreserving, NearestNeighbours)}


def describe_rule(rule):
    """Return a rule as a dict for a JSON file: its name and, if it is in RULES, its fields."""
    fields = asdict(rule) if rule is not threshold and type(rule) in RULES.values() else {}
    return {"rule": getattr(rule, "__name__", type(rule).__name__)} | fields


def rule_from(description):
    """Return the rule described by `describe_rule`. Raises ValueError for a custom one."""
    fields = dict(description)
    name = fields.pop("rule")
    if name not in RULES:
        name = checks.quoted(name)
        raise ValueError(f"its rule {name} is custom and not saved: pass it again, as candidates=")
    return RULES[name](**fields) if isinstance(RULES[name], type) else RULES[name]
