"""A network as a Gymnasium environment, alone and vectorised."""

import warnings

import numpy as np
import pytest

from MUMT import MUMT

from .reference import Channel, Profit, channel_states

gymnasium = pytest.importorskip("gymnasium")
from ddlo.gym_env import OffloadingEnv, OffloadingVectorEnv


@pytest.fixture
def few(published):
    return published[0][:40], published[1][:40]


def test_environment_passes_gymnasiums_own_checks(network, few):
    from gymnasium.utils.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(spec|different render modes)")
        check_env(OffloadingEnv(network, few), skip_render_check=True)
    env = OffloadingEnv(Channel(), channel_states(30))
    assert env.observation_space.shape == (6,) and env.action_space.n == 3
    check_env(env, skip_render_check=True)


def test_random_policy_by_hand(network, few):
    env = OffloadingEnv(network, few)
    env.action_space.seed(0)
    for _ in range(2):  # an episode after the other
        state, _ = env.reset(seed=0)
        for t in range(40):
            np.testing.assert_array_equal(state, few[0][t])
            action = env.action_space.sample()
            state, reward, terminated, truncated, info = env.step(action)
            Q = network.compute_Q(few[0][t], action)
            assert reward == -Q == -info["Q"] and info["gain_ratio"] == few[1][t] / Q
            assert not terminated and truncated == (t == 39)


def test_vectorised_environment_gives_what_single_ones_give(network, few):
    env = OffloadingVectorEnv(network, few, num_envs=5)
    env.action_space.seed(0)
    states, _ = env.reset(seed=0)
    for step in range(90):
        frame = (np.arange(5) * 8 + step) % 40
        np.testing.assert_array_equal(states, few[0][frame])
        actions = env.action_space.sample()
        assert env.observation_space.contains(states)
        states, rewards, terminated, truncated, info = env.step(actions)
        Q = network.compute_Q(few[0][frame], actions)
        np.testing.assert_array_equal(rewards, -Q)
        np.testing.assert_array_equal(info["gain_ratio"], few[1][frame] / Q)
        assert not terminated.any() and truncated.all() == (step % 40 == 39) == truncated.any()
        assert ("final_obs" in info) == truncated.any()


def test_wrappers_of_vectorised_environments_work(network, few):
    from gymnasium.wrappers.vector import RecordEpisodeStatistics

    env = RecordEpisodeStatistics(OffloadingVectorEnv(network, few, num_envs=2))
    env.reset(seed=0)
    for _ in range(40):
        info = env.step(np.ones((2, 9), np.int8))[-1]
    total = -network.compute_Q(few[0], np.ones(9)).sum()
    np.testing.assert_allclose(info["episode"]["r"], [total, total], rtol=1e-5)


def test_info_has_what_there_is_to_compare_with(few):
    d, _ = few
    profit = Profit(3, 3)
    for network, arrays, names in [
        (MUMT(3, 3), d, {"Q"}),
        (profit, (d, profit.optimum(d)[0]), {"Q", "difference"}),
    ]:
        env = OffloadingEnv(network, arrays)
        env.reset()
        assert env.step(np.zeros(9))[-1].keys() == names
    with pytest.raises(ValueError, match="states must have shape"):
        OffloadingEnv(profit, d[:, :6])
    env = OffloadingEnv(MUMT(3, 3), (d, np.full(40, 1e4)))
    env.reset()
    with pytest.raises(ValueError, match="gain_min must be the optimum"):
        env.step(np.ones(9))
