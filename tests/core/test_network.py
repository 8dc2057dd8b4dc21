"""System models that users bring: constants of users and tasks, idle users, states, utilities."""

import json

import numpy as np
import pytest
import scipy.io

import main
from ddlo.bandwidth import JointMUMT
from ddlo.candidates import OrderPreserving
from ddlo.data import Data, precision
from ddlo.enumeration import enumerate_decisions
from ddlo.loop import compile_loop
from ddlo.network import Network, as_network, check_network, describe_network, one_frame
from main import DDLO, Parameters
from memory import MemoryDNN
from MUMT import MUMT, SYMBOLS

from .reference import OnlyQ, Penalty, utility_of
from .test_main import history_of, untrained

WEIGHTS = [[1], [2], [4]]  # of users


def frames(number, size=9, seed=0):
    return np.random.default_rng(seed).integers(0, 31, (number, size)).astype(float)


def decisions(number, tasks=9, seed=1):
    return np.random.default_rng(seed).integers(0, 2, (number, tasks))


# Constants per user or task


@pytest.mark.parametrize("name", sorted(set(SYMBOLS.values())))
@pytest.mark.parametrize("kind", [MUMT, JointMUMT])
def test_array_of_equal_constants_is_the_constant(name, kind):
    value = 2 * getattr(MUMT(1, 1), name)
    network, d, x = kind(3, 3, **{name: value}), frames(20), decisions(20)
    for shape in ((3, 1), (1, 3), (3, 3)):
        if name == "uplink_bandwidth" and shape[1] > 1:
            continue
        other = kind(3, 3, **{name: np.full(shape, value)})
        np.testing.assert_array_equal(other.compute_Q(d, x), network.compute_Q(d, x))
        np.testing.assert_array_equal(other.optimum(d)[0], network.optimum(d)[0])
        np.testing.assert_array_equal(
            other.bandwidth_allocation(d, x), network.bandwidth_allocation(d, x)
        )


@pytest.mark.parametrize("name", sorted({*SYMBOLS.values()} - {"uplink_bandwidth"}))
def test_constants_of_users_are_those_of_a_network_of_each(name):
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
    for ours, theirs in zip(loop(published[0][:700]), plain(published[0][:700])):
        np.testing.assert_array_equal(ours, theirs)
    assert nets[0].cost_his == nets[1].cost_his and nets[0].cost_his[0]


def test_joint_bandwidth_of_users_with_their_own_weights():
    network = JointMUMT(3, 3, delay_weight=WEIGHTS, uplink_bandwidth=[[5], [10], [20]])
    d, x = frames(200), decisions(200)
    energy, local, offload = network.energy_and_delays(d, x)
    Q = (energy + np.ravel(WEIGHTS) * np.maximum(local, offload)).sum(axis=-1)
    np.testing.assert_allclose(network.compute_Q(d, x), Q, rtol=1e-12)
    share = network.bandwidth_allocation(d, x) / [5, 10, 20]
    assert share.sum(axis=1).max() < 1 + 1e-12
    # No other shares are better: a bit of one user's given to another one.
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
    "kind, constants, message",
    [
        (MUMT, {"delay_weight": [1, 2, 3]}, r"\(3, 1\) for users, \(1, 3\) for tasks"),
        (MUMT, {"delay_weight": [[1, 2, -1]]}, "delay_weight must be finite numbers >= 0, got -1"),
        (MUMT, {"edge_cpu_rate": [[1], [0], [1]]}, "edge_cpu_rate must be finite numbers > 0"),
        (MUMT, {"uplink_bandwidth": np.ones((3, 3))}, r"uplink_bandwidth .* shape \(3, 1\)"),
        (JointMUMT, {"delay_weight": [[1], [0], [1]]}, "positive for every user, or 0 for all"),
    ],
)
def test_constants_that_are_refused(kind, constants, message):
    with pytest.raises(ValueError, match=message):
        kind(3, 3, **constants)
    network = kind(3, 3)
    for name, value in constants.items():
        with pytest.raises(ValueError, match=message):
            setattr(network, name, value)
    assert network == kind(3, 3)  # as before


@pytest.mark.parametrize("released, name", SYMBOLS.items())
def test_constants_can_be_set_by_both_names(released, name):
    value = 3 * getattr(MUMT(1, 1), name)
    networks = [MUMT(2, 2) for _ in range(3)]
    setattr(networks[0], released, value)
    setattr(networks[1], name, value)
    for network in networks[:2]:
        assert getattr(network, released) == getattr(network, name) == value
        assert network == MUMT(2, 2, **{name: value}) == MUMT(2, 2, **{released: value})
        assert network != networks[2]
        assert (network.optimum(frames(5, 4))[0] != networks[2].optimum(frames(5, 4))[0]).any()
        with pytest.raises(ValueError, match=f"{name} must be .* got -1"):
            setattr(network, released, -1)
        with pytest.raises(AttributeError, match="N of a network is fixed"):
            network.N = 3


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
        parameters = Parameters(frames=700, hidden=(), out=tmp_path / "out")
        reports.append(main.run(parameters, kind(3, 3), data))
        shown = capsys.readouterr().err
        assert shown.count("\n") == (kind is not Late) and ("frame by frame" in shown) == bool(
            shown
        )
        assert ("LateFrameByFrame(Late, compiled=True)" in shown) == (kind is LateFrameByFrame)
        saved = json.loads((tmp_path / "out" / "parameters.json").read_text())["network"]
        assert saved["class"] == kind.__name__ and saved["penalty"] == 50
    for report in reports[1:]:
        assert report["mean_gain_ratio"] == reports[0]["mean_gain_ratio"]
        assert report["mean_utility"] == reports[0]["mean_utility"]


def test_overridden_compute_Q_counts_and_cannot_be_compiled(published):
    network, d = Penalty(3, 3), published[0][:50]
    net = MemoryDNN([9, 5, 9], 5, seed=0)
    k, _ = DDLO(net, network).decide(d)
    expected = network.compute_Q(d, net.decode(net.scale(d))).argmin(axis=0)
    np.testing.assert_array_equal(k, expected)
    assert (k != DDLO(net, MUMT(3, 3)).decide(d)[0]).any()
    with pytest.raises(TypeError, match="Own needs a utility"):
        type("Own", (MUMT,), {"compute_Q": Penalty.compute_Q}, compiled=True)


def test_utility_that_is_not_compute_Q_is_refused(published):
    class Other(MUMT):
        def compute_Q(self, task_size, decision):
            return super().compute_Q(task_size, decision) + 1

        def utility(self, costs, decision, xp=np):
            return super().utility(costs, decision, xp) + np.asarray(decision)[..., 0]

    with pytest.raises(ValueError, match="utility of Other must return what compute_Q does"):
        check_network(Other(3, 3), published[0][:5])


def test_plain_object_is_a_network_with_defaults():
    network = as_network(OnlyQ(2, 3))
    assert isinstance(network, Network) and isinstance(network, OnlyQ)
    assert network.state_size == 6 and network.scale is None and not network.separable
    assert type(network).__name__ == "OnlyQ" and as_network(network) is network
    assert network.energy_and_delays(np.zeros(6), np.zeros(6)) is None

    class Fading(OnlyQ):
        def __init__(self):
            super().__init__(2, 3)
            self.state_size = 8

    own = Fading()
    assert as_network(own).state_size == 8 and not as_network(own).has_task_sizes
    network = as_network(own)
    own.bandwidth = 3
    assert network.bandwidth == 3  # later changes count


def test_net_and_network_must_fit():
    with pytest.raises(ValueError, match="12 inputs and 12 outputs, .* got 9 and 9"):
        DDLO(MemoryDNN([9, 5, 9], 1), MUMT(4, 3))
    for network in (OnlyQ(3, 3), Penalty(3, 3)):
        with pytest.raises(ValueError, match="recombine needs .* got"):
            DDLO(MemoryDNN([9, 5, 9], 1), network, recombine=True)
    for thing, found in ((object(), "object without N and M"), (MUMT, "the class MUMT")):
        with pytest.raises(ValueError, match=f"network must have .* got {found}"):
            DDLO(MemoryDNN([9, 5, 9], 1), thing)


def test_constants_of_a_data_set_are_compared(tmp_path):
    network = MUMT(2, 2, delay_weight=[[1], [2]])
    Data.generate(network, 20).save(tmp_path / "data.mat", network)
    assert Data.load(tmp_path / "data.mat", network).reference == "optimum"
    other = MUMT(2, 2, edge_cost_per_bit=2e-7)
    with pytest.raises(ValueError) as error:
        Data.load(tmp_path / "data.mat", other)
    message = str(error.value)
    assert "edge_cost_per_bit is 1.5e-07 in the file, 2e-07 in this run" in message
    assert "delay_weight is [1.0, 2.0] in the file, 1 in this run" in message
    assert "uplink" not in message
    assert "Constants" not in describe_network(other) and describe_network(other)["N"] == 2


class Attributes(MUMT):
    """Attributes of all kinds: those that are constants are described, and fit into a data set."""

    a_rather_long_name_of_a_constant_of_ours = 3
    words, ragged, nothing, table = "text", [1, [2, 3]], None, {"a": 1}
    several = (1, 2.5)

    def __init__(self):
        super().__init__(2, 2)
        self.own = np.eye(2)


def test_attributes_that_are_constants(tmp_path):
    described = describe_network(Attributes())
    assert described["a_rather_long_name_of_a_constant_of_ours"] == 3
    assert described["words"] == "text" and described["several"] == [1, 2.5]
    assert described["own"] == [[1, 0], [0, 1]] and described["delay_weight"] == 1
    assert not {"ragged", "nothing", "table", "separable", "compute_Q"} & described.keys()
    Data.generate(Attributes(), 20).save(tmp_path / "data.mat", Attributes())
    assert Data.load(tmp_path / "data.mat", Attributes()).states.shape == (20, 4)
    other = Attributes()
    other.own = 2 * np.eye(2)
    with pytest.raises(ValueError, match=r"own is \[\[1.0, 0.0\], \[0.0, 1.0\]\] in the file"):
        Data.load(tmp_path / "data.mat", other)


class Channel:
    """A state that is more than task sizes: a channel gain of every user, then the size of its task."""

    N, M, state_size = 3, 1, 6

    def compute_Q(self, state, decision):
        gain, size = np.split(np.asarray(state, float), 2, axis=-1)
        rate = 10 * np.log2(1 + 1e6 * gain)
        return np.where(np.asarray(decision) == 1, size / rate, size / 9).sum(axis=-1)


def channel_states(number, seed=0):
    random = np.random.default_rng(seed)
    return np.hstack([random.exponential(1e-6, (number, 3)), random.uniform(5, 50, (number, 3))])


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
    without = [main.run(parameters, network, data=data) for data in (state, (state, None))]
    assert "mean_gain_ratio" not in without[0] and without[0]["reference"] is None
    assert without[0]["mean_Q"] == without[1]["mean_Q"] == report["mean_utility"]["ddlo"]
    assert {file.name for file in (tmp_path / "out").iterdir()} >= {"Q.png", "history.mat"}
    assert "gain_ratio" not in history_of(tmp_path / "out")
    assert "mean utility" in capsys.readouterr().out
    # In a file as well.
    Data.generate(network, states=state).save(tmp_path / "channel.mat", network)
    np.testing.assert_array_equal(Data.load(tmp_path / "channel.mat", network).gain_min, gain_min)
    with pytest.raises(ValueError, match="states of Channel are not task sizes"):
        Data.generate(network, 20)


class Signed(Network, compiled=False):
    """Arithmetic with decisions goes below 0 and beyond 255."""

    N, M, has_task_sizes = 4, 1, False

    def compute_Q(self, state, decision):
        return 2000 + ((300 * decision - 100) * np.asarray(state)).sum(axis=-1)


def test_utility_may_compute_with_decisions_and_states_below_zero(tmp_path):
    state = np.random.default_rng(0).uniform(-3, 3, (60, 4))  # as gains in dB
    report = main.run(untrained(tmp_path), Signed(), data=state)
    history = history_of(tmp_path)
    x = history["decision"].astype(int)
    Q = Signed().compute_Q(state[history["index"][0]], x)
    np.testing.assert_allclose(history["Q"][0], Q)
    assert "smallest_local" not in report["rules"]
    plain = type("Plain", (), {"N": 4, "M": 1, "compute_Q": Signed.compute_Q})
    assert main.run(untrained(tmp_path), plain(), data=state)["mean_Q"] == report["mean_Q"]


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
    for compiled, other in zip(loop(published[0][:700]), plain(published[0][:700])):
        np.testing.assert_array_equal(compiled, other)
    with pytest.raises(TypeError, match="needs a utility to be separable"):
        type("Own", (OnlyCompute,), {"separable": True, "compute_Q": OnlyCompute.compute_Q})


def test_compute_Q_must_agree_with_allowed(published):
    class Own(MUMT):
        def allowed(self, costs, decision, xp=np):
            return decision * np.repeat([0, 1], [3, 6])

    with pytest.raises(ValueError, match="must score a decision as what `allowed` maps it to"):
        check_network(Own(3, 3), published[0])


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


def test_what_is_not_allowed_is_not_decided_and_inputs_are_scaled_as_the_network_says(tmp_path):
    network, histories = NoLicence(3, 3), []
    data = Data.generate(network, samples=300)
    assert not data.gain_mode[:, :3].any()
    for name in ("compiled", "plain"):
        parameters = Parameters(frames=700, out=tmp_path / name)
        algorithm = DDLO if name == "compiled" else StepByStep
        main.run(parameters, network, data, algorithm=algorithm)
        histories.append(history_of(tmp_path / name))
    for key in ("decision", "Q", "chosen"):
        np.testing.assert_array_equal(*(history[key] for history in histories))
    decision = histories[0]["decision"]
    assert not decision[:, :3].any() and decision[:, 3:].any()
    net = MemoryDNN.load(tmp_path / "plain/model.npz", scale=network.scale)
    last = data.states[histories[0]["index"][0, -1]]
    np.testing.assert_array_equal(net.memory[700 % 1024, :9], np.float32(last / 10))


def test_allowed_gets_costs_whatever_scores_decisions(published):
    class Own(MUMT):
        def allowed(self, costs, decision, xp=np):
            assert costs.shape == (4, 5, 9)
            return decision * np.repeat([0, 1], [3, 6])

        def compute_Q(self, task_size, decision):
            return super().compute_Q(task_size, np.asarray(decision) * np.repeat([0, 1], [3, 6]))

    net = MemoryDNN([9, 5, 9], 2, seed=0)
    assert not DDLO(net, Own(3, 3)).decide(published[0][:5])[1][:, :3].any()


class StepByStep(DDLO):
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
    parameters = Parameters(frames=600, net_num=1, out=tmp_path / "first")
    main.run(parameters, candidates=rule, algorithm=Counted)
    assert sum(asked) == 600
    net = MemoryDNN.load(tmp_path / "first/model.npz")
    assert net.candidates == rule and history_of(tmp_path / "first")["chosen"].max() > 0


class Profit(MUMT):
    """Utilities that are negative: revenue is subtracted."""

    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, decision) - 1000


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


@pytest.mark.parametrize(
    "gain_min, tolerance", [(1.0, 1e-3), (0.0, 0), (697.14, 0.005), (2.5, 2.5e-3)]
)
def test_precision_is_small_against_the_number(gain_min, tolerance):
    assert precision(gain_min) == pytest.approx(tolerance)
    for sign in (1, -1):
        best, bound = np.array([sign * gain_min]), 1.01 * tolerance + 1e-8
        data = Data(np.zeros((1, 1)), best, "optimum")
        data.compare(best - 0.99 * tolerance, [0])
        with pytest.raises(ValueError, match="gain_min must be the optimum"):
            data.compare(best - bound, [0])


@pytest.mark.parametrize("reference", ["optimum", "lower bound"])
def test_utility_below_what_is_given_as_a_bound_is_an_error(tmp_path, network, reference):
    d = frames(100)
    gain_min = 1.1 * network.optimum(d)[0]
    with pytest.raises(ValueError, match=f"gain_min must be the {reference}"):
        main.run(untrained(tmp_path / "out"), network, data=(d, gain_min, reference))
    report = main.run(untrained(tmp_path / "out"), network, data=(d, gain_min, "my heuristic"))
    assert report["reference"] == "my heuristic" and report["optimal_share"] is None


# What compute_Q returns


class OneFrame:
    """As in the released package and all its forks: for one frame, loop over tasks and all."""

    N, M = 2, 2

    def compute_Q(self, task_size, M):
        return sum(d if x else 2.0 * d for d, x in zip(task_size, M))


class Wrapped(OneFrame):
    compute_Q = one_frame(OneFrame.compute_Q)


class Branches(OneFrame):
    def compute_Q(self, task_size, M):
        return 1.0 if M[0] == 1 else 2.0


class Pair(OneFrame):
    def compute_Q(self, task_size, M):
        return np.zeros(np.broadcast_shapes(np.shape(task_size), np.shape(M))[:-1]), 1


class OtherShape(OneFrame):
    def compute_Q(self, task_size, M):
        return np.zeros((7, 4))


class OtherAxis(OneFrame):
    def compute_Q(self, task_size, M):
        d, x = np.broadcast_arrays(task_size, M)
        return (d * x).sum(axis=-1) + np.sum(d)


class Infinite(OneFrame):
    def compute_Q(self, task_size, M):
        return np.full(np.broadcast_shapes(np.shape(task_size), np.shape(M))[:-1], np.nan)


@pytest.mark.parametrize("kind", [OneFrame, Branches, Pair, OtherShape, OtherAxis, Infinite])
def test_compute_Q_that_returns_something_else_is_refused(tmp_path, kind):
    for call in (
        lambda: Data.generate(kind(), 10),
        lambda: main.run(untrained(tmp_path / "out"), kind(), data=frames(10, 4)),
    ):
        with pytest.raises(ValueError, match=f"compute_Q of {kind.__name__} .*") as error:
            call()
        assert kind is Infinite or "ddlo.network.one_frame" in str(error.value)
    assert not (tmp_path / "out").exists()
    if kind is not OtherAxis:
        with pytest.raises(ValueError, match="one_frame|finite|compute_Q|ambiguous|truth"):
            DDLO(MemoryDNN([4, 4], 3), kind()).decide(frames(5, 4))


def test_function_of_one_frame_is_wrapped():
    network, d, x = Wrapped(), frames(3, 4), decisions(6, 4).reshape(2, 3, 4)
    check_network(network, d)
    Q = network.compute_Q(d, x)
    assert Q.shape == (2, 3) and type(network.compute_Q(d[0].tolist(), x[0, 0])) is float
    for c, i in np.ndindex(2, 3):
        assert Q[c, i] == OneFrame().compute_Q(d[i], x[c, i])
    assert Data.generate(network, 20).gain_min.shape == (20,)
    with pytest.raises(ValueError, match="must return a number for one frame, got a tuple"):
        one_frame(lambda d, x: (1, 2))(d, x)


@pytest.mark.parametrize(
    "data, message",
    [
        (np.ones((10, 8)), r"states must have shape \(samples, 9\)"),
        (np.ones((1, 9)), "at least 2 samples"),
        ((np.full((10, 9), np.nan),), "got nan"),
        ((np.ones((10, 9)), np.ones(9)), r"gain_min must have shape \(10,\), got \(9,\)"),
        ((np.ones((10, 9)), [np.inf] * 10), "gain_min must be finite"),
        ((1, 2, 3, 4, 5), "data must be .* got 5 parts"),
    ],
)
def test_data_that_are_refused(tmp_path, network, data, message):
    with pytest.raises(ValueError, match=message):
        main.run(untrained(tmp_path / "out"), network, data=data)
    assert not (tmp_path / "out").exists()


def test_energy_and_delays_by_hand():
    network, d, x = MUMT(2, 2, delay_weight=3), [10, 20, 30, 0], [1, 0, 1, 1]
    energy, local, offload = network.energy_and_delays(d, x)
    bits = 8 * 2**20
    np.testing.assert_allclose(local, [20 * bits * 4.75e-7, 0])
    np.testing.assert_allclose(
        offload, [10 / 6.25 + 10 * bits * 1.9e-7, 30 / 6.25 + 30 * bits * 1.9e-7]
    )
    np.testing.assert_allclose(energy, [bits * (10 * 2.92e-7 + 20 * 3.25e-7), bits * 30 * 2.92e-7])
    assert network.compute_Q(d, x) == pytest.approx(utility_of(network, d, x, [6.25, 6.25]))
