"""Variants of DDLO in the experiments."""

import numpy as np
import pytest

from ddlo.data import task_sizes
from experiments.algorithms import FrozenAt60Percent, Supervised, TrainedOnThreeUsers
from experiments.execution import recovery
from experiments.suite import hidden_layers
from main import DDLO
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


def test_frozen_dnns_stop_learning_after_60_percent_of_the_frames():
    network, d = MUMT(3, 3), task_sizes(range(900), 3, 3).astype(float)
    net, other = (MemoryDNN([9, 20, 9], 2, seed=0) for _ in range(2))
    ddlo = FrozenAt60Percent(net, network)
    ddlo.frames = 909  # the last one to learn from is frame 545
    parts = [ddlo.decide_and_learn(part) for part in np.split(d, [300, 540, 600])]
    x = np.concatenate([part[1] for part in parts])
    plain = DDLO(other, network)
    expected = plain.decide_and_learn(d[:545])[1]
    np.testing.assert_array_equal(x, np.concatenate([expected, plain.decide(d[545:])[1]]))
    assert net.memory_counter == 546 and len(net.cost_his[0]) == 3


def test_recovery_by_hand():
    ratio = np.full(3000, 0.99)
    ratio[1500:1750] = 0.89
    ratio[1750:] = 0.987  # 100 frames later the mean is within 0.005 again
    found = recovery(ratio, 1500)
    assert found["fall"] == pytest.approx(0.1) and 330 < found["frames_to_recover"] <= 350
    ratio[2000:2100] = 0.9  # it falls again
    assert 590 < recovery(ratio, 1500)["frames_to_recover"] <= 700
    never = recovery(np.append(np.full(1000, 0.99), np.full(500, 0.9)), 1000)
    assert np.isinf(never["frames_to_recover"]) and never["fall"] == pytest.approx(0.09)
    assert np.isnan(recovery(np.ones(100), 60)["fall"])  # too few frames to tell
