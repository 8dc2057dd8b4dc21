"""Networks that users bring: weights of users, idle users, other states and utilities."""

import json

import numpy as np
import pytest
import scipy.io

import main
from ddlo.bandwidth import JointMUMT
from ddlo.data import ROUNDING, Data
from ddlo.enumeration import enumerate_decisions
from ddlo.network import Network, as_network, check_network, describe_network, one_frame
from main import DDLO, Parameters
from memory import MemoryDNN
from MUMT import MUMT

from .reference import (
    Channel,
    OnlyQ,
    Penalty,
    Profit,
    Weighted,
    channel_states,
    history_of,
    untrained,
)


def frames(number, size=9):
    return np.random.default_rng(0).integers(0, 31, (number, size)).astype(float)


def decisions(number, tasks=9):
    return np.random.default_rng(1).integers(0, 2, (number, tasks))


# Users with their own constants, and idle ones


def test_joint_bandwidth_of_users_with_their_own_weights():
    weights = np.array([1, 2, 4])
    network = JointMUMT(3, 3, delay_weight=weights[:, None], uplink_bandwidth=[[5], [10], [20]])
    d, x = frames(200), decisions(200)
    energy, local, offload = network.energy_and_delays(d, x)
    Q = (energy + weights * np.maximum(local, offload)).sum(axis=-1)
    np.testing.assert_allclose(network.compute_Q(d, x), Q, rtol=1e-12)
    share = network.bandwidth_allocation(d, x) / [5, 10, 20]
    assert share.sum(axis=1).max() < 1 + 1e-12
    # Moving a little bandwidth between two users is never better.
    for i in np.flatnonzero((share > 0.01).sum(axis=1) == 3)[:10]:
        sent = (d[i] * x[i]).reshape(3, 3).sum(axis=1) / [5, 10, 20]
        processing = offload[i] - sent / share[i]
        for one, other in np.ndindex(3, 3):
            moved = share[i] + 1e-3 * (np.arange(3) == one) - 1e-3 * (np.arange(3) == other)
            delay = np.maximum(local[i], processing + sent / moved)
            assert (energy[i] + weights * delay).sum() >= Q[i] * (1 - 1e-12)
    bound, mode = network.lower_bound(d)
    best = network.optimum(d)[0]
    assert (bound <= best).all() and (best <= network.compute_Q(d, mode) * (1 + 1e-12)).all()


@pytest.mark.parametrize("kind", [MUMT, JointMUMT])
def test_task_of_size_0_is_no_task(kind, tmp_path):
    network, d = kind(3, 3), frames(40)
    d[:, [2, 5, 6, 7, 8]] = 0  # two users with two tasks each, and an idle one
    # With an equal split the idle one still has its share.
    others = MUMT(2, 2, uplink_bandwidth=25 / 3) if kind is MUMT else JointMUMT(2, 2)
    rest = d[:, [0, 1, 3, 4]]
    np.testing.assert_allclose(network.optimum(d)[0], others.optimum(rest)[0], rtol=1e-9)
    d[7] = 0
    assert network.compute_Q(d[7], decisions(1)[0]) == 0
    Data.generate(network, states=d).save(tmp_path / "data.mat", network)
    assert Data.load(tmp_path / "data.mat", network).gain_min[7] == 0
    main.run(untrained(tmp_path / "out", data=tmp_path / "data.mat"), network)
    history = history_of(tmp_path / "out")
    assert (history["gain_ratio"][0, history["index"][0] == 7] == 1).all()


# Custom networks


class Late(MUMT, compiled=True):
    """A custom utility: a user who takes longer than a minute pays."""

    penalty = 50

    def user_utility(self, costs, decision, xp=np):
        energy, local, offload = self.user_costs(costs, decision, xp)
        delay = xp.maximum(local, offload)
        return energy + delay + xp.where(delay > 60, float(self.penalty), 0.0)


class LateFrameByFrame(Late):
    """The same, but it does not say that it can be compiled."""


class LateInNumPy(Late, compiled=True):
    """The same, but it cannot be compiled: TensorFlow does not multiply booleans by numbers."""

    def user_utility(self, costs, decision, xp=np):
        energy, local, offload = self.user_costs(costs, decision, xp)
        delay = xp.maximum(local, offload)
        return energy + delay + self.penalty * (delay > 60)


def test_utility_gives_the_same_run_compiled_and_frame_by_frame(tmp_path, capsys):
    data, reports = Data.generate(Late(3, 3), 300), []
    for kind in (Late, LateFrameByFrame, LateInNumPy):
        parameters = Parameters(frames=600, hidden=(), out=tmp_path / "out")
        reports.append(main.run(parameters, kind(3, 3), data))
        shown = capsys.readouterr().err
        assert shown.count("\n") == shown.count("not compiled") == (kind is not Late)
        assert ("LateFrameByFrame(Late, compiled=True)" in shown) == (kind is LateFrameByFrame)
        saved = json.loads((tmp_path / "out" / "parameters.json").read_text())["network"]
        assert saved["class"] == kind.__name__ and saved["penalty"] == 50
    for key in ("mean_gain_ratio", "mean_utility"):
        assert reports[0][key] == reports[1][key] == reports[2][key]


def test_overridden_compute_Q_counts_and_needs_a_utility_for_more(published):
    network, d = Penalty(3, 3), published[0][:50]
    net = MemoryDNN([9, 5, 9], 5, seed=0)
    k, _ = DDLO(net, network).decide(d)
    expected = network.compute_Q(d, net.decode(net.scale(d))).argmin(axis=0)
    np.testing.assert_array_equal(k, expected)
    assert (k != DDLO(net, MUMT(3, 3)).decide(d)[0]).any()
    members = {"compute_Q": Penalty.compute_Q}
    with pytest.raises(TypeError, match="Own needs a utility"):
        type("Own", (MUMT,), members, compiled=True)
    with pytest.raises(TypeError, match="Own needs a utility to be separable"):
        type("Own", (MUMT,), members | {"separable": True})


def test_plain_object_is_a_network_with_defaults():
    own = OnlyQ(2, 3)
    network = as_network(own)
    assert isinstance(network, Network) and isinstance(network, OnlyQ)
    assert network.state_size == 6 and not network.separable and as_network(network) is network
    assert network.energy_and_delays(np.zeros(6), np.zeros(6)) is None
    own.state_size = 8  # later changes count
    assert network.state_size == 8 and not network.has_task_sizes


@pytest.mark.parametrize(
    "network, recombine, message",
    [
        (MUMT(4, 3), False, "12 inputs and 12 outputs"),
        (OnlyQ(3, 3), True, "recombine"),
        (Penalty(3, 3), True, "recombine"),
        (object(), False, "N, M and compute_Q"),
        (MUMT, False, "N, M and compute_Q"),
    ],
)
def test_net_and_network_must_fit(network, recombine, message):
    with pytest.raises(ValueError, match=message):
        DDLO(MemoryDNN([9, 5, 9], 1), network, recombine)


class Attributes(MUMT):
    """Attributes of all kinds: those that are constants are described, and fit into a data set."""

    a_rather_long_name_of_a_constant_that_a_file_cannot_shorten = 3
    words, ragged, nothing, table = "text", [1, [2, 3]], None, {"a": 1}
    several, no_words = (1, 2.5), ""

    def __init__(self, own=1, **constants):
        super().__init__(2, 2, **constants)
        self.own = own * np.eye(2)


def test_constants_are_saved_with_the_data_and_compared(tmp_path):
    network, path = Attributes(delay_weight=[[1], [2]]), tmp_path / "data.mat"
    described = describe_network(network)
    assert described["words"] == "text" and described["several"] == [1, 2.5]
    assert described["own"] == [[1, 0], [0, 1]] and described["edge_cpu_rate"] == 1e10
    assert not {"ragged", "nothing", "table", "separable", "compute_Q"} & described.keys()
    Data.generate(network, 20).save(path, network)
    assert Data.load(path, network).states.shape == (20, 4)
    with pytest.raises(ValueError, match="data.mat: the file must have ") as error:
        Data.load(path, Attributes(2, edge_cost_per_bit=2e-7))
    own = "[[2.0, 0.0], [0.0, 2.0]] as own, got [[1.0, 0.0], [0.0, 1.0]]"
    for found in ("2e-07 as edge_cost_per_bit, got 1.5e-07", "1 as delay_weight", own):
        assert found in str(error.value)
    assert "uplink" not in str(error.value)


def test_state_of_another_size_with_and_without_optima(tmp_path):
    network, state = Channel(), channel_states(300)
    gain_min, _ = enumerate_decisions(network, state)
    parameters = untrained(tmp_path / "out", training_interval=10, frames=700)
    report = main.run(parameters, network, data=(state, gain_min))
    assert report["reference"] == "optimum" and 0.9 < report["mean_gain_ratio"] <= 1
    assert "smallest_local" not in report["rules"]  # the state is no task sizes
    history, net = history_of(tmp_path / "out"), MemoryDNN.load(tmp_path / "out" / "model")
    assert net.net == [6, 20, 3] and history["decision"].shape == (700, 3)
    inputs = net.scale(state[:240])  # those of training
    np.testing.assert_allclose([inputs.min(axis=0), inputs.max(axis=0)], [[-100] * 6, [100] * 6])
    without = main.run(parameters, network, data=(state, None))
    assert "mean_gain_ratio" not in without and without["reference"] is None
    assert without["mean_Q"] == report["mean_utility"]["ddlo"]
    assert {file.name for file in (tmp_path / "out").iterdir()} >= {"Q.png", "history.mat"}
    assert "gain_ratio" not in history_of(tmp_path / "out")
    Data.generate(network, states=state).save(tmp_path / "channel.mat", network)
    np.testing.assert_array_equal(Data.load(tmp_path / "channel.mat", network).gain_min, gain_min)


class Signed(Network, compiled=False):
    """Arithmetic with decisions goes below 0 and beyond 255."""

    N, M, has_task_sizes = 4, 1, False

    def compute_Q(self, state, decision):
        return 2000 + ((300 * decision - 100) * np.asarray(state)).sum(axis=-1)


def test_arithmetic_with_decisions_and_negative_states(tmp_path):
    state = np.random.default_rng(0).uniform(-3, 3, (60, 4))  # like gains in dB
    report = main.run(untrained(tmp_path), Signed(), data=state)
    history = history_of(tmp_path)
    Q = Signed().compute_Q(state[history["index"][0]], history["decision"].astype(int))
    np.testing.assert_allclose(history["Q"][0], Q)
    assert "smallest_local" not in report["rules"]


class WeightedByQ(Weighted):
    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, decision)


@pytest.mark.parametrize("kind", [Weighted, WeightedByQ])
def test_network_with_its_own_scale_and_allowed_decisions(tmp_path, kind):
    network = kind(3, 3)
    data = Data.generate(network, samples=100)
    assert not data.gain_mode[:, :3].any()
    main.run(untrained(tmp_path), network, data)
    history = history_of(tmp_path)
    assert not history["decision"][:, :3].any() and history["decision"][:, 3:].any()
    net = MemoryDNN.load(tmp_path / "model.npz", scale=network.scale)
    inputs = data.states[history["index"][0]] / 10
    np.testing.assert_array_equal(net.memory[1:51, :9], np.float32(inputs))


def test_negative_utilities_are_compared_by_differences(tmp_path, capsys):
    network = Profit(3, 3)
    Data.generate(network, 100).save(tmp_path / "data.mat", network)
    report = main.run(untrained(tmp_path / "out", data=tmp_path / "data.mat"), network)
    history = history_of(tmp_path / "out")
    assert "gain_ratio" not in history and "mean_gain_ratio" not in report
    gain_min = scipy.io.loadmat(tmp_path / "data.mat")["gain_min"][0, history["index"][0]]
    np.testing.assert_array_equal(history["difference"][0], history["Q"][0] - gain_min)
    assert report["mean_difference"] == history["difference"][0, -10:].mean() > 0
    assert "mean difference to the optimum" in capsys.readouterr().out
    assert (tmp_path / "out" / "difference.png").is_file()


@pytest.mark.parametrize("gain_min", [697.14, 0.0, -2.5])
@pytest.mark.parametrize("reference", ["optimum", "lower bound"])
def test_utility_is_below_a_bound_only_by_rounding(gain_min, reference):
    best, error = np.array([gain_min]), abs(gain_min) * ROUNDING
    data, below = Data(np.zeros((1, 1)), best, reference), best - 1.01 * error - 1e-12
    data.compare(best - 0.99 * error, [0])
    with pytest.raises(ValueError, match=f"gain_min must be the {reference}"):
        data.compare(below, [0])
    if gain_min:
        data._replace(reference="my heuristic").compare(below, [0])


# What compute_Q returns


def released(task_size, M):
    """Return Q as the released package does: for one frame, in a loop over its tasks."""
    return sum(d if x else 2.0 * d for d, x in zip(task_size, M))


def shape_of(d, M):
    return np.broadcast_shapes(np.shape(d), np.shape(M))[:-1]


INVALID = {
    "one frame": released,
    "branches": lambda d, M: 1.0 if M[0] == 1 else 2.0,
    "pair": lambda d, M: (np.zeros(shape_of(d, M)), 1),
    "shape": lambda d, M: np.zeros((7, 4)),
    "other frames": lambda d, M: (d * M).sum(axis=-1) + np.sum(d),
    "infinite": lambda d, M: np.full(shape_of(d, M), np.inf),
}


def one_user(compute_Q):
    """Return a network of one user with 4 tasks, as users write one."""
    members = {"N": 1, "M": 4, "compute_Q": lambda self, d, M: compute_Q(d, M)}
    return type("Own", (), members)()


@pytest.mark.parametrize("case", INVALID)
def test_invalid_compute_Q_is_refused(tmp_path, case):
    with pytest.raises(ValueError, match="compute_Q of Own "):
        main.run(untrained(tmp_path / "out"), one_user(INVALID[case]), data=frames(10, 4))
    assert not (tmp_path / "out").exists()


def test_one_frame_adapts_a_function_of_one_frame():
    network = one_user(one_frame(released))
    d, x = frames(3, 4), decisions(6, 4).reshape(2, 3, 4)
    check_network(network, d)
    Q = network.compute_Q(d, x)
    assert Q.shape == (2, 3) and type(network.compute_Q(d[0].tolist(), x[0, 0])) is float
    for c, i in np.ndindex(2, 3):
        assert Q[c, i] == released(d[i], x[c, i])
    with pytest.raises(ValueError):
        one_frame(lambda d, x: (1, 2))(d, x)


class OtherUtility(MUMT):
    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, decision) + 1

    def utility(self, costs, decision, xp=np):
        return super().utility(costs, decision, xp)


class OtherAllowed(MUMT):
    allowed = Weighted.allowed


@pytest.mark.parametrize("kind, name", [(OtherUtility, "utility"), (OtherAllowed, "allowed")])
def test_methods_that_contradict_compute_Q_are_refused(kind, name, published):
    with pytest.raises(ValueError, match=name):
        check_network(kind(3, 3), published[0][:5])


@pytest.mark.parametrize(
    "data, name",
    [
        (np.ones((10, 8)), "states"),
        (np.ones((1, 9)), "states"),
        ((np.full((10, 9), np.nan),), "states"),
        ((np.ones((10, 9)), np.ones(9)), "gain_min"),
        ((np.ones((10, 9)), [np.inf] * 10), "gain_min"),
    ],
)
def test_data_that_are_refused(tmp_path, network, data, name):
    with pytest.raises(ValueError, match=f"^{name} must"):
        main.run(untrained(tmp_path / "out"), network, data=data)
    assert not (tmp_path / "out").exists()
