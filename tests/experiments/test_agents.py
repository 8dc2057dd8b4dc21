"""Agents of Stable-Baselines3: the table, and the agents if it is installed."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from experiments.agents import TESTS, TUNING_SEED, bits, table, train

needs_agents = pytest.mark.skipif(
    find_spec("stable_baselines3") is None, reason="Stable-Baselines3 is not installed"
)


def test_bits_are_the_decisions_in_lexicographic_order():
    assert bits([0, 1, 256, 511]).tolist() == [[0] * 9, [0] * 8 + [1], [1] + [0] * 8, [1] * 9]


def test_table_has_all_runs_but_those_that_tune():
    runs = pd.DataFrame(
        {
            "agent": "PPO",
            "frames": 20000,
            "learning_rate": [0.1, np.nan, np.nan, 0.1, 0.1],
            "seed": [TUNING_SEED, 0, 1, 0, 1],
            "mean_gain_ratio": [0.5, 0.90, 0.92, 0.97, 0.97],
        }
    )
    assert table(runs)[0] == "| agent | 20,000 time frames |"
    assert table(runs)[2:] == [
        "| PPO, default settings | 0.9000 to 0.9200 |",  # 0.91 ± 0.127 would exceed 1
        "| PPO, tuned learning rate | 0.9700 ± 0.0000 |",
    ]


@needs_agents
@pytest.mark.slow
@pytest.mark.parametrize("agent", ["A2C", "DQN"])  # both kinds of actions
def test_agent_learns_more_than_chance(agent):
    ratios = train(agent, TESTS + 8000, None, 0)
    assert 0.81 < np.min(ratios) <= np.max(ratios) <= 1  # 0.80 at random


@needs_agents
def test_same_seed_gives_the_same_agent():
    assert train("PPO", TESTS + 100, 0.001, 0) == train("PPO", TESTS + 100, 0.001, 0)
