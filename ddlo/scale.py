"""From the state of a time frame, such as task sizes, to the inputs of the DNNs."""

from dataclasses import asdict, dataclass

import numpy as np

from ddlo import checks


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] to [-100, 100]; by default 10*d - 200 for task sizes d, as released.

    Both are numbers, or tuples with one entry per entry of the state. An entry with low = high, such as
    a constant one, becomes 100. Raises ValueError if one is not finite or low > high.
    """

    low: float | tuple[float, ...] = 10.0
    high: float | tuple[float, ...] = 30.0

    def __post_init__(self):
        low, high = (checks.array(name, getattr(self, name)) for name in ("low", "high"))
        for name, values in (("low", low), ("high", high)):
            checks.finite(name, values)
            object.__setattr__(self, name, tuple(values.tolist()) if values.ndim else values.item())
        if low.shape != high.shape or (low > high).any():
            raise ValueError(f"low must be <= high, got {self.low} and {self.high}")
        span = high - low
        factor = np.where(span > 0, 200 / np.where(span > 0, span, 1.0), 0.0)
        # Inputs of 0 in every entry would leave logits of 0: no DNN could decide or learn from them.
        shift = np.where(span > 0, factor * (low + high) / 2, -100.0)
        object.__setattr__(self, "_terms", (factor, shift))

    @classmethod
    def of(cls, states):
        """Return the scale with the range of states (..., S), entry by entry."""
        entries = np.reshape(states, (-1, np.shape(states)[-1]))
        return cls(tuple(entries.min(axis=0)), tuple(entries.max(axis=0)))

    def __call__(self, state):
        """Return the inputs, float64 (..., S), of states (..., S)."""
        factor, shift = self._terms
        return factor * state - shift


RELEASED = Scale()


def describe_scale(scale):
    """Return a scale as a dict for a JSON file: its fields, or the name of a custom one."""
    if isinstance(scale, Scale):
        return asdict(scale)
    return {"custom": getattr(scale, "__name__", type(scale).__name__)}


def scale_from(description):
    """Return the scale described by `describe_scale`. Raises ValueError for a custom one."""
    if "custom" in description:
        name = checks.quoted(description["custom"])
        raise ValueError(f"its scale {name} is custom and not saved: pass it again, as scale=")
    return Scale(**description)
