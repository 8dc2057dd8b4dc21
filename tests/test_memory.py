"""MemoryDNN against the rules of the released package, written out here in plain NumPy."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memory
from memory import MemoryDNN


def net(net_num=2, seed=0, **parameters):
    return MemoryDNN([9, 120, 80, 9], net_num, seed=seed, **parameters)


def frames(number, seed=0):
    """Inputs (number, 9) as of task sizes of 10 to 30 MB, and decisions to go with them."""
    random = np.random.default_rng(seed)
    h = 10 * random.integers(10, 31, (number, 9)) - 200
    return h, (h + random.normal(0, 30, h.shape) > 0).astype(int)


class Recorder(MemoryDNN):
    """Writes down when it is to train, and on what memory, instead of training."""

    def __init__(self, **parameters):
        super().__init__([3, 4, 3], 2, seed=0, **parameters)
        self.trainings = []

    def learn(self):
        self.trainings.append((self.memory_counter, self.memory.copy()))


def test_attributes_of_the_released_interface():
    mem = MemoryDNN(net=[9, 120, 80, 9], net_num=3, output_graph=False)
    defaults = (mem.lr, mem.training_interval, mem.batch_size, mem.memory_size, mem.memory_counter)
    assert defaults == (0.01, 10, 128, 1024, 1)
    assert mem.net == [9, 120, 80, 9] and mem.net_num == 3 and mem.cost_his == [[], [], []]
    assert mem.memory.shape == (1024, 18) and not mem.memory.any()


def test_layers_from_an_iterator():
    assert MemoryDNN(map(int, "959"), 1).net == [9, 5, 9]


def test_initial_weights():
    weights = MemoryDNN([9, 120, 80, 9], 20, seed=0).get_weights()
    shapes = [(20, 9, 120), (20, 120), (20, 120, 80), (20, 80), (20, 80, 9), (20, 9)]
    assert [w.shape for w in weights] == shapes
    for w, b in zip(weights[::2], weights[1::2]):
        assert not b.any()
        # The released standard deviation, 1/9 in every layer; four standard errors are allowed for.
        assert w.std() == pytest.approx(1 / 9, rel=4 / np.sqrt(2 * w.size))
        assert abs(w.mean()) < 4 / 9 / np.sqrt(w.size)
        assert len(np.unique(w[:, 0, 0])) == 20


def test_seed():
    h, m = frames(600)
    runs = [net(seed=seed) for seed in (1, 1, 2, None, None)]
    for run in runs:
        run.encode(h, m)
    costs = [run.cost_his for run in runs]
    assert len(costs[0][0]) == 9 and costs[0] == costs[1]
    assert all(costs[i] != costs[j] for i, j in [(0, 2), (0, 3), (3, 4)])


def test_decode_thresholds_the_logits():
    mem = net(3)
    weights = [np.random.default_rng(1).normal(0, 0.3, w.shape) for w in mem.get_weights()]
    mem.set_weights(weights)
    h = frames(200)[0]
    decisions = mem.decode(h)
    assert decisions.shape == (3, 200, 9) and decisions.dtype.kind == "i"
    for k in range(3):
        w1, b1, w2, b2, w3, b3 = (w[k] for w in weights)
        hidden = np.maximum(np.maximum(h @ w1 + b1, 0) @ w2 + b2, 0)
        np.testing.assert_array_equal(decisions[k], hidden @ w3 + b3 > 0)
    assert 0.1 < decisions.mean() < 0.9
    assert mem.decode(h[0]).shape == (3, 9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([0.0, 1e-6, 1e-3, 0.1]))
def test_decode_block_equals_frame_by_frame(shared, seed, length, scale):
    # Small weights of the last layer against large ones before it bring logits close to 0.
    random = np.random.default_rng(seed)
    weights = [random.normal(0, 0.3, w.shape) for w in shared.get_weights()]
    weights[-2] *= scale
    weights[-1] *= scale
    shared.set_weights(weights)
    h = frames(length, seed)[0]
    block = shared.decode(h)
    for i in range(length):
        np.testing.assert_array_equal(shared.decode(h[i]), block[:, i])


@pytest.fixture(scope="module")
def shared():
    return net(3)


def test_decode_asks_compiled_code_where_rounding_might_turn_a_decision(shared):
    # Every logit is a sum that is 0 but for rounding, which depends on the order of the terms.
    weights = [np.random.default_rng(5).normal(0, 0.3, w.shape) for w in shared.get_weights()]
    _, _, w2, b2, w3, b3 = weights
    w2[..., 40:], b2[..., 40:] = w2[..., :40], b2[..., :40]
    w3[:, 40:] = -w3[:, np.roll(np.arange(40), 7)]
    w3[:, :40] = -w3[:, 40:]
    b3[...] = 0
    shared.set_weights(weights)
    h = np.zeros((shared.training_interval, 9), np.float32)
    h[:7] = frames(7)[0]
    expected = shared._compiled_logits(h).numpy()[:, :7] > 0
    np.testing.assert_array_equal(shared.decode(h[:7]), expected)
    np.testing.assert_array_equal(shared.decode(h[3]), expected[:, 3])


def flipped(decision, sureness, flips, users):
    """The decisions (flips, n_out), written plainly, with a task of each user flipped."""
    tasks = len(decision) // users
    candidates = np.tile(decision, (flips, 1))
    for user in range(users):
        of_user = range(user * tasks, (user + 1) * tasks)
        least_sure = sorted(of_user, key=lambda task: sureness[task])[:flips]
        for candidate, task in zip(candidates, sorted(least_sure)):
            candidate[task] = not candidate[task]
    return candidates


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(0, 2))
def test_flips_are_those_of_the_least_sure_tasks(seed, flips, user_flips):
    import tensorflow.experimental.numpy as tnp

    mem = MemoryDNN([6, 3, 6], 2, flips=flips, user_flips=user_flips, users=3)
    z = np.random.default_rng(seed).normal(0, 2, (2, 4, 6)).astype(np.float32)
    candidates = mem.candidates(z)
    assert candidates.shape == (2 * (1 + flips + user_flips), 4, 6)
    np.testing.assert_array_equal(mem.candidates(tnp.asarray(z), tnp).numpy(), candidates)
    for k, i in np.ndindex(2, 4):
        decision, sureness = z[k, i] > 0, np.abs(z[k, i])
        own, others, of_users = np.split(candidates[k::2, i], [1, 1 + flips])
        np.testing.assert_array_equal(own[0], decision)
        np.testing.assert_array_equal(others, flipped(decision, sureness, flips, 1))
        np.testing.assert_array_equal(of_users, flipped(decision, sureness, user_flips, 3))


def test_decode_with_flips():
    mem = net(3, flips=2, user_flips=1, users=3)
    h = frames(100)[0]
    decisions = mem.decode(h)
    assert decisions.shape == (12, 100, 9) and decisions.dtype == np.int32
    plain = net(3)  # the same seed, and so the same weights
    np.testing.assert_array_equal(decisions[:3], plain.decode(h))
    assert (np.abs(decisions[3:9].reshape(2, 3, 100, 9) - decisions[:3]).sum(axis=-1) == 1).all()
    assert (np.abs(decisions[9:] - decisions[:3]).sum(axis=-1) == 3).all()
    np.testing.assert_array_equal(mem.decode(h[7]), decisions[:, 7])


def test_rounding_can_turn_which_tasks_are_least_sure():
    logits = np.array([[3.0, -1, 2], [1, -1.00001, 7], [1, 2, -2.00001], [1e-7, 2, 3]])[None]
    rounding = np.full(logits.shape, 1e-4)
    unsure = {
        flips: MemoryDNN([3, 2, 3], 1, flips=flips)._unsure(logits, rounding).tolist()
        for flips in range(4)
    }
    assert unsure == {
        0: [False, False, False, True],
        1: [False, True, False, True],
        2: [False, False, True, True],
        3: [False, False, False, True],
    }
    by_user = MemoryDNN([6, 2, 6], 1, user_flips=1, users=2)
    logits, rounding = np.concatenate([logits, logits[:, [0, 0, 1, 0]]], axis=2), rounding[..., :1]
    rounding = np.tile(rounding, 6)
    assert by_user._unsure(logits, rounding).tolist() == [False, True, True, True]


def test_ring_memory():
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


def test_when_the_dnns_are_trained():
    mem = Recorder()
    h, m = np.ones((1100, 3)), np.ones((1100, 3))
    assert mem.frames_to_training == 519
    for i in range(1100):
        mem.encode(h[i], m[i])
    assert [counter for counter, _ in mem.trainings] == list(range(520, 1102, 10))
    assert mem.frames_to_training == 1110 - mem.memory_counter == 9


@pytest.mark.parametrize("interval, first", [(1, 512), (50, 550), (512, 512), (700, 700)])
def test_first_training_is_due_at_512_entries(interval, first):
    mem = Recorder(training_interval=interval, memory_size=100)
    assert mem.memory_counter + mem.frames_to_training == first


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 300),
    st.lists(st.integers(1, 400), min_size=1, max_size=8),
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
    assert len(whole.trainings) == len(single.trainings)
    for (counter, rows), (single_counter, single_rows) in zip(whole.trainings, single.trainings):
        assert counter == single_counter
        np.testing.assert_array_equal(rows, single_rows)


def test_mini_batches(monkeypatch):
    mem = net(3, memory_size=1024)
    h, m = frames(1030)
    drawn = []
    train = mem._compiled_train
    monkeypatch.setattr(
        mem, "_compiled_train", lambda memory, s: drawn.append(s) or train(memory, s)
    )
    for i in range(0, 1029, 49):
        mem.encode(h[i : i + 49], m[i : i + 49])
    assert len(drawn) == len(range(520, 1031, 10)) and drawn[0].shape == (3, 128)
    for counter, sample in zip(range(520, 1031, 10), drawn):
        # Row 0, still empty, and the newest one are among those drawn; each DNN has its own.
        assert 0 <= sample.min() and sample.max() < min(counter, 1024)
        assert (sample[0] != sample[1]).any() and (sample[1] != sample[2]).any()
    share = np.mean(np.concatenate(drawn) == 0) * 750
    assert 0.5 < share < 2


def reference_training(weights, batches, learning_rate):
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
        rate = learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.09**t)
        for w, moment, g in zip(weights, moments, gradients):
            moment[0] += (1 - 0.09) * (g - moment[0])
            moment[1] += (1 - 0.999) * (g * g - moment[1])
            w -= rate * moment[0] / (np.sqrt(moment[1]) + 1e-8)
    return costs


# With the released rate rounding grows a thousandfold and more within 20 trainings, in any two
# implementations, as Adam makes large steps of gradients that are next to nothing.
@pytest.mark.parametrize("learning_rate, trainings, rtol", [(0.01, 5, 1e-4), (0.001, 20, 1e-5)])
def test_training_follows_the_released_loss_and_adam(learning_rate, trainings, rtol):
    mem = net(2, learning_rate=learning_rate)
    mem.remember(*frames(1023))
    start = [w.astype(float) for w in mem.get_weights()]
    samples = np.random.default_rng(3).integers(0, 1024, (trainings, 2, 128))
    samples[:, :, 0] = 0  # the empty row
    for sample in samples:
        mem.learn(sample)
    rows = mem.memory.astype(float)
    for k in range(2):
        weights = [w[k].copy() for w in start]
        batches = [(rows[sample[k], :9], rows[sample[k], 9:]) for sample in samples]
        expected = reference_training(weights, batches, learning_rate)
        np.testing.assert_allclose(mem.cost_his[k], expected, rtol=rtol)
        for ours, reference in zip(mem.get_weights(), weights):
            np.testing.assert_allclose(ours[k], reference, rtol=0, atol=rtol)


def test_each_dnn_learns_on_its_own():
    three, one = net(3), net(1)
    h, m = frames(1000)
    weights = three.get_weights()
    one.set_weights([w[1:2] for w in weights])
    for mem in (three, one):
        mem.remember(h, m)
    samples = np.random.default_rng(0).integers(0, 1001, (5, 3, 128))
    for sample in samples:
        three.learn(sample)
        one.learn(sample[1:2])
    np.testing.assert_allclose(three.cost_his[1], one.cost_his[0], rtol=1e-5)


def test_learning_succeeds():
    mem = net(2)
    h, m = frames(3000)
    mem.encode(h, m)
    assert all(np.mean(cost[-20:]) < 0.5 * np.mean(cost[:5]) for cost in mem.cost_his)


def test_weights_round_trip():
    mem = net(2)
    weights = [np.random.default_rng(2).normal(size=w.shape) for w in mem.get_weights()]
    before = mem.decode(frames(50)[0])
    mem.set_weights(weights)
    for ours, given_ in zip(mem.get_weights(), weights):
        np.testing.assert_array_equal(ours, given_.astype(np.float32))
    assert (mem.decode(frames(50)[0]) != before).any()


def test_reset_begins_anew():
    mem, h_m = net(2, seed=1), frames(600)
    mem.encode(*h_m)
    mem.reset(3)
    other = net(2, seed=3)
    assert mem.memory_counter == 1 and mem.cost_his == [[], []] and not mem.memory.any()
    for of_one in (mem, other):
        of_one.encode(*h_m)
    assert mem.cost_his == other.cost_his and len(mem.cost_his[0]) == 9
    for ours, theirs in zip(mem.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(mem.decode(h_m[0]), other.decode(h_m[0]))
    with pytest.raises(ValueError, match="seed is -1"):
        mem.reset(-1)


def test_get_weights_returns_a_copy():
    mem = net(1)
    weights = mem.get_weights()
    kept = [w.copy() for w in weights]
    mem.encode(*frames(600))
    for w, before, now in zip(weights, kept, mem.get_weights()):
        np.testing.assert_array_equal(w, before)
        assert (now != before).any()


@pytest.mark.parametrize("name, entries", [("model", 0), ("model.npz", 545), ("model.dnn", 1500)])
def test_loaded_one_goes_on_as_the_saved_one(tmp_path, name, entries):
    flips = {"flips": 3, "user_flips": 1, "users": 3, "recombine": True}
    saved = net(2, memory_size=1000, learning_rate=0.02, **flips)
    h, m = frames(entries + 600)
    if entries:
        saved.encode(h[:entries], m[:entries])
    saved.save(tmp_path / name)
    expected = "model.npz" if name == "model" else name
    assert [file.name for file in tmp_path.iterdir()] == [expected]
    loaded = MemoryDNN.load(tmp_path / name)
    assert (loaded.lr, loaded.memory_size, loaded.memory_counter) == (0.02, 1000, entries + 1)
    assert {name: getattr(loaded, name) for name in flips} == flips
    for mem in (saved, loaded):
        mem.encode(h[entries:], m[entries:])
    assert loaded.cost_his == saved.cost_his and len(saved.cost_his[0]) >= 9
    np.testing.assert_array_equal(loaded.memory, saved.memory)
    np.testing.assert_array_equal(loaded.decode(h), saved.decode(h))
    for ours, theirs in zip(loaded.get_weights(), saved.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    def disk_full(file, **content):
        file.write(b"half")
        raise OSError("no space left")

    (tmp_path / "model.npz").write_text("kept")
    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with pytest.raises(OSError, match="no space left"):
        net(1).save(tmp_path / "model")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["kept"]


def test_load_refuses(tmp_path):
    path = tmp_path / "model.npz"
    with pytest.raises(FileNotFoundError):
        MemoryDNN.load(path)
    net(1).save(path)
    content = path.read_bytes()
    whole = dict(np.load(path))
    parameters = json.loads(str(whole["parameters"]))
    bad_files = [b"", b"no model", content[:5000], content[:2000] + b"\0" * 2000 + content[4000:]]
    for bad in bad_files:
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="model.npz is not a saved MemoryDNN"):
            MemoryDNN.load(path)
    bad_contents = [
        {"other": np.zeros(3)},
        whole | {"parameters": json.dumps(parameters | {"net_num": 0})},
        whole | {"parameters": json.dumps(parameters | {"net": [9, 100, 80, 9]})},
        whole | {"parameters": "{"},
        whole | {"memory_counter": -5},
        whole | {"memory": whole["memory"][:1]},
        whole | {"cost_his": whole["cost_his"][:0]},
    ]
    for bad in bad_contents:
        np.savez(path, **bad)
        with pytest.raises(ValueError, match="model.npz is not a saved MemoryDNN"):
            MemoryDNN.load(path)
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(ValueError, match="array.npy is not a saved MemoryDNN"):
        MemoryDNN.load(tmp_path / "array.npy")


def test_diverging_training_stops_with_a_message():
    mem = net(2, learning_rate=1e30)
    h, m = frames(700)
    with pytest.raises(FloatingPointError) as error:
        mem.encode(h, m)
    assert "DNN 1" in str(error.value) and "training step 2" in str(error.value)
    assert "learning_rate, 1e+30" in str(error.value)


def test_plot_cost(tmp_path, monkeypatch, capsys):
    import matplotlib.image
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    mem = net(2)
    mem.encode(*frames(600))
    mem.plot_cost("cost.png")
    assert matplotlib.image.imread("cost.png").shape == (675, 1200, 4)
    mem.plot_cost()
    assert "training_cost.png" in capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {"cost.png", "training_cost.png"}


def test_output_graph_logs_every_cost_for_tensorboard(tmp_path, monkeypatch):
    import tensorflow as tf

    monkeypatch.chdir(tmp_path)
    mem = net(2, output_graph=True)
    mem.encode(*frames(600))
    (log,) = os.listdir("logs")
    found = {}
    for record in tf.data.TFRecordDataset(os.path.join("logs", log)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    assert found == {
        (f"training cost/DNN {k + 1}", step + 1): cost
        for k in range(2)
        for step, cost in enumerate(mem.cost_his[k])
    }


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"net": []}, "net is"),
        ({"net": [9]}, "net is"),
        ({"net": 9}, "net is 9; an input and an output layer"),
        ({"net": [9, 0, 9]}, r"net\[1\] is 0"),
        ({"net": [9, 1.5, 9]}, r"net\[1\] is 1.5"),
        ({"net_num": 0}, "net_num is 0"),
        ({"net_num": True}, "net_num is True"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1"),
        ({"learning_rate": np.nan}, "learning_rate is nan"),
        ({"learning_rate": np.inf}, "learning_rate is inf"),
        ({"learning_rate": "0.1"}, "learning_rate is '0.1'"),
        ({"training_interval": 0}, "training_interval is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"memory_size": -5}, "memory_size is -5"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"flips": -1}, "flips is -1; a whole number from 0 to 9"),
        ({"flips": 10}, "flips is 10"),
        ({"users": 2}, "users is 2; a divisor of 9"),
        ({"user_flips": 4, "users": 3}, "user_flips is 4; a whole number from 0 to 3"),
    ],
)
def test_parameters_out_of_range(parameters, message):
    with pytest.raises(ValueError, match=message):
        MemoryDNN(**({"net": [9, 5, 9], "net_num": 2} | parameters))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda mem: mem.decode(np.zeros(8)), r"h has shape \(8,\); \(9,\) or \(frames, 9\)"),
        (lambda mem: mem.decode(np.zeros((2, 2, 9))), r"h has shape \(2, 2, 9\)"),
        (lambda mem: mem.decode([np.nan] * 9), "h has an entry that is not finite"),
        (lambda mem: mem.decode(["a"] * 9), "h is not an array of numbers"),
        (lambda mem: mem.encode(np.zeros(9), np.zeros(8)), r"m has shape \(8,\)"),
        (lambda mem: mem.encode(np.zeros((3, 9)), np.zeros((2, 9))), "as many of each"),
        (lambda mem: mem.encode(np.zeros(9), np.full(9, 2)), "neither 0 .* nor 1"),
        (lambda mem: mem.encode(np.full(9, np.inf), np.zeros(9)), "h has an entry that is not fin"),
        (lambda mem: mem.remember(np.zeros(9), np.full(9, 0.5)), "neither 0 .* nor 1"),
        (lambda mem: mem.learn(np.zeros((2, 100), int)), "sample_index has shape"),
        (lambda mem: mem.learn(np.zeros((2, 128))), "sample_index has shape .* float64"),
        (lambda mem: mem.learn(np.full((2, 128), 1024)), "from 1024 to 1024; rows 0 to 1023"),
        (lambda mem: mem.learn(np.full((2, 128), -1)), "from -1 to -1"),
        (lambda mem: mem.set_weights(mem.get_weights()[:4]), "weights have shapes"),
        (lambda mem: mem.set_weights([w[:1] for w in mem.get_weights()]), "weights have shapes"),
        (lambda mem: mem.set_weights([w + np.nan for w in mem.get_weights()]), "not finite"),
        (lambda mem: mem.set_weights(None), "weights are None; a list of arrays was expected"),
    ],
)
def test_bad_input_changes_nothing(call, message):
    mem = net(2)
    before = mem.get_weights()
    with pytest.raises(ValueError, match=message):
        call(mem)
    assert mem.memory_counter == 1 and not mem.memory.any() and mem.cost_his == [[], []]
    for w, now in zip(before, mem.get_weights()):
        np.testing.assert_array_equal(w, now)


def test_import_is_quiet_and_leaves_stderr_as_it_was(capfd):
    with memory.quiet_stderr():
        os.write(2, b"greeting")
    os.write(2, b"message")
    assert capfd.readouterr().err == "message"


def test_device(monkeypatch):
    assert memory.use_device() == memory.use_device("cpu") == memory.use_device("CPU:0") == "CPU"
    with pytest.raises(ValueError, match="there is no device GPU; TensorFlow sees CPU"):
        memory.use_device("GPU")
    # Where there are GPUs: TensorFlow is told which of them it is to see, and may refuse.
    visible = {"GPU": ["a", "b"]}
    config = memory.tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: ["a", "b"])
    monkeypatch.setattr(config, "get_visible_devices", visible.get)
    monkeypatch.setattr(
        config, "set_visible_devices", lambda gpus, kind: visible.update({kind: gpus})
    )
    assert memory.use_device() == "GPU:0" and visible["GPU"] == ["a", "b"]
    assert memory.use_device("gpu:1") == "GPU:1" and visible["GPU"] == ["b"]
    assert memory.use_device("GPU") == "GPU:0" and visible["GPU"] == ["a"]
    assert memory.use_device("CPU") == "CPU" and visible["GPU"] == []

    def too_late(gpus, kind):
        raise RuntimeError("devices cannot be modified after being initialized")

    monkeypatch.setattr(config, "set_visible_devices", too_late)
    with pytest.raises(
        ValueError, match="too late to compute on GPU:1: devices cannot be modified"
    ):
        memory.use_device("GPU:1")
