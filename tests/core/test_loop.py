"""The algorithm: what it picks, and the compiled loop against the plain one."""

import functools

import numpy as np
import pytest
import scipy.io

from ddlo.bandwidth import JointMUMT
from ddlo.candidates import Flips, NearestNeighbours, OrderPreserving
from ddlo.data import Data
from ddlo.loop import compile_loop, fast_loop, run_frames
from ddlo.network import Network
from main import DDLO
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import DATA
from .reference import Tanh, Weighted, assert_same_arrays

# Picking the best candidate


class Distances(Network):
    """Q is the distance to [1, 0] in the first frame and to [0, 0] in the second."""

    N, M = 1, 2

    def compute_Q(self, state, decision):
        return np.abs(decision - np.array([[1, 0], [0, 0]])).sum(axis=-1)

    def utility(self, costs, decision, xp=np):
        return self.compute_Q(costs, decision)

    def recombine(self, costs, candidates, best, xp=np):
        assert best.tolist() == [[0, 0], [0, 0]]
        return np.array([[1, 0], [0, 0]])


def test_pick_by_hand():
    candidates = np.array([[[0, 0], [0, 1]], [[0, 1], [0, 0]], [[1, 1], [0, 0]]])  # (3, 2, 2)
    net = MemoryDNN([2, 2], 3)
    # Of equally good candidates the first one: 0 and 2 in the first frame, 1 and 2 in the second.
    k, x = DDLO(net, Distances()).pick(None, candidates)
    assert k.tolist() == [0, 1] and x.tolist() == [[0, 0], [0, 0]]
    # The recombined one, number 3, is picked if it is better, not if it is as good.
    k, x = DDLO(net, Distances(), recombine=True).pick(None, candidates)
    assert k.tolist() == [3, 1] and x.tolist() == [[1, 0], [0, 0]]


# The compiled loop

# Hidden layers: as released, and none at all, which is compiled faster.
RELEASED, NONE = (120, 80), ()
FLIPS = {"candidates": Flips(9), "recombine": True}


@functools.cache
def compiled(kind=MUMT, dnns=MemoryDNN, hidden=RELEASED, recombine=False, **parameters):
    """A DDLO for 3 users with 3 tasks each, and its loop: shared, as compiling takes seconds.

    The same parameters in the same order give the same ones. Each test resets the DNNs.
    """
    tasks = 3 if "shared" in parameters else 9
    net = dnns([tasks, *hidden, tasks], **{"net_num": 3} | parameters)
    ddlo = DDLO(net, kind(3, 3), recombine)
    return ddlo, compile_loop(ddlo)


def state(net):
    return net.memory, net.cost_his, *net.get_weights(), net.draw(5000)


def run_of(loop, ddlo, data, frames, seed=5):
    """The history of a run of the first frames of the published data, and the DNNs' state then."""
    ddlo.net.reset(seed)
    # With optimal bandwidth it is not the optimum.
    data = Data(*data, "equal-split optimum")
    history = run_frames(loop, ddlo, data, np.arange(frames), quiet=True)
    return [*history.values(), *(np.array(array) for array in state(ddlo.net))]


class Sum(Network, compiled=True):
    """Its costs are the states."""

    def __init__(self, N, M):
        self.N, self.M = N, M

    def compute_Q(self, state, decision):
        return (np.asarray(state) * (2 - np.asarray(decision))).sum(axis=-1)

    def utility(self, costs, decision, xp=np):
        return xp.sum(costs[0] * (2 - decision), axis=-1)


joint_weighted = functools.partial(JointMUMT, delay_weight=[[1], [2], [4]])


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        # Users' own weights, decisions that are not allowed, and a block longer than the memory.
        {"kind": Weighted, "hidden": NONE, "net_num": 10, "training_interval": 23}
        | {"memory_size": 7, "candidates": Flips(9, 3, 3), "recombine": True},
        # A small memory and mini-batch, another range of inputs, another momentum.
        {"kind": joint_weighted, "hidden": NONE, "net_num": 5, "training_interval": 64}
        | {"memory_size": 300, "batch_size": 32, "candidates": Flips(2, 1, 3), "recombine": True}
        | {"scale": Weighted.scale, "beta1": 0.9},
        {"kind": Sum, "dnns": Tanh, "hidden": (20,), "learning_rate": 0.001},
        # A training step after every frame.
        {"hidden": NONE, "net_num": 1, "training_interval": 1, "candidates": OrderPreserving(5)},
        {"hidden": NONE, "net_num": 1, "candidates": NearestNeighbours(7)},
        # DNNs that the users share.
        {"hidden": (20,), "shared": 3, "candidates": Flips(2, 1, 3), "recombine": True},
        {"kind": JointMUMT, "hidden": NONE, "shared": 3, "recombine": True},
    ],
)
def test_compiled_loop_equals_the_plain_loop(published, parameters):
    ddlo, loop = compiled(**parameters)
    # Some frames without training, a full call of the compiled loop, one that is not full, a rest.
    run = run_of(loop, ddlo, published, 1237)
    assert_same_arrays(run, run_of(ddlo.decide_and_learn, ddlo, published, 1237))
    assert ddlo.net.memory_counter == 1238 and ddlo.net.cost_his[0]


@pytest.mark.parametrize("frames, is_compiled", [(518, False), (519, True)])
def test_loop_is_compiled_if_a_block_ends_in_time(frames, is_compiled):
    ddlo = DDLO(MemoryDNN([9, 9], 1), MUMT(3, 3))
    assert (fast_loop(ddlo, frames) != ddlo.decide_and_learn) == is_compiled


def test_compiled_loop_takes_any_number_of_frames(published):
    ddlo, loop = compiled()
    ddlo.net.reset(5)
    parts = np.split(published[0][:1237], [1, 509, 512, 530, 531, 1100, 1230])
    k, x = map(np.concatenate, zip(*map(loop, parts)))
    costs = ddlo.net.cost_his
    plain = run_of(ddlo.decide_and_learn, ddlo, published, 1237)
    assert_same_arrays([k, x], plain[1:3])
    assert costs == ddlo.net.cost_his


@pytest.mark.parametrize(
    "name, value",
    [
        ("network", MUMT(3, 3, delay_weight=3)),
        ("lr", 0.1),
        ("training_interval", 7),
        ("batch_size", 3),
        ("candidates", Flips(2)),
    ],
)
def test_compiled_loop_follows_changes(published, monkeypatch, name, value):
    ddlo, loop = compiled()
    before = run_of(loop, ddlo, published, 700)
    monkeypatch.setattr(ddlo if name == "network" else ddlo.net, name, value)
    run = run_of(loop, ddlo, published, 700)
    assert_same_arrays(run, run_of(ddlo.decide_and_learn, ddlo, published, 700))
    with pytest.raises(AssertionError):
        assert_same_arrays(run, before)


def test_diverging_training_stops_a_run(published):
    ddlo, loop = compiled()
    for decide in (loop, ddlo.decide_and_learn):
        ddlo.net.reset(5)
        decide(published[0][:519])
        weights = ddlo.net.get_weights()
        for w in weights:
            w[1] *= 1e20
        ddlo.net.set_weights(weights)
        with pytest.raises(FloatingPointError, match="DNN 2 .* training step 2.*learning_rate"):
            decide(published[0][519:700])


def test_released_script_gives_the_same_run(published):
    """Frame by frame, as scripts for the released package do it, with its names and types."""
    task_size = scipy.io.loadmat(DATA)["task_size"]
    frames = 937
    mem = MemoryDNN(net=[9, 120, 80, 9], net_num=3, learning_rate=0.01, memory_size=1024, seed=3)
    env = MUMT(3, 3, rand_seed=1)
    gains, chosen, modes = [], [], []
    for i in range(frames):
        size = task_size[i, :]
        h = size * 10 - 200
        candidates = mem.decode(h)
        utilities = [env.compute_Q(size, m) for m in candidates]
        best = np.argmin(utilities)
        mem.encode(h, candidates[best])
        gains.append(np.min(utilities))
        chosen.append(best)
        modes.append(candidates[best])
    ddlo, loop = compiled()
    frame_by_frame = [np.arange(frames), chosen, modes, gains, published[1][:frames] / gains]
    run = run_of(loop, ddlo, published, frames, seed=3)
    assert_same_arrays(run, [*frame_by_frame, *state(mem)])


def test_single_decisions_are_those_of_a_block(published):
    ddlo, loop = compiled()
    ddlo.net.reset(0)
    loop(published[0][:1999])
    k, x = ddlo.decide(published[0])
    alone = [ddlo.decide(published[0][i : i + 1]) for i in range(0, 20000, 20)]
    assert_same_arrays([np.concatenate(arrays) for arrays in zip(*alone)], [k[::20], x[::20]])


def test_decisions_are_computed_in_float64():
    net = MemoryDNN([1, 2, 1], 1, training_interval=1, scale=np.ones_like)
    ddlo = DDLO(net, MUMT(1, 1))
    loop = compile_loop(ddlo)
    net.set_weights([[[[2**15, 1]]], [[0, 0]], [[[2**15], [1]]], [[-(2**30)]]])
    _, x = loop(np.ones((511, 1)))  # the last frame in compiled code
    assert x.all()  # the logit is 2**30 + 1 - 2**30: 0 in float32


# What a run reaches


# Released, 20,000 frames: 0.9923 to 0.9932 with three DNNs, and not converged with one. Flips and
# recombination lead nearer to the optimum.
@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters, low, high",
    [
        ({}, 0.991, 0.9945),
        ({"net_num": 1}, 0, 0.93),
        (FLIPS, 0.9995, 1),
        ({"kind": JointMUMT} | FLIPS, 0.999, 1),
    ],
)
def test_gain_ratio_of_a_full_run(published, parameters, low, high):
    ddlo, loop = compiled(**parameters)
    data = Data(*published, "equal-split optimum")
    index, tests = data.time_frames(20000)
    ddlo.net.reset(0)
    history = run_frames(loop, ddlo, data, index, quiet=True)
    ratio = ddlo.network.optimum(data.states[-tests:])[0] / history["Q"][-tests:]
    assert low < ratio.mean() < high and ratio.max() <= 1
    if ddlo.recombine:
        assert history["chosen"].max() == 30  # the recombined one


def test_one_frame_lists_and_integers_are_decided_alike(network, published):
    ddlo = DDLO(MemoryDNN([9, 5, 9], 2, seed=0), network, recombine=True)
    d = published[0][:600]
    k, x = ddlo.decide(d)
    for alike in (d.astype(np.int32), d.astype(int).tolist()):
        assert_same_arrays(ddlo.decide(alike), [k, x])
    alone = ddlo.decide(d[1])
    assert type(alone[0]) is int and alone[0] == k[1] and alone[1].tolist() == x[1].tolist()
    k, x = ddlo.decide_and_learn(np.empty((0, 9)))
    assert k.shape == (0,) and x.shape == (0, 9)


class AtMostOne(Network):
    """One of two tasks can be offloaded, and should be; users' best parts are to offload both."""

    N, M = 2, 1

    def allowed(self, costs, decision, xp=np):
        return xp.where(xp.cumsum(decision, axis=-1) <= 1, decision, 0.0)

    def utility(self, costs, decision, xp=np):
        return 2 - self.allowed(costs, decision, xp).sum(axis=-1)

    def recombine(self, costs, candidates, best, xp=np):
        return np.ones((1, 2))


def test_recombined_decisions_are_feasible():
    ddlo = DDLO(MemoryDNN([2, 2], 1), AtMostOne(), recombine=True)
    k, x = ddlo.pick(None, np.zeros((1, 1, 2)))
    assert k.tolist() == [1] and x.tolist() == [[1, 0]]
