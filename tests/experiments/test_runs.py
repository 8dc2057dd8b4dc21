"""One run: its parameters and its results."""

import copy
import inspect
from dataclasses import replace

import numpy as np
import pytest
from scipy.io import loadmat

import main
from ddlo.bandwidth import make_network
from ddlo.candidates import Flips, OrderPreserving
from ddlo.data import Data, task_sizes
from ddlo.scale import Scale
from experiments.execution import execute
from experiments.runs import PUBLISHED_SETTING, TaskSizes, released
from experiments.schemes import SCHEMES, Scheme, coordinate_descent, random
from experiments.suite import normalised
from memory import MemoryDNN
from MUMT import MUMT, Constants

from ..conftest import DATA

SHORT = released(frames=600, hidden=(5,), net_num=2)


class Priced:
    """A network whose state has a price of offloading after the task sizes; with compute_Q only."""

    def __init__(self, N, M, factor=1):
        self.N, self.M, self.state_size, self.factor = N, M, N * M + 1, factor

    def compute_Q(self, state, decision):
        state = np.asarray(state, float)
        sizes, price = state[..., :-1], self.factor * state[..., -1:]
        return (sizes * np.where(decision, price, 1)).sum(axis=-1)


def priced_states(network, frames):
    return np.random.RandomState(0).uniform(0.5, 1.5, (1000, network.state_size))


def priced_decision(network, states):
    return np.repeat(network.factor * states[:, -1:] < 1, network.N * network.M, axis=1)


@pytest.fixture(scope="module")
def short():
    return execute(SHORT)


def assert_same(result, other):
    """Assert that two results differ in nothing but the times they took."""
    (metrics, curves), (other_metrics, other_curves) = result, other
    for name in metrics.keys() | other_metrics.keys():
        if "seconds" not in name and not name.startswith("ms_"):
            assert metrics[name] == other_metrics[name], name
    assert curves.keys() == other_curves.keys()
    for name, curve in curves.items():
        np.testing.assert_array_equal(curve, other_curves[name])


def by_hand(run):
    """Return the Q and the least Q of every frame of a run, and its training costs."""
    (_, first), *_ = run.networks
    data = Data(np.asarray(run.states(first, run.frames), float))
    states = data.states[data.time_frames(run.frames)[0]]
    layers = [first.state_size, *run.hidden, first.N * first.M]
    scale = run.scale or Scale.of(data.training)
    net, Q, least = MemoryDNN(layers, run.net_num, seed=run.seed, scale=scale), [], []
    for part, network in run.networks:
        _, x = main.DDLO(net, network).decide_and_learn(states[part])
        Q.append(network.compute_Q(states[part], x))
        least.append(network.optimum(states[part])[0])
    return np.concatenate(Q), np.concatenate(least), np.float32(net.cost_his)


def assert_by_hand(run, result):
    """Assert that the curves of a run are those made by hand; return its metrics and Q."""
    Q, least, costs = by_hand(run)
    np.testing.assert_array_equal(result[1]["gain_ratio"], np.float32(least / Q))
    np.testing.assert_array_equal(result[1]["costs"], costs)
    return result[0], Q


@pytest.mark.slow
def test_a_run_is_the_run_of_main(short, tmp_path):
    few = {"frames": 600, "hidden": (5,), "net_num": 2}
    report = main.run(main.Parameters(data=DATA, out=tmp_path / "out", **few))
    history, (metrics, curves) = loadmat(tmp_path / "out" / "history.mat"), short
    np.testing.assert_array_equal(curves["gain_ratio"], np.float32(history["gain_ratio"][0]))
    np.testing.assert_array_equal(curves["costs"], np.float32(history["costs"]))
    assert curves["costs"].shape == (2, 9) and len(curves["gain_ratio"]) == 600
    for name in ("mean_gain_ratio", "test_frames", "optimal_share", "reference"):
        assert metrics[name] == report[name]
    assert metrics["mean_utility"] == report["mean_utility"]["ddlo"]


def test_metrics_agree_with_the_decisions(short):
    metrics, curves = short
    Q, least, costs = by_hand(SHORT)
    np.testing.assert_array_equal(curves["costs"], costs)
    ratio, test = least / Q, slice(480, None)
    assert metrics["test_frames"] == 120 and metrics["candidates_per_frame"] == 2
    expected = {
        "mean_gain_ratio": ratio[test].mean(),
        "gain_ratio_5th_percentile": np.percentile(ratio[test], 5),
        "optimal_share": np.isclose(ratio[test], 1, rtol=1e-12).mean(),
        "mean_utility": Q[test].mean(),
        "excess": Q[test].mean() / least[test].mean() - 1,
        "last_cost": costs[:, -1:].mean(),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert metrics["fixed_gain_ratio"] < 1 and metrics["loop_seconds"] > 0


@pytest.mark.slow
def test_a_run_is_the_same_whatever_ran_before(short):
    other = {"uplink": 50, "delay_weight": 2, "states": TaskSizes(1, 99), "scale": normalised}
    per_user = ((3e-7,), (5e-7,), (9e-7,))
    runs = [replace(SHORT, seed=1), replace(SHORT, **other, frames=605)]
    runs += [replace(SHORT, local_time_per_bit=per_user)]
    results = {run: execute(run) for run in runs}
    assert_same(execute(SHORT), short)
    for run in reversed(runs):
        assert_same(execute(run), results[run])
        assert_by_hand(run, results[run])


@pytest.mark.slow
@pytest.mark.parametrize("kind, states", [(MUMT, TaskSizes()), (Priced, priced_states)])
def test_later_networks_take_over(kind, states):
    changed = {"delay_weight": 3} if kind is MUMT else {"factor": 2}
    later = ((0.25, kind(2, 1, **changed)), (0.75, kind(2, 1)))[: 1 if kind is MUMT else 2]
    run = replace(SHORT, network=kind(2, 1), later=later, states=states)
    metrics, Q = assert_by_hand(run, execute(run))
    assert metrics["mean_utility"] == Q[480:].mean()


def test_later_networks_need_their_own_samples():
    run = released(network=Priced(2, 1), later=((0.5, Priced(2, 1, 2)),), states=priced_states)
    with pytest.raises(ValueError, match="one per frame"):
        execute(replace(run, frames=2000))


def test_network_with_other_states():
    run = released(network=Priced(2, 2, factor=0.9), states=priced_states, frames=100)
    metrics, curves = execute(replace(run, hidden=(5,)))
    assert 0 < metrics["mean_gain_ratio"] < 1 and curves["costs"].shape == (3, 0)
    metrics, curves = execute(replace(run, scheme=Scheme("price", priced_decision)))
    assert metrics["mean_gain_ratio"] == metrics["optimal_share"] == 1 and curves == {}


def test_network_without_optimum():
    run = released(network=Priced(7, 2), states=priced_states, frames=100, hidden=(5,))
    separable = released(users=1, tasks=25, frames=100, hidden=(5,), training_interval=30000)
    for each in (run, replace(run, scheme=Scheme("price", priced_decision)), separable):
        metrics, curves = execute(each)
        for name in ("mean_gain_ratio", "gain_ratio_5th_percentile", "optimal_share", "excess"):
            assert np.isnan(metrics[name])
        assert metrics["mean_utility"] > 7 and metrics["reference"] is None
        assert np.isnan(metrics.get("fixed_gain_ratio", np.nan))
        assert np.isnan(curves.get("gain_ratio", np.nan)).all()


@pytest.mark.parametrize("bandwidth", ["equal", "optimal"])
def test_schemes(bandwidth):
    size = {"users": 2, "tasks": 1, "uplink": 200, "bandwidth": bandwidth, "delay_weight": 2}
    run = released(scheme=Scheme("descent", coordinate_descent), frames=200, **size)
    metrics, curves = execute(run)
    network, d = make_network(run), task_sizes(range(16000, 16040), 2, 1)
    assert (network.uplink_bandwidth, network.delay_weight) == (25, 2)
    Q, least = network.compute_Q(d, coordinate_descent(network, d)), network.optimum(d)[0]
    assert metrics["mean_utility"] == Q.mean() and metrics["test_frames"] == 40
    assert metrics["mean_gain_ratio"] == pytest.approx((least / Q).mean(), rel=1e-12)
    assert curves == {} and "loop_seconds" not in metrics
    noise = replace(run, scheme=Scheme("noise", random, is_random=True))
    first, again, other = (execute(replace(noise, seed=seed)) for seed in (0, 0, 1))
    assert_same(first, again)
    assert first[0]["mean_utility"] != other[0]["mean_utility"]


def test_released_setting():
    run, signature = released(), inspect.signature(MemoryDNN)
    for name in ("learning_rate", "training_interval", "batch_size", "memory_size", "beta1"):
        assert getattr(run, name) == signature.parameters[name].default
    for name, value in PUBLISHED_SETTING.items():
        assert getattr(run, name) == getattr(main.Parameters(), name) == value
    assert vars(Constants()).items() <= PUBLISHED_SETTING.items()
    assert make_network(run) == MUMT(3, 3)


CHANGES = [
    *({"seed": 1}, {"frames": 51}, {"net_num": 4}, {"hidden": (120,)}, {"learning_rate": 0.02}),
    *({"training_interval": 5}, {"batch_size": 64}, {"memory_size": 512}, {"uplink": 50}),
    *({"delay_weight": 2}, {"delay_weight": ((1,), (1,), (2,))}, {"bandwidth": "optimal"}),
    *({"flips": 1}, {"candidates": Flips(0, 1)}, {"recombine": True}, {"beta1": 0.9}),
    *({"candidates": OrderPreserving(2)}, {"scale": normalised}, {"users": 4}, {"tasks": 4}),
    *({"scheme": SCHEMES["optimum"]}, {"scheme": SCHEMES["random"]}, {"states": TaskSizes(1, 9)}),
    *({"network": MUMT(3, 3)}, {"network": MUMT(3, 2)}, {"later": ((0.5, MUMT(3, 3)),)}),
    *({"network": Priced(2, 1)}, {"network": Priced(2, 1, 2)}, {"network": Priced(1, 2)}),
    *({"candidates": OrderPreserving(3)}, {"candidates": Flips(0, 1).__call__}),
]


def test_runs_are_equal_if_all_that_defines_them_is():
    weights = np.array([[1.0], [2], [3]])
    equal = [
        (released(), released(uplink=100.0, delay_weight=1.0)),
        (released(delay_weight=weights), released(delay_weight=weights.tolist())),
        *((released(**change), released(**copy.deepcopy(change))) for change in CHANGES),
    ]
    for one, other in equal:
        assert one == other and hash(one) == hash(other)
    assert len({one for one, _ in equal}) == len(equal)


def test_functions_without_a_name_are_refused():
    network = Priced(2, 1)
    network.tariff = lambda state: state
    for change in ({"candidates": lambda logits, xp: logits > 0}, {"network": network}):
        with pytest.raises(ValueError, match="top level of a module"):
            hash(released(**change))


def test_the_text_of_a_run_names_what_differs():
    assert str(released(scheme=SCHEMES["optimum"], uplink=50)) == "optimum, seed=0, uplink=50"
    text = str(released(candidates=OrderPreserving(3), hidden=(5,), seed=2))
    assert text == "DDLO, seed=2, hidden=(5,), candidates=OrderPreserving(K=3)"
