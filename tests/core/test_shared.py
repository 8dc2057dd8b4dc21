"""DNNs that users share, and DNNs of different sizes: not in the paper."""

import numpy as np
import pytest

import main
from ddlo.candidates import Flips
from ddlo.data import task_sizes
from ddlo.network import Network
from ddlo.scale import Scale
from main import DDLO, Parameters
from memory import MemoryDNN
from MUMT import MUMT

from .reference import assert_same_arrays


def some_rows(seed, *shape):
    return np.random.default_rng(seed).uniform(-100, 100, shape)


# Shared DNNs


def test_each_user_is_decided_alike_from_their_own_inputs():
    shared = MemoryDNN([2, 8, 3], 4, seed=0, shared=5)
    single = MemoryDNN([2, 8, 3], 4, seed=0)
    h = some_rows(1, 7, 10)
    decisions = shared.decode(h)
    assert decisions.shape == (4, 7, 15)
    expected = single.decode(h.reshape(35, 2)).reshape(4, 7, 15)
    np.testing.assert_array_equal(decisions, expected)
    np.testing.assert_array_equal(shared.decode(h[0]), decisions[:, 0])


def test_users_of_a_frame_enter_the_memory_one_after_the_other():
    net = MemoryDNN([2, 4, 1], 1, memory_size=3, shared=2)
    net.remember([1, 2, 3, 4], [1, 0])
    assert net.memory.tolist() == [[0] * 6, [1, 2, 1, 3, 4, 0], [0] * 6]


def test_a_mini_batch_pairs_frames_and_users():
    """Training on the users of a frame is training on as many frames of one user."""
    shared = MemoryDNN([2, 8, 3], 2, seed=0, memory_size=20, batch_size=16, shared=5)
    single = MemoryDNN([2, 8, 3], 2, seed=0, memory_size=100, batch_size=16)
    h, m = some_rows(1, 19, 10), np.random.default_rng(2).integers(0, 2, (19, 15))
    shared.remember(h, m)
    single.memory[:] = shared.memory.reshape(100, 5)  # row 0 of both is zeros
    single.memory_counter = 100  # both have 100 rows, and draw alike
    for net in (shared, single):
        net.learn()
    assert_same_arrays(shared.get_weights(), single.get_weights())
    assert shared.cost_his == single.cost_his


def test_mini_batches_come_from_all_users_of_the_frames_so_far():
    net = MemoryDNN([2, 4, 1], 1, seed=0, batch_size=500, memory_size=10, shared=3)
    assert set(net.draw(4).ravel()) == set(range(12))  # row 0 and three entries
    assert set(net.draw(400).ravel()) == set(range(30))


def test_features_are_sizes_and_constants_that_differ_between_users():
    network = MUMT(
        3,
        2,
        local_time_per_bit=[[1e-7], [2e-7], [3e-7]],  # per user
        delay_weight=[[1, 2]],  # per task, the same for all users
        transmit_energy_per_bit=[[1e-7, 2e-7], [1e-7, 2e-7], [3e-7, 4e-7]],
    )
    features = network.user_features([[10, 11, 12, 13, 14, 15]])
    expected = [[10, 11, 1e-7, 1e-7, 2e-7], [12, 13, 2e-7, 1e-7, 2e-7], [14, 15, 3e-7, 3e-7, 4e-7]]
    np.testing.assert_array_equal(np.sort(features[0]), np.sort(expected))
    assert MUMT(3, 2).user_features(np.arange(6)).tolist() == [[0, 1], [2, 3], [4, 5]]


def run(tmp_path, name, **changes):
    """Run main.py's algorithm on few generated frames; return its report and saved model."""
    changes = {"shared": True, "frames": 600, "net_num": 2, "out": tmp_path / name} | changes
    users, uplink = changes.get("users", 3), changes.get("uplink", 100)
    states = task_sizes(range(600), users, 3).astype(float)
    report = main.run(Parameters(**changes), MUMT(users, 3, uplink_bandwidth=uplink / 8), states)
    return report, MemoryDNN.load(tmp_path / name / "model.npz")


def test_a_model_of_three_users_decides_and_learns_for_thirty(tmp_path):
    _, net = run(tmp_path, "three")
    assert net.net == [3, 120, 80, 3] and net.shared == 3
    assert net.scale == Scale((10.0,) * 3, (30.0,) * 3)
    path = tmp_path / "three" / "model.npz"
    changes = {"resume": path, "users": 30, "uplink": 1000}
    report, frozen = run(tmp_path, "thirty", frozen=True, **changes)
    assert_same_arrays(frozen.get_weights(), net.get_weights())
    assert report["distinct_decisions"] == 600
    _, trained = run(tmp_path, "trained", flips=3, user_flips=1, recombine=True, **changes)
    assert trained.shared == 30 and len(trained.cost_his[0]) == 9
    assert trained.candidates == Flips(3, 1, 30)
    # In Python: the same task sizes of each user, the same decisions.
    many = net.for_users(30)
    assert many.memory.shape == (1024, 180) and not many.memory.any()
    d = np.tile([10.0, 20, 30], 30)
    _, x = DDLO(many, MUMT(30, 3, uplink_bandwidth=125)).decide(d)
    assert (x.reshape(30, 3) == x[:3]).all()


def test_saved_shared_dnns_continue_exactly(tmp_path):
    net = MemoryDNN([2, 8, 3], 2, seed=0, memory_size=20, training_interval=1, shared=5)
    net.remember(some_rows(1, 30, 10), np.ones((30, 15)))
    net.learn()
    net.save(tmp_path / "net")
    loaded = MemoryDNN.load(tmp_path / "net.npz")
    for each in (net, loaded):
        each.learn()
    assert_same_arrays(net.get_weights(), loaded.get_weights())
    np.testing.assert_array_equal(net.memory, loaded.memory)


class Gains(Network):
    """A network whose state cannot be split into users' parts, unless it says how."""

    N, M, state_size = 2, 2, 6

    def compute_Q(self, state, decision):
        return np.sum(state, axis=-1) + np.sum(decision, axis=-1)


class SplitGains(Gains):
    users = 2

    def user_features(self, state):
        return np.reshape(state, (*np.shape(state)[:-1], self.users, -1))


class WrongGains(SplitGains):
    users = 3


def test_a_network_says_what_the_dnns_see_of_a_user(tmp_path):
    states = np.random.default_rng(0).uniform(1, 2, (50, 6))
    parameters = Parameters(shared=True, frames=40, out=tmp_path / "out")
    with pytest.raises(ValueError, match="user_features.*Gains"):
        main.run(parameters, Gains(), states)
    with pytest.raises(ValueError, match=r"user_features of WrongGains .*\(1, 2, F\).*\(1, 3, 2\)"):
        main.run(parameters, WrongGains(), states)
    main.run(parameters, SplitGains(), states)
    assert MemoryDNN.load(tmp_path / "out/model.npz").net == [3, 120, 80, 2]


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: MemoryDNN([3, 3], 1, shared=2).decode(np.zeros(3)), r"\(6,\).*\(3,\)"),
        (lambda: MemoryDNN([9, 9], 1).for_users(4), "shared"),
        (lambda: DDLO(MemoryDNN([3, 3], 1, shared=2), MUMT(3, 3)), "3 users.*2"),
        (lambda: DDLO(MemoryDNN([9, 9], 1, shared=3), MUMT(3, 3)), "3 inputs"),
        (lambda: DDLO(MemoryDNN([3, 3], 1, shared=3, scale=Scale((0.0,) * 9, (1.0,) * 9)), MUMT(3, 3)),
         "scale.*3.*9"),
    ],
)  # fmt: skip
def test_wrong_use_is_refused(make, found):
    with pytest.raises(ValueError, match=found):
        make()


# DNNs of different sizes

DIFFERENT = [[9, 12, 8, 9], [9, 6, 4, 9], [9, 3, 10, 9]]


def test_each_dnn_trains_as_it_would_alone():
    net = MemoryDNN(DIFFERENT, 3, seed=0, memory_size=40, batch_size=16)
    assert net.net == DIFFERENT
    alone = [MemoryDNN(layers, 1, memory_size=40, batch_size=16) for layers in DIFFERENT]
    for k, each in enumerate(alone):
        shapes = [w.shape[1:] for w in each.get_weights()]
        parts = [w[k][tuple(map(slice, shape))] for w, shape in zip(net.get_weights(), shapes)]
        each.set_weights([part[None] for part in parts])
        assert np.abs(parts[0]).std() > 0
    h, m = some_rows(1, 39, 9), np.random.default_rng(2).integers(0, 2, (39, 9))
    for each in (net, *alone):
        each.remember(h, m)
    for _ in range(30):
        rows = MemoryDNN.draw(net, net.memory_counter)
        for each, own in [(net, rows), *zip(alone, rows[:, None])]:
            each.draw = lambda counter, own=own: own
            each.learn()
    for k, each in enumerate(alone):
        np.testing.assert_allclose(net.cost_his[k], each.cost_his[0], rtol=1e-4)
        for w, own in zip(net.get_weights(), each.get_weights()):
            inside = tuple(map(slice, own.shape[1:]))
            np.testing.assert_allclose(w[k][inside], own[0], rtol=1e-4, atol=1e-5)
            padding = np.ones(w[k].shape, bool)
            padding[inside] = False
            assert not w[k][padding].any()


def test_a_run_with_dnns_of_different_sizes_is_saved_and_continued(tmp_path):
    hidden = ((120, 80), (60, 40), (30, 20))
    changes = {"shared": False, "net_num": 3, "hidden": hidden, "frames": 560}
    _, net = run(tmp_path, "first", **changes)
    assert net.net == [[9, *each, 9] for each in hidden]
    path = tmp_path / "first/model.npz"
    _, more = run(tmp_path, "more", resume=path, **changes)
    assert len(more.cost_his[0]) > len(net.cost_his[0])
    with pytest.raises(ValueError, match="hidden"):
        run(tmp_path, "other", resume=path, **changes | {"hidden": (120, 80)})


class Opposite(MemoryDNN):
    def forward(self, weights, h, xp=np):
        return -super().forward(weights, h, xp)


def test_a_copy_for_other_users_keeps_class_and_settings():
    net = Opposite([3, 8, 3], 2, seed=0, shared=3, learning_rate=0.02, candidates=Flips(2, 1, 3))
    other = net.for_users(5)
    assert type(other) is Opposite and other.lr == 0.02 and other.candidates == Flips(2, 1, 5)
    h = some_rows(1, 4, 15)
    same = net.decode(h[:, :9])[:2], other.decode(h)[:2, :, :9]  # before their flips
    np.testing.assert_array_equal(*same)
    other.encode(h[:1].repeat(600, axis=0), np.ones((600, 15)))
    assert net.memory_counter == 1 and not net.memory.any() and net.cost_his == [[], []]


@pytest.mark.parametrize("hidden", [(120, (80, 60)), ((12, 8),) * 5])
def test_other_hidden_layers_are_refused(tmp_path, hidden):
    with pytest.raises(ValueError, match="net must"):
        run(tmp_path, "out", hidden=hidden, shared=False)
