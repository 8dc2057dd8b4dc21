"""A network as a Gymnasium environment, alone and vectorized by Gymnasium."""

import warnings
from functools import partial

import numpy as np
import pytest

from MUMT import MUMT

from .reference import Channel, Profit, channel_states

gymnasium = pytest.importorskip("gymnasium")
from ddlo.gym_env import OffloadingEnv


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
    given = tuple(array.copy() for array in few)
    env = OffloadingEnv(network, given)
    for array in given:
        array[:] = 0  # the environment has its own copy
    env.action_space.seed(0)
    for _ in range(2):  # an episode after the other
        with pytest.raises(IndexError):  # outside an episode
            env.step(env.action_space.sample())
        state, _ = env.reset(seed=0)
        for t in range(40):
            np.testing.assert_array_equal(state, few[0][t])
            action = env.action_space.sample()
            state, reward, terminated, truncated, info = env.step(action)
            Q = network.compute_Q(few[0][t], action)
            assert reward == -Q == -info["Q"] and info["gain_ratio"] == few[1][t] / Q
            assert not terminated and truncated == (t == 39)


def test_vectorized_by_gymnasium(network, few):
    d, gain_min = few
    slices = np.split(np.arange(40), 4)
    makers = [partial(OffloadingEnv, network, (d[part], gain_min[part])) for part in slices]
    env = gymnasium.vector.SyncVectorEnv(makers, observation_mode="different")
    env.action_space.seed(0)
    states, _ = env.reset(seed=0)
    for step in range(10):
        frame = 10 * np.arange(4) + step
        np.testing.assert_array_equal(states, d[frame])
        actions = env.action_space.sample()
        states, rewards, _, truncated, info = env.step(actions)
        Q = network.compute_Q(d[frame], actions)
        np.testing.assert_array_equal(rewards, -Q)
        np.testing.assert_array_equal(info["gain_ratio"], gain_min[frame] / Q)
        assert truncated.all() == truncated.any() == (step == 9)


@pytest.mark.parametrize("action", [np.ones(8), [0.5] * 9, ["a"] * 9])
def test_invalid_action_is_refused_and_changes_nothing(network, few, action):
    env = OffloadingEnv(network, few)
    env.reset()
    with pytest.raises(ValueError, match="^action must"):
        env.step(action)
    assert env.step(np.ones(9))[1] == -network.compute_Q(few[0][0], np.ones(9))


def test_info_has_what_there_is_to_compare_with(few):
    (d, _), profit = few, Profit(3, 3)
    for network, arrays, names in [
        (MUMT(3, 3), d, {"Q"}),
        (profit, (d, profit.optimum(d)[0]), {"Q", "difference"}),
    ]:
        env = OffloadingEnv(network, arrays)
        env.reset()
        assert env.step(np.zeros(9))[-1].keys() == names
    env = OffloadingEnv(MUMT(3, 3), (d, np.full(40, 1e4)))
    env.reset()
    with pytest.raises(ValueError, match="gain_min must be the optimum"):
        env.step(np.ones(9))
