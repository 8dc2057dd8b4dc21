"""MemoryDNN: decisions, replay memory, training and files; its loss and Adam: test_released_graph."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddlo import backend
from ddlo.candidates import Flips, OrderPreserving, threshold
from ddlo.scale import Scale
from memory import MemoryDNN

from .reference import Tanh, assert_same_arrays, assert_same_state, inputs

# Other parameters than the released ones, for files to keep them all.
PARAMETERS = {
    "learning_rate": 0.02,
    "batch_size": 100,
    "memory_size": 1000,
    "candidates": Flips(3, 1, 3),
    "beta1": 0.1,
}


@pytest.fixture(scope="module")
def shared():
    """A MemoryDNN for all tests that train, as compiling takes a while: each of them resets it."""
    return MemoryDNN([9, 20, 9], 2, seed=0, **PARAMETERS)


# New objects


def test_attributes_of_the_released_interface():
    mem = MemoryDNN(net=[9, 120, 80, 9], net_num=3, output_graph=False)
    assert (mem.net, mem.net_num, mem.cost_his) == ([9, 120, 80, 9], 3, [[], [], []])
    assert (mem.lr, mem.beta1, mem.training_interval, mem.batch_size) == (0.01, 0.09, 10, 128)
    assert (mem.memory_size, mem.memory_counter, mem.candidates) == (1024, 1, threshold)
    assert mem.memory.shape == (1024, 18) and not mem.memory.any()


def test_initial_weights():
    weights = MemoryDNN([9, 120, 80, 9], 20, seed=0).get_weights()
    assert [w.shape[1:] for w in weights] == [(9, 120), (120,), (120, 80), (80,), (80, 9), (9,)]
    for w, b in zip(weights[::2], weights[1::2]):
        assert not b.any()
        # The released standard deviation, 1/9 in every layer, within four standard errors.
        assert w.std() == pytest.approx(1 / 9, rel=4 / np.sqrt(2 * w.size))
        assert abs(w.mean()) < 4 / 9 / np.sqrt(w.size)
        assert len(np.unique(w[:, 0, 0])) == 20


def test_seeds_of_weights_and_mini_batches():
    def drawn(seed=None):
        net = MemoryDNN([9, 5, 9], 2, seed=seed)
        return net.get_weights()[0].tolist(), net.draw(1000).tolist()

    assert drawn(1) == drawn(1)
    np.random.seed(1)  # counts for a net without a seed
    first, second = drawn(), drawn()
    np.random.seed(1)
    assert drawn() == first
    for one, other in ((drawn(1), drawn(2)), (first, drawn(1)), (first, second)):
        assert one[0] != other[0] and one[1] != other[1]


# Decisions


def test_decode_thresholds_the_logits():
    mem, (h, _) = MemoryDNN([9, 12, 8, 9], 3), inputs(200)
    weights = [np.random.default_rng(1).normal(0, 0.3, w.shape) for w in mem.get_weights()]
    mem.decode(h)  # with other weights, which count no more
    mem.set_weights(weights)
    mem.get_weights()[0][:] = 0  # a copy
    decisions = mem.decode(h)
    assert decisions.shape == (3, 200, 9) and decisions.dtype.kind == "i"
    for k in range(3):
        w1, b1, w2, b2, w3, b3 = (w[k] for w in weights)
        hidden = np.maximum(np.maximum(h @ w1 + b1, 0) @ w2 + b2, 0)
        np.testing.assert_array_equal(decisions[k], hidden @ w3 + b3 > 0)
    assert 0.1 < decisions.mean() < 0.9
    assert_same_arrays(mem.get_weights(), [w.astype(np.float32) for w in weights])
    for i in range(200):  # one frame gives a list, which scripts extend
        single = mem.decode(h[i])
        assert type(single) is list and single[0].dtype == np.int32
        np.testing.assert_array_equal(single, decisions[:, i])


# The replay memory


class Recorder(MemoryDNN):
    """Writes down when it is to train, and on what memory, instead of training."""

    def __init__(self, **parameters):
        super().__init__([3, 4, 3], 2, seed=0, **parameters)
        self.steps = []

    def learn(self):
        self.steps.append((self.memory_counter, self.memory.copy()))


def test_replay_memory_is_a_ring():
    mem = Recorder(memory_size=8)
    entries = np.arange(20)[:, None] + np.zeros(3)
    m = np.arange(20)[:, None] // np.array([1, 2, 4]) % 2
    mem.remember(entries[0], m[0])
    assert mem.memory_counter == 2 and not mem.memory[0].any()
    np.testing.assert_array_equal(mem.memory[1], [0, 0, 0, *m[0]])
    mem.remember(entries[1:7], m[1:7])
    assert mem.memory_counter == 8 and not mem.memory[0].any()  # zeros until the ring is full
    mem.remember(entries[7:], m[7:])
    assert mem.memory_counter == 21
    # Entry i went to row (i + 1) % 8, so that the last eight, 12 to 19, are there.
    for i in range(12, 20):
        np.testing.assert_array_equal(mem.memory[(i + 1) % 8], [i, i, i, *m[i]])


@pytest.mark.parametrize(
    "interval, counters",
    [
        (10, range(520, 1102, 10)),  # the multiples of the interval, from 512 on
        (1, range(512, 1102)),
        (50, range(550, 1102, 50)),
        (512, [512, 1024]),
        (700, [700]),
    ],
)
def test_when_a_training_step_is_due(interval, counters):
    mem = Recorder(training_interval=interval, memory_size=100)
    assert mem.frames_to_training == counters[0] - 1
    for ones in np.ones((1100, 3)):
        mem.encode(ones, ones)
    assert [counter for counter, _ in mem.steps] == list(counters)
    assert mem.memory_counter + mem.frames_to_training == counters[-1] + interval


@settings(max_examples=10)
@given(
    st.integers(1, 70),
    st.integers(1, 300),
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
)
def test_encode_block_equals_row_by_row(interval, memory_size, blocks):
    parameters = {"training_interval": interval, "memory_size": memory_size}
    whole, single = Recorder(**parameters), Recorder(**parameters)
    random = np.random.default_rng(0)
    for length in blocks:
        h, m = random.normal(size=(length, 3)), random.integers(0, 2, (length, 3))
        whole.encode(h, m)
        for row in zip(h, m):
            single.encode(*row)
    assert whole.memory_counter == single.memory_counter
    np.testing.assert_array_equal(whole.memory, single.memory)
    for step, expected in zip(whole.steps, single.steps, strict=True):
        assert_same_arrays(step, expected)


def test_mini_batches():
    mem = MemoryDNN([9, 5, 9], 3, seed=0)
    counters = range(520, 1530, 10)
    batches = [mem.draw(counter) for counter in counters]
    for counter, rows in zip(counters, batches):
        assert rows.shape == (3, 128) and 0 <= rows.min() and rows.max() < min(counter, 1024)
        assert (rows[0] != rows[1]).any() and (rows[1] != rows[2]).any()
    # Row 0 and the newest row are among those that are drawn, and all rows are as likely.
    early = list(zip(counters, batches))[:50]
    assert any(0 in rows for _, rows in early)
    assert any(counter - 1 in rows for counter, rows in early)
    drawn = np.concatenate(batches[51:], axis=None)
    assert set(drawn) == set(range(1024))
    assert np.bincount(drawn).std() == pytest.approx(np.sqrt(drawn.size / 1024), rel=0.1)


# Training


def test_reset_gives_a_new_object(shared):
    runs = []
    for _ in range(2):
        shared.reset(4)
        shared.encode(*inputs(600))
        runs.append(shared.cost_his)
    assert runs[0] == runs[1] and len(runs[0][0]) == 9  # Adam's moments were reset as well
    shared.reset(3)
    assert_same_state(shared, MemoryDNN(shared.net, 2, seed=3, **PARAMETERS))


# Files


def test_loaded_net_continues_like_the_saved_one(tmp_path, shared):
    h, m = inputs(1300)
    shared.reset(0)
    shared.encode(h[:1100], m[:1100])
    shared.save(tmp_path / "model.dnn")
    loaded = MemoryDNN.load(tmp_path / "model.dnn")
    for name in ("net", "net_num", "lr", "training_interval", *PARAMETERS):
        assert getattr(loaded, name) == getattr(shared, name)
    for mem in (shared, loaded):
        mem.encode(h[1100:], m[1100:])
    assert len(shared.cost_his[0]) == 79
    assert_same_state(loaded, shared)


@pytest.mark.parametrize("rule", [threshold, OrderPreserving(4)])
def test_rule_and_scale_are_saved(tmp_path, rule):
    mem = MemoryDNN([9, 5, 9], 1, candidates=rule, scale=Scale((0,) * 9, (1e-7,) * 9))
    mem.save(tmp_path / "model")
    loaded = MemoryDNN.load(tmp_path / "model")
    assert (loaded.candidates, loaded.scale) == (mem.candidates, mem.scale)
    assert [each.name for each in tmp_path.iterdir()] == ["model.npz"]


def half(logits, xp):
    return logits > 0.5


@pytest.mark.parametrize("name, function", [("candidates", half), ("scale", np.sqrt)])
def test_custom_rule_and_scale_have_to_be_passed_again(tmp_path, name, function):
    custom = {name: function}
    MemoryDNN([9, 5, 9], 1, **custom).save(tmp_path / "model")
    with pytest.raises(ValueError, match=f"{function.__name__}.* {name}="):
        MemoryDNN.load(tmp_path / "model")
    assert getattr(MemoryDNN.load(tmp_path / "model", **custom), name) is function


@pytest.mark.parametrize(
    "name, value",
    [
        ("parameters", "{"),
        ("parameters", {"net": [9, 10, 8, 9]}),
        ("parameters", {"candidates": {"rule": "Flips", "K": 3}}),
        ("memory_counter", -5),
        ("memory", np.full((1024, 18), np.nan)),
        ("memory", np.zeros((1, 18))),
        ("cost_his", np.zeros((0, 0))),
    ],
)
def test_load_refuses_bad_content(tmp_path, name, value):
    path = tmp_path / "model.npz"
    MemoryDNN([9, 12, 8, 9], 1, seed=0).save(path)
    content = dict(np.load(path))
    if isinstance(value, dict):
        value = json.dumps(json.loads(str(content["parameters"])) | value)
    np.savez(path, **content | {name: value})
    with pytest.raises(ValueError, match="model.npz is not a saved MemoryDNN"):
        MemoryDNN.load(path)


def test_plot_cost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = MemoryDNN([9, 5, 9], 2)
    net.cost_his = [[3.0, 2, 1], [2.0, 1, 1]]
    net.plot_cost()
    assert [file.name for file in tmp_path.iterdir()] == ["training_cost.png"]


# TensorFlow


def test_device(monkeypatch):
    use_device, config = backend.use_device, backend.tf.config
    # As on a machine with two GPUs: TensorFlow is told which of them to use.
    visible = {"GPU": ["a", "b"]}
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: ["a", "b"])
    monkeypatch.setattr(config, "get_visible_devices", lambda kind: visible[kind])
    monkeypatch.setattr(config, "set_visible_devices", lambda gpus, _: visible.update(GPU=gpus))
    for asked, name, gpus in [
        (None, "GPU:0", ["a", "b"]),
        ("gpu:1", "GPU:1", ["b"]),
        ("GPU", "GPU:0", ["a"]),
        ("CPU:0", "CPU", []),
        (None, "CPU", []),
    ]:
        assert use_device(asked) == name and visible["GPU"] == gpus
    with pytest.raises(ValueError, match="device must .* got 'GPU:2'"):
        use_device("GPU:2")


# What scripts do with a MemoryDNN


@pytest.mark.parametrize("name", ["net", "net_num", "memory_size", "beta1", "shared", "backend"])
def test_attributes_that_the_dnns_depend_on_are_fixed(name):
    with pytest.raises(AttributeError, match=name):
        setattr(MemoryDNN([9, 5, 9], 2), name, 7)


def test_copies_and_pickles_continue_alike():
    net = MemoryDNN([9, 5, 9], 2, seed=3, candidates=Flips(2), scale=Scale(1, 2))
    h, m = inputs(620)
    net.encode(h[:600], m[:600])
    net.lr = 0.02
    others = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    net.encode(h[600:], m[600:])
    for other in others:
        assert (other.candidates, other.scale, other.lr) == (net.candidates, net.scale, 0.02)
        other.encode(h[600:], m[600:])
        twin = copy.deepcopy(net)  # as comparing draws from both
        assert_same_state(twin, other)


def test_inputs_far_outside_the_range_are_reported(published):
    task_size, net = 100 * published[0][:3], MemoryDNN([9, 5, 9], 2)
    with pytest.warns(UserWarning, match=r"Scale\.of\(states\)"):
        net.decode(10 * task_size[0] - 200)
    with warnings.catch_warnings(action="error"):
        net.decode(Scale.of(task_size)(task_size))


def test_custom_layers_decide():
    net, (h, _) = Tanh([9, 20, 9], 3, seed=3), inputs(200)
    w1, _, w2, _ = net.get_weights()
    np.testing.assert_array_equal(net.decode(h), np.tanh(h @ w1.astype(float) / 100) @ w2 > 0)


def test_scale_of_training_samples(published):
    d = published[0].copy()
    for scale in (Scale(), Scale.of(d)):
        np.testing.assert_array_equal(scale(d), 10 * d - 200)  # as released
    np.testing.assert_allclose(Scale.of(0.1 * d)(0.1 * d), 10 * d - 200, atol=1e-11)
    d[:, 4] = 0  # a user without a task
    assert (Scale.of(d)(d)[:, 4] == 100).all()
    # Constant states do not give inputs of 0, from which no DNN could learn.
    assert (Scale.of(d[:1])(d[:1]) == 100).all()
    for name, limits in (("low", (3, 2)), ("high", (3, np.inf))):
        with pytest.raises(ValueError, match=name):
            Scale(*limits)
