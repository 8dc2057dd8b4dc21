"""System models that users bring: constants of users and tasks, idle users, states, utilities."""

import json

import numpy as np
import pytest
import scipy.io

import main
from ddlo.bandwidth import JointMUMT
from ddlo.candidates import OrderPreserving
from ddlo.data import ROUNDING, Data
from ddlo.enumeration import enumerate_decisions
from ddlo.loop import compile_loop
from ddlo.network import Network, as_network, check_network, describe_network, one_frame
from main import DDLO, Parameters
from memory import MemoryDNN
from MUMT import MUMT, SYMBOLS

from .reference import (
    Channel,
    OnlyQ,
    Penalty,
    Profit,
    assert_same_arrays,
    channel_states,
    history_of,
    untrained,
    utility_of,
)

WEIGHTS = [[1], [2], [4]]  # of users


def frames(number, size=9, seed=0):
    return np.random.default_rng(seed).integers(0, 31, (number, size)).astype(float)


def decisions(number, tasks=9, seed=1):
    return np.random.default_rng(seed).integers(0, 2, (number, tasks))


# Constants per user or task


@pytest.mark.parametrize("kind", [MUMT, JointMUMT])
def test_array_of_equal_constants_is_the_constant(kind):
    d, x = frames(10), decisions(10)
    for name in sorted(set(SYMBOLS.values())):
        value = 2 * getattr(MUMT(1, 1), name)
        network = kind(3, 3, **{name: value})
        for shape in ((3, 1), (1, 3), (3, 3))[: 1 if name == "uplink_bandwidth" else 3]:
            other = kind(3, 3, **{name: np.full(shape, value)})
            for each in ("compute_Q", "bandwidth_allocation"):
                found, expected = (getattr(model, each)(d, x) for model in (other, network))
                np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(other.optimum(d)[0], network.optimum(d)[0])


@pytest.mark.parametrize("name", sorted({*SYMBOLS.values()} - {"uplink_bandwidth"}))
def test_user_constants_equal_one_network_per_user(name):
    values = getattr(MUMT(1, 1), name) * np.array([1.0, 2, 4])
    network, d, x = MUMT(3, 2, **{name: values[:, None]}), frames(20, 6), decisions(20, 6)
    Q = 0
    for n, value in enumerate(values):
        user = slice(2 * n, 2 * n + 2)
        alone = MUMT(1, 2, uplink_bandwidth=12.5 / 3, **{name: value})
        Q = Q + alone.compute_Q(d[:, user], x[:, user])
    np.testing.assert_allclose(network.compute_Q(d, x), Q, rtol=1e-12)
    np.testing.assert_array_equal(network.optimum(d)[0], enumerate_decisions(network, d)[0])


@pytest.mark.parametrize("kind", [MUMT, JointMUMT])
def test_constants_of_users_in_compiled_code_and_recombined(kind, published):
    network = kind(3, 3, delay_weight=WEIGHTS, local_time_per_bit=np.full((3, 3), 4e-7))
    nets = [MemoryDNN([9, 9], 3, seed=0, training_interval=50) for _ in range(2)]
    loop = compile_loop(DDLO(nets[0], network, recombine=True))
    plain = DDLO(nets[1], network, recombine=True).decide_and_learn
    assert_same_arrays(loop(published[0][:700]), plain(published[0][:700]))
    assert nets[0].cost_his == nets[1].cost_his and nets[0].cost_his[0]


def test_joint_bandwidth_of_users_with_their_own_weights():
    network = JointMUMT(3, 3, delay_weight=WEIGHTS, uplink_bandwidth=[[5], [10], [20]])
    d, x = frames(200), decisions(200)
    energy, local, offload = network.energy_and_delays(d, x)
    Q = (energy + np.ravel(WEIGHTS) * np.maximum(local, offload)).sum(axis=-1)
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
            assert (energy[i] + np.ravel(WEIGHTS) * delay).sum() >= Q[i] * (1 - 1e-12)
    bound, mode = network.lower_bound(d)
    best = network.optimum(d)[0]
    assert (bound <= best).all() and (best <= network.compute_Q(d, mode) * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    "kind, name, value",
    [
        (MUMT, "delay_weight", [[1, 2, -1]]),
        (MUMT, "uplink_bandwidth", np.ones((3, 3))),
        (JointMUMT, "delay_weight", [[1], [0], [1]]),
    ],
)
def test_constants_that_are_refused(kind, name, value):
    network = kind(3, 3)
    for call in (lambda: kind(3, 3, **{name: value}), lambda: setattr(network, name, value)):
        with pytest.raises(ValueError, match=name):
            call()
    assert network == kind(3, 3)  # as before


@pytest.mark.parametrize("released, name", SYMBOLS.items())
def test_constants_can_be_set_by_both_names(released, name):
    value, default = 3 * getattr(MUMT(1, 1), name), MUMT(2, 2)
    for each in (released, name):
        network = MUMT(2, 2)
        setattr(network, each, value)
        assert getattr(network, released) == getattr(network, name) == value
        assert network == MUMT(2, 2, **{each: value}) != default
        assert (network.optimum(frames(5, 4))[0] != default.optimum(frames(5, 4))[0]).any()
        with pytest.raises(ValueError, match=f"{name} .* got -1"):
            setattr(network, each, -1)
    with pytest.raises(AttributeError, match="N of a network"):
        default.N = 3


# Idle users


@pytest.mark.parametrize("kind", [MUMT, JointMUMT])
def test_task_of_size_0_is_no_task(kind, tmp_path):
    network, d = kind(3, 3), frames(40)
    d[:, [2, 5, 6, 7, 8]] = 0  # two users with two tasks each, and an idle one
    if kind is MUMT:
        others = MUMT(2, 2, uplink_bandwidth=25 / 3)  # the idle one still has its share
    else:
        others = JointMUMT(2, 2)
    rest = d[:, [0, 1, 3, 4]]
    np.testing.assert_allclose(network.optimum(d)[0], others.optimum(rest)[0], rtol=1e-9)
    d[7] = 0
    assert network.compute_Q(d[7], decisions(1)[0]) == 0
    Data.generate(network, states=d).save(tmp_path / "data.mat", network)
    assert Data.load(tmp_path / "data.mat", network).gain_min[7] == 0
    main.run(untrained(tmp_path / "out", data=tmp_path / "data.mat"), network)
    history = history_of(tmp_path / "out")
    assert (history["gain_ratio"][0, history["index"][0] == 7] == 1).all()
    assert history["gain_ratio"].max() <= 1


# Custom networks


class Late(MUMT, compiled=True):
    """A custom utility inside MUMT: a user who takes longer than a minute pays."""

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
        assert shown.count("\n") == shown.count("frame by frame") == (kind is not Late)
        assert ("LateFrameByFrame(Late, compiled=True)" in shown) == (kind is LateFrameByFrame)
        saved = json.loads((tmp_path / "out" / "parameters.json").read_text())["network"]
        assert saved["class"] == kind.__name__ and saved["penalty"] == 50
    for key in ("mean_gain_ratio", "mean_utility"):
        assert reports[0][key] == reports[1][key] == reports[2][key]


def test_overridden_compute_Q_counts_and_cannot_be_compiled(published):
    network, d = Penalty(3, 3), published[0][:50]
    net = MemoryDNN([9, 5, 9], 5, seed=0)
    k, _ = DDLO(net, network).decide(d)
    expected = network.compute_Q(d, net.decode(net.scale(d))).argmin(axis=0)
    np.testing.assert_array_equal(k, expected)
    assert (k != DDLO(net, MUMT(3, 3)).decide(d)[0]).any()
    with pytest.raises(TypeError, match="Own needs a utility"):
        type("Own", (MUMT,), {"compute_Q": Penalty.compute_Q}, compiled=True)


def test_plain_object_is_a_network_with_defaults():
    own = OnlyQ(2, 3)
    network = as_network(own)
    assert isinstance(network, Network) and isinstance(network, OnlyQ)
    assert network.state_size == 6 and network.scale is None and not network.separable
    assert type(network).__name__ == "OnlyQ" and as_network(network) is network
    assert network.energy_and_delays(np.zeros(6), np.zeros(6)) is None
    own.state_size = 8  # later changes count
    assert network.state_size == 8 and not network.has_task_sizes


@pytest.mark.parametrize(
    "network, recombine, message",
    [
        (MUMT(4, 3), False, "12 inputs and 12 outputs"),
        (OnlyQ(3, 3), True, "recombine"),
        (Penalty(3, 3), True, "recombine"),
        (object(), False, "N and M"),
        (MUMT, False, "the class MUMT"),
    ],
)
def test_net_and_network_must_fit(network, recombine, message):
    with pytest.raises(ValueError, match=message):
        DDLO(MemoryDNN([9, 5, 9], 1), network, recombine)


class Attributes(MUMT):
    """Attributes of all kinds: those that are constants are described, and fit into a data set."""

    a_rather_long_name_of_a_constant_that_a_file_cannot_shorten = 3
    words, ragged, nothing, table = "text", [1, [2, 3]], None, {"a": 1}
    several = (1, 2.5)

    def __init__(self, own=1, **constants):
        super().__init__(2, 2, **constants)
        self.own = own * np.eye(2)


def test_constants_are_saved_with_the_data_and_compared(tmp_path):
    network, path = Attributes(delay_weight=[[1], [2]]), tmp_path / "data.mat"
    described = describe_network(network)
    assert described["a_rather_long_name_of_a_constant_that_a_file_cannot_shorten"] == 3
    assert described["words"] == "text" and described["several"] == [1, 2.5]
    assert described["own"] == [[1, 0], [0, 1]] and described["edge_cpu_rate"] == 1e10
    assert not {"ragged", "nothing", "table", "separable", "compute_Q"} & described.keys()
    Data.generate(network, 20).save(path, network)
    assert Data.load(path, network).states.shape == (20, 4)
    with pytest.raises(ValueError, match="network") as error:
        Data.load(path, Attributes(2, edge_cost_per_bit=2e-7))
    for found in (
        "own is [[1.0, 0.0], [0.0, 1.0]] in the file",
        "edge_cost_per_bit is 1.5e-07 in the file, 2e-07 in this run",
        "delay_weight is [1.0, 2.0] in the file, 1 in this run",
    ):
        assert found in str(error.value)
    assert "uplink" not in str(error.value)


def test_state_of_another_size_with_and_without_optima(tmp_path, capsys):
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
    assert "mean utility" in capsys.readouterr().out
    Data.generate(network, states=state).save(tmp_path / "channel.mat", network)
    np.testing.assert_array_equal(Data.load(tmp_path / "channel.mat", network).gain_min, gain_min)
    with pytest.raises(ValueError, match="states of Channel"):
        Data.generate(network, 20)


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


def test_utility_added_by_a_subclass_counts(published):
    class OnlyCompute(Network):
        N, M = 3, 3

        def compute_Q(self, state, decision):
            return (np.asarray(state) * (1 + np.asarray(decision))).sum(axis=-1)

    class Both(OnlyCompute, compiled=True):
        def utility(self, costs, decision, xp=np):  # costs: by default the states
            return xp.sum(costs[0] * (1 + decision), axis=-1)

    check_network(Both(), published[0])
    nets = [MemoryDNN([9, 9], 2, seed=0, training_interval=50) for _ in range(2)]
    loop = compile_loop(DDLO(nets[0], Both()))
    plain = DDLO(nets[1], OnlyCompute()).decide_and_learn
    assert_same_arrays(loop(published[0][:700]), plain(published[0][:700]))
    with pytest.raises(TypeError, match="needs a utility to be separable"):
        type("Own", (OnlyCompute,), {"separable": True, "compute_Q": OnlyCompute.compute_Q})


class NoLicence(MUMT, compiled=True):
    """User 1 may not offload, and says so; the DNNs' inputs are task sizes / 10."""

    @staticmethod
    def scale(task_size):
        return task_size / 10

    def allowed(self, costs, decision, xp=np):
        return decision * np.repeat([0, 1], [self.M, (self.N - 1) * self.M]).astype(decision.dtype)

    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, self.allowed(None, np.asarray(decision)))

    def utility(self, costs, decision, xp=np):
        return super().utility(costs, self.allowed(costs, decision, xp), xp)


def test_network_with_its_own_scale_and_allowed_decisions(tmp_path):
    network, histories = NoLicence(3, 3), []
    data = Data.generate(network, samples=100)
    assert not data.gain_mode[:, :3].any()
    for algorithm in (DDLO, FrameByFrame):
        main.run(Parameters(frames=600, hidden=(), out=tmp_path), network, data, None, algorithm)
        histories.append(history_of(tmp_path))
    assert_same_arrays(*histories)
    decision = histories[0]["decision"]
    assert not decision[:, :3].any() and decision[:, 3:].any()
    net = MemoryDNN.load(tmp_path / "model.npz", scale=network.scale)
    last = data.states[histories[0]["index"][0, -1]]
    np.testing.assert_array_equal(net.memory[600, :9], np.float32(last / 10))


class FrameByFrame(DDLO):
    """Not compiled, as it overrides a method."""

    def decide_and_learn(self, task_size):
        return super().decide_and_learn(task_size)


def test_candidate_rule_and_subclass_for_a_run(tmp_path):
    asked = []

    class Counted(DDLO):
        def decide(self, task_size):
            asked.append(len(task_size))
            return super().decide(task_size)

    rule = OrderPreserving(4)
    main.run(untrained(tmp_path, net_num=1), candidates=rule, algorithm=Counted)
    assert sum(asked) == 50
    assert MemoryDNN.load(tmp_path / "model.npz").candidates == rule
    assert history_of(tmp_path)["chosen"].max() > 0


def test_negative_utilities_are_compared_by_differences(tmp_path, capsys):
    network = Profit(3, 3)
    Data.generate(network, 100).save(tmp_path / "data.mat", network)
    report = main.run(untrained(tmp_path / "out", data=tmp_path / "data.mat"), network)
    history = history_of(tmp_path / "out")
    assert "gain_ratio" not in history and "mean_gain_ratio" not in report
    gain_min = scipy.io.loadmat(tmp_path / "data.mat")["gain_min"][0, history["index"][0]]
    np.testing.assert_array_equal(history["difference"][0], history["Q"][0] - gain_min)
    assert report["mean_difference"] == history["difference"][0, -10:].mean() > 0
    printed = capsys.readouterr().out
    assert "mean difference to the optimum" in printed and "non-negative" in printed
    assert (tmp_path / "out" / "difference.png").is_file()


@pytest.mark.parametrize("gain_min", [697.14, 0.0, -2.5])
def test_utility_is_below_the_optimum_only_by_rounding(gain_min):
    best, error = np.array([gain_min]), abs(gain_min) * ROUNDING
    data = Data(np.zeros((1, 1)), best, "optimum")
    data.compare(best - 0.99 * error, [0])
    with pytest.raises(ValueError, match="gain_min must be the optimum"):
        data.compare(best - 1.01 * error - 1e-12, [0])


@pytest.mark.parametrize("reference", ["optimum", "lower bound"])
def test_utility_below_a_bound_is_an_error(tmp_path, network, reference):
    d = frames(100)
    gain_min = 1.1 * network.optimum(d)[0]
    with pytest.raises(ValueError, match=f"gain_min must be the {reference}"):
        main.run(untrained(tmp_path / "out"), network, data=(d, gain_min, reference))
    report = main.run(untrained(tmp_path / "out"), network, data=(d, gain_min, "my heuristic"))
    assert report["reference"] == "my heuristic" and report["optimal_share"] is None


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


def one_user(compute_Q, **members):
    """Return a network of one user with 4 tasks, as users write one."""
    members = {"N": 1, "M": 4, "compute_Q": lambda self, d, M: compute_Q(d, M)} | members
    return type("Own", (), members)()


@pytest.mark.parametrize("case", INVALID)
def test_invalid_compute_Q_is_refused(tmp_path, case):
    network = one_user(INVALID[case])
    for call in (
        lambda: Data.generate(network, 10),
        lambda: main.run(untrained(tmp_path / "out"), network, data=frames(10, 4)),
    ):
        with pytest.raises(ValueError, match="compute_Q of Own ") as error:
            call()
        assert case == "infinite" or "ddlo.network.one_frame" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_one_frame_adapts_a_function_of_one_frame():
    network = one_user(one_frame(released))
    d, x = frames(3, 4), decisions(6, 4).reshape(2, 3, 4)
    check_network(network, d)
    Q = network.compute_Q(d, x)
    assert Q.shape == (2, 3) and type(network.compute_Q(d[0].tolist(), x[0, 0])) is float
    for c, i in np.ndindex(2, 3):
        assert Q[c, i] == released(d[i], x[c, i])
    assert Data.generate(network, 20).gain_min.shape == (20,)
    with pytest.raises(ValueError, match="a number .* got a tuple"):
        one_frame(lambda d, x: (1, 2))(d, x)


def first_three_local(self, costs, decision, xp=np):
    return decision * np.repeat([0, 1], [3, 6])


class OtherUtility(MUMT):
    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, decision) + 1

    def utility(self, costs, decision, xp=np):
        return super().utility(costs, decision, xp)


class OtherAllowed(MUMT):
    allowed = first_three_local


@pytest.mark.parametrize("kind, name", [(OtherUtility, "utility"), (OtherAllowed, "allowed")])
def test_methods_that_contradict_compute_Q_are_refused(kind, name, published):
    with pytest.raises(ValueError, match=name):
        check_network(kind(3, 3), published[0][:5])


def test_allowed_counts_for_networks_with_compute_Q_only(published):
    class Own(MUMT):
        allowed = first_three_local

        def compute_Q(self, task_size, decision):
            return super().compute_Q(task_size, self.allowed(None, np.asarray(decision)))

    net = MemoryDNN([9, 5, 9], 2, seed=0)
    assert not DDLO(net, Own(3, 3)).decide(published[0][:5])[1][:, :3].any()


@pytest.mark.parametrize(
    "data, name",
    [
        (np.ones((10, 8)), "states"),
        (np.ones((1, 9)), "states"),
        ((np.full((10, 9), np.nan),), "states"),
        ((np.ones((10, 9)), np.ones(9)), "gain_min"),
        ((np.ones((10, 9)), [np.inf] * 10), "gain_min"),
        ((1, 2, 3, 4, 5), "data"),
    ],
)
def test_data_that_are_refused(tmp_path, network, data, name):
    with pytest.raises(ValueError, match=f"^{name} must"):
        main.run(untrained(tmp_path / "out"), network, data=data)
    assert not (tmp_path / "out").exists()


def test_energy_and_delays_by_hand():
    network, d, x = MUMT(2, 2, delay_weight=3), [10, 20, 30, 0], [1, 0, 1, 1]
    energy, local, offload = network.energy_and_delays(d, x)
    bits, sent = 8 * 2**20, np.array([10, 30])
    np.testing.assert_allclose(local, [20 * bits * 4.75e-7, 0])
    np.testing.assert_allclose(offload, sent / 6.25 + sent * bits * 1.9e-7)
    np.testing.assert_allclose(energy, [bits * (10 * 2.92e-7 + 20 * 3.25e-7), bits * 30 * 2.92e-7])
    assert network.compute_Q(d, x) == pytest.approx(utility_of(network, d, x, [6.25, 6.25]))
