"""How WPMEC allocates the time of a frame, and a bound on its computation rate: ours.

`costs` are those of WPMEC.costs, with l_n, g_n and e_n: float64 (3, ..., N). What has a
parameter `xp` is also compiled: that is NumPy or, for tensors, tensorflow.experimental.numpy.
"""

import numpy as np

# Halvings of the interval in which the price of time is, and Newton's steps after them. R depends on
# the price's error in second order only.
BISECTIONS, NEWTON_STEPS = 12, 3
GOLDEN_STEPS = 60  # of the search for the bound's price


def allocation(costs, decision, xp=np):
    """Return the best time allocation: a (...), tau (..., N), and ln(1 + SNR), (..., N).

    `costs` are those of WPMEC.costs, with decisions (..., N). The price of time, v, is the
    root of a falling function, found by bisection of its logarithm and Newton's method, both with a
    fixed number of steps. tau is 0 where a device computes locally, and its SNR has no meaning.
    """
    low, high = (xp.log(end) for end in interval_of_price(costs, decision, xp))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        above = excess(xp.exp(middle), costs, decision, xp)[0] > 0
        low, high = xp.where(above, middle, low), xp.where(above, high, middle)
    price = xp.exp((low + high) / 2)
    for _ in range(NEWTON_STEPS):
        value, slope = excess(price, costs, decision, xp)
        price = xp.clip(price - value / slope, xp.exp(low), xp.exp(high))
    level = snr_level(price[..., None] / costs[2], xp)
    sent = time_sent(costs, decision, level, xp)
    a = 1 / (1 + xp.sum(sent, axis=-1))
    return a, sent * a[..., None], level


def interval_of_price(costs, decision, xp):
    """Return two prices of time, (...), between which the best one is.

    With ln(1+s) - s/(1+s) = v/e the SNR s is at least sqrt(2*v/e), which bounds g/s; y is at most 1,
    and at least exp(-2) where v <= e.
    """
    local = xp.sum((1 - decision) * costs[0], axis=-1) / 3
    sent = xp.sum(decision * costs[1] * costs[2], axis=-1)
    spread = xp.sum(decision * xp.sqrt(costs[1]), axis=-1) / 2
    least = xp.minimum(sent * np.exp(-2), xp.min(costs[2], axis=-1))
    low = xp.where(local > 0, local, least)
    return low, xp.maximum(2 * sent, 2 * local * (1 + spread) ** (2 / 3))


def excess(price, costs, decision, xp):
    """Return by how much a longer charging pays more than its price (...), and the slope of that."""
    level = snr_level(price[..., None] / costs[2], xp)
    sent = time_sent(costs, decision, level, xp)
    time = 1 + xp.sum(sent, axis=-1)  # 1/a
    local = xp.sum((1 - decision) * costs[0], axis=-1) / 3
    charged = xp.sum(decision * costs[1] * costs[2] * xp.exp(-level), axis=-1)
    less_time = xp.sum(sent / costs[2] / xp.expm1(-level) ** 2, axis=-1)
    slope = -2 / 3 * local * less_time / time ** (1 / 3) - time
    return local * time ** (2 / 3) + charged - price, slope


def time_sent(costs, decision, level, xp):
    """Return tau/a, which is g/s, of devices at ln(1+s), (..., N); 0 of those that do not offload."""
    return decision * costs[1] * xp.exp(-level) / -xp.expm1(-level)


def snr_level(price, xp, steps=4):
    """Return u = ln(1+s), (...), of the SNR s at which ln(1+s) - s/(1+s) is the price, v/e.

    That is the root of u + exp(-u) = 1 + price, by Newton's method: from where it starts, so many
    steps lead to it but for rounding.
    """
    level = xp.sqrt(2 * price) + price
    for _ in range(steps):
        slope = -xp.expm1(-level)
        level = level - (level - slope - price) / slope
    return level


def dual_value(price, local, sent):
    """Return D(v, x) of decisions: v + max over a of local*a**(1/3) - (v - sent)*a, (...)."""
    left = price - sent
    slope = np.where(left > 0, left, 1.0)
    value = price + 2 / 3 * local * np.sqrt(local / (3 * slope))
    return np.where((left > 0) | ((left == 0) & (local == 0)), value, np.inf)


def greatest_dual(costs):
    """Return the price at which the bound on R is least, (B,), that bound, and decisions near it.

    The decisions, float64 (N + 1, B, N), offload none, some or all of the devices, in the order of
    e_n*g_n*y_n/l_n: the greatest D(v, x) of all decisions is that of one of them. For, with a = A(x)
    and B(x) the sums in it, D grows with A and falls with B and is quasi-convex in both, so that it is
    greatest where A - c*B is for some c > 0.
    """
    local, gain, speed = costs

    def dual(price):
        """Return the greatest D(price, x) of all decisions, and the order of the devices."""
        value = speed * gain * np.exp(-snr_level(price[:, None] / speed, np))
        order = np.argsort(-value / np.where(local > 0, local, 1.0), axis=-1, kind="stable")
        sent = np.cumsum(np.take_along_axis(value, order, axis=-1), axis=-1)
        left = np.cumsum(np.take_along_axis(local, order, axis=-1)[:, ::-1], axis=-1)[:, ::-1]
        none = np.zeros((len(price), 1))
        sent, left = np.hstack([none, sent]), np.hstack([left, none])
        return dual_value(price[:, None], left, sent).max(axis=-1), order

    all_local, all_edge = np.zeros_like(local), np.ones_like(local)
    low = np.log(interval_of_price(costs, all_edge, np)[0])
    high = np.log(np.maximum(*(interval_of_price(costs, x, np)[1] for x in (all_local, all_edge))))
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(GOLDEN_STEPS):
        step = ratio * (high - low)
        left, right = high - step, low + step
        # Where both are infinite, the price is too low.
        lower = dual(np.exp(left))[0] < dual(np.exp(right))[0]
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    price = np.exp(high)
    most, order = dual(price)
    rank = np.argsort(order, axis=-1)
    decisions = rank < np.arange(local.shape[-1] + 1)[:, None, None]
    return price, most, decisions.astype(float)
