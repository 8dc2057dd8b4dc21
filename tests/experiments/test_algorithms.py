"""Variants of DDLO in the experiments."""

import numpy as np
import pytest

from ddlo.data import task_sizes
from experiments.algorithms import Supervised, TrainedOnThreeUsers
from experiments.suite import hidden_layers
from memory import MemoryDNN
from MUMT import MUMT


def test_supervised_dnns_learn_the_optimal_decisions():
    network, d = MUMT(5, 3), task_sizes(range(600), 5, 3).astype(float)
    net = MemoryDNN([3, 20, 3], 1, seed=0, shared=5)
    _, decision = Supervised(net, network).decide_and_learn(d)
    optimal = network.optimum(d)[1]
    rows = net.memory[1:601].reshape(600, 5, 6)
    np.testing.assert_array_equal(rows[..., 3:].reshape(600, 15), optimal)
    assert (decision != optimal).any() and len(net.cost_his[0]) == 9


@pytest.mark.slow
def test_dnns_trained_on_three_users_decide_for_thirty():
    network, d = MUMT(30, 3, uplink_bandwidth=125), task_sizes(range(50), 30, 3).astype(float)
    decision = TrainedOnThreeUsers(net_num=3, recombine=True)(network, d, seed=0)
    assert decision.shape == (50, 90)
    ratio = network.optimum(d)[0] / network.compute_Q(d, decision)
    assert ratio.mean() > 0.975


@pytest.mark.parametrize("K", [3, 5, 10])
def test_different_sizes_have_the_weights_of_equal_ones(K):
    rows = hidden_layers(K)
    weights = [MemoryDNN([9, *hidden, 9], 1).get_weights() for hidden in rows]
    total = sum(w.size for net in weights for w in net)
    equal = K * sum(w.size for w in MemoryDNN([9, 120, 80, 9], 1).get_weights())
    assert len(rows) == K == len(set(rows)) and abs(total / equal - 1) < 0.005
