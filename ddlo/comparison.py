"""How utilities compare with gain_min, the optimum or what else is known of it.

A gain ratio, gain_min / Q, has a meaning where no utility is negative; else the difference Q - gain_min
takes its place, and where no gain_min is known, Q itself.
"""

from decimal import Decimal

import numpy as np

# What a measure is called in texts.
MEASURES = {
    "gain_ratio": "gain ratio",
    "difference": "difference to the {reference}",
    "Q": "utility",
}
# References that no utility can be below, and how far rounding may take it, relative.
BOUNDS, ROUNDING = ("optimum", "lower bound"), 1e-9
COARSEST = 1e-3  # relative: no number with fewer digits is taken for a rounded one


def measure_of(gain_min):
    """Return the key of MEASURES that goes with a data set's gain_min (samples,), or None."""
    if gain_min is None:
        return "Q"
    return "difference" if (gain_min < 0).any() else "gain_ratio"


def compared(measure, Q, gain_min, reference="optimum"):
    """Return the measure of utilities Q (frames,) and of the gain_min of each frame.

    Raises ValueError if a utility is below an optimum or a lower bound, which then is none.
    """
    if measure == "Q":
        return Q
    if reference in BOUNDS:
        (below,) = np.nonzero(Q < gain_min - ROUNDING * np.abs(gain_min))
        for i in below:
            if Q[i] < gain_min[i] - precision(gain_min[i]):
                raise ValueError(
                    f"gain_min must be the {reference}, got {gain_min[i]} where a decision has a utility "
                    f"of {Q[i]}: it is of another network. Data of a heuristic have a reference of "
                    "another name, such as 'best known utility'"
                )
    if measure == "difference":
        return Q - gain_min
    if Q.min(initial=0) < 0:
        raise ValueError(
            f"gain_min must be below all utilities where one is negative, got a utility of {Q.min()}"
        )
    return np.where(Q == gain_min, 1.0, gain_min / np.where(Q == 0, np.inf, Q))  # 1 for 0 / 0


def precision(value):
    """Return how far a number may be from what it was rounded from, to digits or single precision."""
    value = float(value)
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent  # of the last digit
    digits = min(0.5 * 10.0 ** min(0, exponent), COARSEST * abs(value))
    with np.errstate(over="ignore"):
        single = float(np.float32(value)) == value
    return max(digits, (np.finfo(np.float32).eps if single else ROUNDING) * abs(value))


def optimal_share(Q, gain_min):
    """Return the fraction of time frames whose decision is optimal, but for rounding."""
    return np.mean(Q - gain_min <= 1e-12 * np.abs(gain_min))
