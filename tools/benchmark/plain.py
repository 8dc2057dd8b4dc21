"""The utility in the most direct code: the reference that fast code is measured against."""


def plain_Q(task_size, decision, N, M):
    """Return Q of the published MUMT in J, task by task."""
    Q = 0.0
    for n in range(N):
        energy = local = offload = 0.0
        for m in range(n * M, (n + 1) * M):
            d, x = float(task_size[m]), int(decision[m])
            b = d * 8 * 2**20
            edge = b * (1.5 * 10**-7) + b * (1.42 * 10**-7)
            energy += x * edge + (1 - x) * (b * (3.25 * 10**-7))
            local += (1 - x) * (b * (4.75 * 10**-7))
            offload += x * (d / (100 / 8 / N) + d * 1900 * 8 * 2**20 / (10 * 10**9))
        Q += energy + max(local, offload)
    return Q
