"""Agents of Stable-Baselines3, if it is installed."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from experiments.agents import TESTS, bits, train


def test_bits_are_the_decisions_in_lexicographic_order():
    assert bits([0, 1, 256, 511]).tolist() == [[0] * 9, [0] * 8 + [1], [1] + [0] * 8, [1] * 9]


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["A2C", "DQN"])  # both kinds of actions
def test_agent_learns_more_than_chance(agent):
    ratios = train(agent, TESTS + 8000, None, 0)
    assert 0.81 < np.min(ratios) <= np.max(ratios) <= 1  # 0.80 at random


def test_same_seed_gives_the_same_agent():
    assert train("PPO", TESTS + 100, 0.001, 0) == train("PPO", TESTS + 100, 0.001, 0)
