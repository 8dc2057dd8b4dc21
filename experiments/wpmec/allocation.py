"""The best time allocation of a WPMEC frame, and an upper bound on its computation rate.

`costs` are l_n, g_n and e_n from WPMEC.costs, float64 (3, ..., N). `xp` is NumPy, or
tensorflow.experimental.numpy in compiled code.
"""

import numpy as np

# The search for the price of time: halvings of its interval, then Newton steps. An error of the price
# changes R only in second order.
BISECTIONS, NEWTON_STEPS = 12, 3
GOLDEN_STEPS = 60  # of the search for the bound's price


def allocation(costs, decision, xp=np):
    """Return the best time allocation of decisions (..., N): a (...), tau and ln(1 + SNR) (..., N).

    The price of time, v, is the root of a falling function, found by bisection of its logarithm and
    Newton's method, with a fixed number of steps each. A device that computes locally has tau = 0 and
    a meaningless SNR.
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
    """Return a lower and an upper bound on the best price of time, (...).

    At ln(1+s) - s/(1+s) = v/e the SNR s is at least sqrt(2*v/e), which bounds g/s; y = 1/(1+s) is at
    most 1, and at least exp(-2) if v <= e.
    """
    local = xp.sum((1 - decision) * costs[0], axis=-1) / 3
    sent = xp.sum(decision * costs[1] * costs[2], axis=-1)
    spread = xp.sum(decision * xp.sqrt(costs[1]), axis=-1) / 2
    least = xp.minimum(sent * np.exp(-2), xp.min(costs[2], axis=-1))
    low = xp.where(local > 0, local, least)
    return low, xp.maximum(2 * sent, 2 * local * (1 + spread) ** (2 / 3))


def excess(price, costs, decision, xp):
    """Return the marginal rate of charging time minus its price (...), and the slope of that."""
    level = snr_level(price[..., None] / costs[2], xp)
    sent = time_sent(costs, decision, level, xp)
    time = 1 + xp.sum(sent, axis=-1)  # 1/a
    local = xp.sum((1 - decision) * costs[0], axis=-1) / 3
    charged = xp.sum(decision * costs[1] * costs[2] * xp.exp(-level), axis=-1)
    less_time = xp.sum(sent / costs[2] / xp.expm1(-level) ** 2, axis=-1)
    slope = -2 / 3 * local * less_time / time ** (1 / 3) - time
    return local * time ** (2 / 3) + charged - price, slope


def time_sent(costs, decision, level, xp):
    """Return tau/a = g/s (..., N) at level = ln(1+s); 0 for devices that compute locally."""
    return decision * costs[1] * xp.exp(-level) / -xp.expm1(-level)


def snr_level(price, xp, steps=4):
    """Return u = ln(1+s) at which the SNR s has ln(1+s) - s/(1+s) = price, here v/e.

    u is the root of u + exp(-u) = 1 + price. From this start Newton's method needs no more steps.
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
    """Return the price (B,) of the least upper bound on R, that bound (B,), and decisions near it.

    The decisions, float64 (N + 1, B, N), offload the first 0 to N devices in the order of
    e_n*g_n*y_n/l_n. One of them has the greatest D(v, x) of all decisions: D grows with the local sum A
    of l_n, falls with B = v minus the offloaded sum of e_n*g_n*y_n, and is quasi-convex in both, so its
    maximum also maximizes A - c*B for some c > 0.
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
        # Both are infinite if the price is too low.
        lower = dual(np.exp(left))[0] < dual(np.exp(right))[0]
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    price = np.exp(high)
    most, order = dual(price)
    rank = np.argsort(order, axis=-1)
    decisions = rank < np.arange(local.shape[-1] + 1)[:, None, None]
    return price, most, decisions.astype(float)
