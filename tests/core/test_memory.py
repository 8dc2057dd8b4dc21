"""MemoryDNN against the rules of the released package, written out here in plain NumPy."""

import copy
import json
import os
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddlo import backend
from ddlo.candidates import Flips, OrderPreserving, threshold
from ddlo.loop import compile_loop
from ddlo.scale import Scale
from main import DDLO
from memory import MemoryDNN
from MUMT import MUMT

# Other parameters than the released ones, for files to keep them all.
PARAMETERS = {
    "learning_rate": 0.02,
    "memory_size": 1000,
    "candidates": Flips(3, 1, 3),
    "beta1": 0.1,
}


@pytest.fixture(scope="module")
def shared():
    """A MemoryDNN for all tests that train, as compiling takes a while: each of them resets it."""
    return MemoryDNN([9, 20, 9], 2, seed=0, **PARAMETERS)


def frames(number, seed=0):
    """Inputs (number, 9) as of task sizes of 10 to 30 MB, and decisions to go with them."""
    random = np.random.default_rng(seed)
    h = 10 * random.integers(10, 31, (number, 9)) - 200
    return h, (h + random.normal(0, 30, h.shape) > 0).astype(int)


def assert_same_state(net, other):
    assert net.cost_his == other.cost_his and net.memory_counter == other.memory_counter
    np.testing.assert_array_equal(net.memory, other.memory)
    np.testing.assert_array_equal(net.decode(frames(50)[0]), other.decode(frames(50)[0]))
    for ours, theirs in zip(net.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(net.draw(700), other.draw(700))


# A new object


def test_attributes_of_the_released_interface():
    mem = MemoryDNN(net=[9, 120, 80, 9], net_num=3, output_graph=False)
    defaults = (mem.lr, mem.training_interval, mem.batch_size, mem.memory_size, mem.memory_counter)
    assert defaults == (0.01, 10, 128, 1024, 1) and (mem.beta1, mem.candidates) == (0.09, threshold)
    assert mem.net == [9, 120, 80, 9] and mem.net_num == 3 and mem.cost_his == [[], [], []]
    assert mem.memory.shape == (1024, 18) and not mem.memory.any()
    assert MemoryDNN(map(int, "959"), 1).net == [9, 5, 9]  # layers from an iterator


def test_weights_and_random_state_of_a_new_one():
    weights = MemoryDNN([9, 120, 80, 9], 20, seed=0).get_weights()
    shapes = [(20, 9, 120), (20, 120), (20, 120, 80), (20, 80), (20, 80, 9), (20, 9)]
    assert [w.shape for w in weights] == shapes
    for w, b in zip(weights[::2], weights[1::2]):
        assert not b.any()
        # The released standard deviation, 1/9 in every layer; four standard errors are allowed for.
        assert w.std() == pytest.approx(1 / 9, rel=4 / np.sqrt(2 * w.size))
        assert abs(w.mean()) < 4 / 9 / np.sqrt(w.size)
        assert len(np.unique(w[:, 0, 0])) == 20
    nets = [MemoryDNN([9, 5, 9], 2, seed=seed) for seed in (1, 1, 2, None, None)]
    for drawn in ([net.get_weights()[0] for net in nets], [net.draw(1000) for net in nets]):
        assert (drawn[0] == drawn[1]).all()
        assert all((drawn[i] != drawn[j]).any() for i, j in [(0, 2), (0, 3), (3, 4)])


# Decisions


def test_decode_thresholds_the_logits():
    mem = MemoryDNN([9, 120, 80, 9], 3)
    weights = [np.random.default_rng(1).normal(0, 0.3, w.shape) for w in mem.get_weights()]
    before, h = mem.decode(frames(200)[0]), frames(200)[0]
    mem.set_weights(weights)
    decisions = mem.decode(h)
    assert decisions.shape == (3, 200, 9) and decisions.dtype.kind == "i"
    for k in range(3):
        w1, b1, w2, b2, w3, b3 = (w[k] for w in weights)
        hidden = np.maximum(np.maximum(h @ w1 + b1, 0) @ w2 + b2, 0)
        np.testing.assert_array_equal(decisions[k], hidden @ w3 + b3 > 0)
    assert 0.1 < decisions.mean() < 0.9 and (decisions != before).any()
    for i in range(200):
        np.testing.assert_array_equal(mem.decode(h[i]), decisions[:, i])
    for ours, theirs in zip(mem.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, theirs.astype(np.float32))


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
    assert mem.memory_counter == 8 and not mem.memory[0].any()
    mem.remember(entries[7:], m[7:])
    assert mem.memory_counter == 21
    # Entry i went to row (i + 1) % 8, so that the last eight, 12 to 19, are there.
    for i in range(12, 20):
        np.testing.assert_array_equal(mem.memory[(i + 1) % 8], [i, i, i, *m[i]])


def test_when_a_training_step_is_due():
    mem = Recorder()
    h, m = np.ones((1100, 3)), np.ones((1100, 3))
    assert mem.frames_to_training == 519
    for i in range(1100):
        mem.encode(h[i], m[i])
    assert [counter for counter, _ in mem.steps] == list(range(520, 1102, 10))
    assert mem.frames_to_training == 1110 - mem.memory_counter == 9


@pytest.mark.parametrize("interval, first", [(1, 512), (50, 550), (512, 512), (700, 700)])
def test_first_training_step_is_due_at_512_entries(interval, first):
    mem = Recorder(training_interval=interval, memory_size=100)
    assert mem.memory_counter + mem.frames_to_training == first


@settings(max_examples=25)
@given(
    st.integers(1, 70),
    st.integers(1, 300),
    st.lists(st.integers(1, 400), min_size=1, max_size=6),
)
def test_encode_block_equals_row_by_row(interval, memory_size, blocks):
    parameters = {"training_interval": interval, "memory_size": memory_size}
    whole, single = Recorder(**parameters), Recorder(**parameters)
    random = np.random.default_rng(0)
    for length in blocks:
        h, m = random.normal(size=(length, 3)), random.integers(0, 2, (length, 3))
        whole.encode(h, m)
        for i in range(length):
            single.encode(h[i], m[i])
    assert whole.memory_counter == single.memory_counter
    np.testing.assert_array_equal(whole.memory, single.memory)
    for (counter, rows), (single_counter, single_rows) in zip(
        whole.steps, single.steps, strict=True
    ):
        assert counter == single_counter
        np.testing.assert_array_equal(rows, single_rows)


def test_mini_batches():
    mem = MemoryDNN([9, 5, 9], 3, seed=0)
    batches = [(counter, mem.draw(counter)) for counter in range(520, 1530, 10)]
    for counter, rows in batches:
        assert rows.shape == (3, 128) and 0 <= rows.min() and rows.max() < min(counter, 1024)
        assert (rows[0] != rows[1]).any() and (rows[1] != rows[2]).any()
    # All rows are as likely, row 0 and the newest one included.
    drawn = np.concatenate([rows for counter, rows in batches if counter > 1024], axis=None)
    assert set(drawn) == set(range(1024))
    assert np.bincount(drawn).std() == pytest.approx(np.sqrt(drawn.size / 1024), rel=0.1)


# Training


def reference_training(weights, batches, learning_rate, beta1):
    """Train one DNN as the released package does, in double precision; return its costs.

    weights [w1, b1, w2, b2, w3, b3] are changed; a batch is (h, decisions).
    """
    moments = [[np.zeros_like(w), np.zeros_like(w)] for w in weights]
    costs = []
    for t, (h, y) in enumerate(batches, start=1):
        w1, b1, w2, b2, w3, b3 = weights
        h1 = np.maximum(h @ w1 + b1, 0)
        h2 = np.maximum(h1 @ w2 + b2, 0)
        z = h2 @ w3 + b3
        costs.append(np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))))
        dz = (1 / (1 + np.exp(-z)) - y) / y.size
        d2 = dz @ w3.T * (h2 > 0)
        d1 = d2 @ w2.T * (h1 > 0)
        gradients = [h.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ dz, dz.sum(0)]
        rate = learning_rate * np.sqrt(1 - 0.999**t) / (1 - beta1**t)
        for w, moment, g in zip(weights, moments, gradients):
            moment[0] += (1 - beta1) * (g - moment[0])
            moment[1] += (1 - 0.999) * (g * g - moment[1])
            w -= rate * moment[0] / (np.sqrt(moment[1]) + 1e-8)
    return costs


# With the released rate rounding grows a thousandfold and more within 20 training steps, in any two
# implementations, as Adam makes large steps of gradients that are next to nothing.
@pytest.mark.parametrize(
    "parameters, steps, rtol",
    [({}, 5, 1e-4), ({"learning_rate": 0.001}, 20, 1e-5), ({"beta1": 0.9}, 5, 1e-4)],
)
def test_training_follows_the_released_loss_and_adam(parameters, steps, rtol):
    mem = MemoryDNN([9, 120, 80, 9], 2, seed=0, **parameters)
    mem.remember(*frames(1023))
    start = [w.astype(float) for w in mem.get_weights()]
    samples = np.random.default_rng(3).integers(0, 1024, (steps, 2, 128))
    samples[:, :, 0] = 0  # the empty row
    for sample in samples:
        mem.learn(sample)
    rows = mem.memory.astype(float)
    for k in range(2):  # each DNN learns from its own mini-batches only
        weights = [w[k].copy() for w in start]
        batches = [(rows[sample[k], :9], rows[sample[k], 9:]) for sample in samples]
        expected = reference_training(weights, batches, mem.lr, mem.beta1)
        np.testing.assert_allclose(mem.cost_his[k], expected, rtol=rtol)
        for ours, reference in zip(mem.get_weights(), weights):
            np.testing.assert_allclose(ours[k], reference, rtol=0, atol=rtol)


def test_encode_learns_from_mini_batches_that_it_draws(shared):
    h, m = frames(519)
    shared.reset(1)
    shared.remember(h[:518], m[:518])
    before = shared.get_weights()
    shared.encode(h[518:], m[518:])
    learnt = shared.get_weights()
    shared.reset(1)
    shared.remember(h, m)
    shared.learn(shared.draw(520))
    for old, ours, theirs in zip(before, learnt, shared.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert (ours != old).any()  # get_weights returned a copy


def test_reset_re_initialises(shared):
    shared.reset(1)
    shared.encode(*frames(600))
    shared.reset(3)
    assert_same_state(shared, MemoryDNN(shared.net, 2, seed=3, **PARAMETERS))
    runs = []
    for _ in range(2):
        shared.reset(4)
        shared.encode(*frames(600))
        runs.append(shared.cost_his)
    assert runs[0] == runs[1] and len(runs[0][0]) == 9  # Adam's moments were reset as well
    with pytest.raises(ValueError, match="seed must be an integer >= 0, got -1"):
        shared.reset(-1)


def test_diverging_training_stops_with_a_message(shared):
    shared.reset(0)
    shared.encode(*frames(519))
    weights = shared.get_weights()
    for w in weights:
        w[1] *= 1e20
    shared.set_weights(weights)
    with pytest.raises(FloatingPointError) as error:
        shared.encode(*frames(10))
    for found in ("DNN 2", "training step 2", "learning_rate (0.02"):
        assert found in str(error.value)


# Files


def test_loaded_one_resumes_as_the_saved_one(tmp_path, shared):
    h, m = frames(2100)
    shared.reset(0)
    shared.encode(h[:1500], m[:1500])
    shared.save(tmp_path / "model.dnn")
    loaded = MemoryDNN.load(tmp_path / "model.dnn")
    for parameter in ("net", "net_num", "lr", "training_interval", "batch_size", "memory_size"):
        assert getattr(loaded, parameter) == getattr(shared, parameter)
    assert (loaded.beta1, loaded.candidates) == (0.1, Flips(3, 1, 3))
    for mem in (shared, loaded):
        mem.encode(h[1500:], m[1500:])
    assert len(shared.cost_his[0]) == 159
    assert_same_state(loaded, shared)


def test_candidate_rules_in_files(tmp_path):
    def tasks_in_threes(logits, xp):
        return np.repeat(logits[..., ::3] > 0, 3, axis=-1)

    for rule in (threshold, OrderPreserving(4)):
        mem = MemoryDNN([9, 5, 9], 1, candidates=rule)
        mem.save(tmp_path / "ours")
        loaded = MemoryDNN.load(tmp_path / "ours")
        assert loaded.candidates == rule
        assert_same_state(loaded, mem)
    mem = MemoryDNN([9, 5, 9], 1, candidates=tasks_in_threes)
    mem.save(tmp_path / "own")
    with pytest.raises(ValueError, match=r"tasks_in_threes.*candidates="):
        MemoryDNN.load(tmp_path / "own")
    assert_same_state(MemoryDNN.load(tmp_path / "own", candidates=tasks_in_threes), mem)
    replaced = MemoryDNN.load(tmp_path / "ours", candidates=tasks_in_threes)
    assert replaced.candidates == tasks_in_threes
    assert {path.name for path in tmp_path.iterdir()} == {"ours.npz", "own.npz"}


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    def disk_full(file, **content):
        file.write(b"half")
        raise OSError("no space left")

    (tmp_path / "model.npz").write_text("kept")
    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with pytest.raises(OSError, match="no space left"):
        MemoryDNN([9, 5, 9], 1).save(tmp_path / "model")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["kept"]


def test_load_refuses(tmp_path):
    path = tmp_path / "model.npz"
    with pytest.raises(FileNotFoundError):
        MemoryDNN.load(path)
    MemoryDNN([9, 120, 80, 9], 1, seed=0).save(path)
    content = path.read_bytes()
    whole = dict(np.load(path))
    parameters = json.loads(str(whole["parameters"]))
    bad_contents = [
        {"other": np.zeros(3)},
        whole | {"parameters": json.dumps(parameters | {"net_num": 0})},
        whole | {"parameters": json.dumps(parameters | {"net": [9, 100, 80, 9]})},
        whole | {"parameters": json.dumps(parameters | {"candidates": {"rule": "Flips", "K": 3}})},
        whole | {"parameters": "{"},
        whole | {"memory_counter": -5},
        whole | {"memory": np.full_like(whole["memory"], np.nan)},
        whole | {"variable_3": np.full_like(whole["variable_3"], np.inf)},
        whole | {"memory": whole["memory"][:1]},
        whole | {"cost_his": whole["cost_his"][:0]},
    ]
    bad_files = [b"", b"no model", content[:5000], content[:2000] + b"\0" * 2000 + content[4000:]]
    for bad in bad_contents + bad_files:
        path.write_bytes(bad) if isinstance(bad, bytes) else np.savez(path, **bad)
        with pytest.raises(ValueError, match="model.npz is not a saved MemoryDNN"):
            MemoryDNN.load(path)
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(ValueError, match="array.npy is not a saved MemoryDNN"):
        MemoryDNN.load(tmp_path / "array.npy")


def test_plot_cost(tmp_path, shared, monkeypatch, capsys):
    import matplotlib.image
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    shared.reset(0)
    shared.encode(*frames(600))
    shared.plot_cost("cost.png")
    assert matplotlib.image.imread("cost.png").shape == (720, 1039, 4)
    shared.plot_cost()
    assert "training_cost.png" in capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {"cost.png", "training_cost.png"}


def test_output_graph_logs_every_cost_for_tensorboard(tmp_path, monkeypatch):
    tf = backend.tf
    monkeypatch.chdir(tmp_path)
    mem = MemoryDNN([9, 5, 9], 2, output_graph=True)
    mem.encode(*frames(600))
    (log,) = os.listdir("logs")
    found = {}
    for record in tf.data.TFRecordDataset(os.path.join("logs", log)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    assert len(found) == 18 and found == {
        (f"training cost/DNN {k + 1}", step + 1): cost
        for k in range(2)
        for step, cost in enumerate(mem.cost_his[k])
    }


# TensorFlow


def test_device(monkeypatch):
    use_device, config = backend.use_device, backend.tf.config
    # Where there are GPUs TensorFlow is told which of them it is to see, and may refuse.
    visible = {"GPU": ["a", "b"]}
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: ["a", "b"])
    monkeypatch.setattr(config, "get_visible_devices", lambda kind: visible[kind])
    monkeypatch.setattr(
        config, "set_visible_devices", lambda gpus, kind: visible.update({kind: gpus})
    )
    assert use_device() == "GPU:0" and visible["GPU"] == ["a", "b"]
    assert use_device("gpu:1") == "GPU:1" and visible["GPU"] == ["b"]
    assert use_device("GPU") == "GPU:0" and visible["GPU"] == ["a"]
    assert use_device("CPU:0") == "CPU" and visible["GPU"] == []
    assert use_device() == "CPU"
    with pytest.raises(ValueError, match="one of CPU, GPU:0, GPU:1, got 'GPU:2'"):
        use_device("GPU:2")

    def too_late(gpus, kind):
        raise RuntimeError("devices cannot be modified after being initialized")

    monkeypatch.setattr(config, "set_visible_devices", too_late)
    with pytest.raises(ValueError, match="too late to compute on GPU:1: devices cannot be"):
        use_device("GPU:1")


# What scripts do with a MemoryDNN


def test_decode_of_one_frame_is_a_list_that_scripts_extend():
    mem, (h, _) = MemoryDNN([9, 5, 9], 3, seed=0), frames(4)
    m_list = mem.decode(h[0])
    assert type(m_list) is list and len(m_list) == 3
    assert all(m.shape == (9,) and m.dtype == np.int32 for m in m_list)
    np.testing.assert_array_equal(m_list, mem.decode(h)[:, 0])
    m_list += [np.zeros(9, int)]  # to an array it would add nothing
    m_list.append(np.ones(9, int))
    assert len(m_list) == 5


def trained(frames_before, change, frames_after, save=None):
    """A MemoryDNN that learns, is changed, and continues."""
    net = MemoryDNN([9, 5, 9], 2, seed=3)
    h, m = (array[: frames_before + frames_after] for array in frames(700))
    net.encode(h[:frames_before], m[:frames_before])
    change(net)
    if save:
        net.save(save)
        net = MemoryDNN.load(save)
    net.encode(h[frames_before:], m[frames_before:])
    return net


def test_learning_rate_can_be_changed(tmp_path):
    # It counts from the next step on, as if it had been so, on its saved and loaded twin, too.
    def slower(net):
        net.lr = 1e-3

    net = trained(560, slower, 60)
    twin = trained(560, slower, 60, save=tmp_path / "model")
    assert net.lr == twin.lr == 1e-3 and net.cost_his == twin.cost_his
    assert_same_state(net, twin)
    weights = trained(0, slower, 620).get_weights(), trained(0, lambda net: None, 620).get_weights()
    assert any((ours != theirs).any() for ours, theirs in zip(net.get_weights(), weights[0]))
    assert any((ours != theirs).any() for ours, theirs in zip(net.get_weights(), weights[1]))
    frozen = trained(560, lambda net: setattr(net, "lr", 1e-30), 60)
    before = trained(560, lambda net: None, 0)
    for ours, theirs in zip(frozen.get_weights(), before.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


def test_training_interval_and_batch_size_can_be_changed(tmp_path):
    def change(net):
        net.training_interval, net.batch_size = 7, 16

    for save in (None, tmp_path / "model"):
        net = trained(523, change, 100, save)
        # At 520; then at 525, 532, ..., 623: counters that 7 divides.
        assert len(net.cost_his[0]) == 1 + len(range(525, 625, 7))


def test_changes_count_in_the_compiled_loop(published):
    nets = [MemoryDNN([9, 9], 2, seed=3) for _ in range(2)]
    plain, ddlo = (DDLO(net, MUMT(3, 3)) for net in nets)
    loop = compile_loop(ddlo)
    at = 0
    for changes in ({}, {"lr": 0.1}, {"training_interval": 7}, {"batch_size": 3, "lr": 0.02}):
        for net in nets:
            for name, value in changes.items():
                setattr(net, name, value)
        d = published[0][at : at + 601]
        for ours, theirs in zip(loop(d), plain.decide_and_learn(d)):
            np.testing.assert_array_equal(ours, theirs)
        at += 601
    assert_same_state(*nets)


@pytest.mark.parametrize(
    "name, value, error",
    [
        ("lr", 0, ValueError),
        ("lr", "fast", ValueError),
        ("training_interval", 2.5, ValueError),
        ("batch_size", 0, ValueError),
        ("scale", 3, ValueError),
        ("net", [9, 9], AttributeError),
        ("net_num", 5, AttributeError),
        ("memory_size", 7, AttributeError),
        ("beta1", 0.9, AttributeError),
        ("candidates", threshold, AttributeError),
    ],
)
def test_attributes_that_cannot_be_set_so(shared, name, value, error):
    before = getattr(shared, name)
    with pytest.raises(error, match=name):
        setattr(shared, name, value)
    assert getattr(shared, name) is before


def test_numpys_seed_makes_an_unseeded_one_reproducible():
    nets = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        nets.append(MemoryDNN([9, 5, 9], 2))
    assert_same_state(nets[0], nets[1])
    assert (nets[0].get_weights()[0] != nets[2].get_weights()[0]).any()
    assert (nets[2].get_weights()[0] != MemoryDNN([9, 5, 9], 2).get_weights()[0]).any()


class Own(MemoryDNN):
    """A subclass with another attribute."""

    note = None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_and_pickles_resume_alike(copied):
    net = Own([9, 5, 9], 2, seed=3, candidates=Flips(2), scale=Scale(1, 2))
    net.note = "mine"
    h, m = frames(700)
    net.encode(h[:600], m[:600])
    net.lr = 0.02
    other = copied(net)
    assert type(other) is Own and other.note == "mine" and other.lr == 0.02
    assert other.candidates == net.candidates and other.scale == net.scale
    assert_same_state(net, other)
    net.encode(h[600:], m[600:])
    assert other.memory_counter == 601
    other.encode(h[600:], m[600:])
    assert_same_state(net, other)
    assert net.cost_his == other.cost_his


def test_scale_is_saved_with_the_model(tmp_path):
    scale = Scale((0, 1e-7), (5, 3e-6))
    MemoryDNN([2, 2], 1, seed=0, scale=scale).save(tmp_path / "model")
    assert MemoryDNN.load(tmp_path / "model").scale == scale
    MemoryDNN([2, 2], 1, seed=0, scale=np.sqrt).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"scale 'sqrt' is custom .* scale="):
        MemoryDNN.load(tmp_path / "model")
    assert MemoryDNN.load(tmp_path / "model", scale=np.sqrt).scale is np.sqrt


def test_inputs_far_outside_the_range_warn_once(published):
    task_size = 100 * published[0][:3]
    net = MemoryDNN([9, 5, 9], 2)
    with pytest.warns(UserWarning, match=r"far outside -100 to 100.*Scale\.of\(states\)"):
        net.decode(10 * task_size[0] - 200)
    scaled = MemoryDNN([9, 5, 9], 2, scale=Scale.of(task_size))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled.decode(scaled.scale(task_size))
        net.decode(10 * task_size[1] - 200)  # not again


class Tanh(MemoryDNN, compiled=True):
    """Other layers."""

    def forward(self, weights, h, xp=np):
        w1, b1, w2, b2 = weights
        return xp.tanh(h @ w1 / 100 + b1[:, None]) @ w2 + b2[:, None]


def test_other_layers_decide_alike_everywhere_and_train_as_they_are(published):
    nets = [Tanh([9, 20, 9], 3, seed=3, learning_rate=0.001) for _ in range(2)]
    loop, plain = compile_loop(DDLO(nets[0], MUMT(3, 3))), DDLO(nets[1], MUMT(3, 3))
    for mine, others in zip(loop(published[0][:1237]), plain.decide_and_learn(published[0][:1237])):
        np.testing.assert_array_equal(mine, others)
    assert_same_state(*nets)
    # One training step, in double precision. Bias correction undoes beta1 in Adam's first step.
    net = Tanh([9, 20, 9], 1, seed=0)
    net.remember(*frames(1023))
    sample = np.arange(128)[None]
    w1, b1, w2, b2 = (w[0].astype(float) for w in net.get_weights())
    h, y = net.memory[:128, :9].astype(float), net.memory[:128, 9:]
    hidden = np.tanh(h @ w1 / 100 + b1)
    dz = (1 / (1 + np.exp(-(hidden @ w2 + b2))) - y) / y.size
    gradient = h.T @ (dz @ w2.T * (1 - hidden**2)) / 100
    net.learn(sample)
    root = np.sqrt(1 - 0.999)
    step = -0.01 * root * gradient / (root * np.abs(gradient) + 1e-8)
    np.testing.assert_allclose(net.get_weights()[0][0] - w1, step, atol=1e-5)


def test_constant_states_do_not_give_inputs_of_zero(published):
    d = np.repeat(published[0][:1], 100, axis=0)
    assert (Scale.of(d)(d) == 100).all()


def test_scale_of_training_samples(published):
    d = published[0][:16000].copy()
    np.testing.assert_array_equal(Scale.of(d)(published[0]), 10 * published[0] - 200)
    np.testing.assert_array_equal(Scale()(d), 10 * d - 200)
    small = Scale.of(0.1 * d)
    np.testing.assert_allclose(small(0.1 * d), 10 * d - 200, atol=1e-11)
    d[:, 4] = 0  # a user without a task
    assert (Scale.of(d)(d)[:, 4] == 100).all()
    with pytest.raises(ValueError, match="low must be <= high, got 3.0 and 2.0"):
        Scale(3, 2)
    with pytest.raises(ValueError, match="high must be finite"):
        Scale(3, np.inf)
