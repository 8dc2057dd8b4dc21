"""The published data set, as committed and as made again; the generator; what load_data refuses."""

import hashlib

import numpy as np
import pytest
import scipy.io

from experiments import generate_data
from MUMT import MUMT, load_data

from .conftest import DATA, command

# Of the arrays published with the DDLO package.
SHA256 = {
    "task_size": "0663740498008c58e1dc728bd20f3ba6dab095374835f9013477330dc771d8ec",
    "gain_min": "1b89b8289766268ffd4ad7df22f0668b05a09b054f6967d664750db8d82b5493",
    "gain_mode": "996b1ec2047c062dc20eeeced643fc3a45565e96b92f6f42c55108f2357003d5",
}
TYPES = {"task_size": "<i4", "gain_min": "<f8", "gain_mode": "u1"}


def digests(data):
    return {
        key: hashlib.sha256(np.ascontiguousarray(data[key], kind).tobytes()).hexdigest()
        for key, kind in TYPES.items()
    }


cli = command(generate_data)
HEADER = ("__header__", "__version__", "__globals__")  # of every MATLAB file, as SciPy reads it


def test_committed_file_is_the_published_data_set():
    data = scipy.io.loadmat(DATA)
    assert digests(data) == SHA256
    assert {key: (data[key].dtype.str, data[key].shape) for key in SHA256} == {
        "task_size": ("<i4", (20000, 9)),
        "gain_min": ("<f8", (1, 20000)),
        "gain_mode": ("<i4", (20000, 9)),
    }
    assert DATA.stat().st_size < 500_000


def test_generator_makes_the_published_data_set_from_nothing(tmp_path, monkeypatch):
    out = tmp_path / "made.mat"
    assert cli(monkeypatch, "--out", out) is None
    made, committed = scipy.io.loadmat(out), scipy.io.loadmat(DATA)
    assert digests(made) == SHA256 and set(made) == set(committed) == {*HEADER, *SHA256}
    for key in SHA256:
        assert made[key].dtype == committed[key].dtype and made[key].shape == committed[key].shape
    assert [file.name for file in tmp_path.iterdir()] == ["made.mat"]


def test_task_sizes_follow_the_seeding_rule_for_any_size():
    sizes = generate_data.task_sizes(range(7, 12), 4, 2)
    expected = [np.random.RandomState(i).randint(10, 31, size=(4, 2)).ravel() for i in range(7, 12)]
    np.testing.assert_array_equal(sizes, expected)


@pytest.mark.parametrize("users, tasks", [(1, 1), (2, 5), (5, 2), (6, 3), (1, 13)])
def test_generated_file_of_another_size_loads(tmp_path, monkeypatch, users, tasks):
    out = tmp_path / "data.mat"
    size = ("--users", users, "--tasks", tasks, "--samples", 30)
    assert cli(monkeypatch, *size, "--out", out) is None
    task_size, gain_min = load_data(out, MUMT(users, tasks))
    assert task_size.shape == (30, users * tasks) and gain_min.shape == (30,)
    # The first samples do not depend on how many there are.
    again = generate_data.generate(MUMT(users, tasks), 5)
    np.testing.assert_array_equal(again["task_size"], task_size[:5])


def test_default_file_name(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli(monkeypatch, "--users", 2, "--tasks", 1, "--samples", 3) is None
    assert cli(monkeypatch, "--users", 2, "--bandwidth", "optimal", "--samples", 3) is None
    names = {file.name for file in (tmp_path / "data").iterdir()}
    assert names == {"MUMT_data_2X1.mat", "MUMT_data_2X3_optimal.mat"}
    # One for another cell does not ask to overwrite the published one.
    assert cli(monkeypatch, "--uplink", 50.5, "--samples", 3) is None
    assert (tmp_path / "data" / "MUMT_data_3X3_50.5.mat").is_file()


def test_data_set_of_optimal_bandwidth(tmp_path, monkeypatch, published):
    out = tmp_path / "data.mat"
    assert cli(monkeypatch, "--bandwidth", "optimal", "--samples", 30, "--out", out) is None
    network = MUMT(3, 3, bandwidth="optimal")
    task_size, gain_min = load_data(out, network)
    np.testing.assert_array_equal(task_size, published[0][:30])
    np.testing.assert_array_equal(gain_min, network.optimum(task_size)[0])
    assert scipy.io.loadmat(out)["bandwidth"].item() == "optimal"
    with pytest.raises(ValueError, match="is for optimal bandwidth; one for equal bandwidth"):
        load_data(out, MUMT(3, 3))
    with pytest.raises(
        ValueError, match="is for equal bandwidth; one for optimal .* optimal makes"
    ):
        load_data(DATA, network)


def test_data_set_with_a_lower_bound(tmp_path, monkeypatch):
    out = tmp_path / "data.mat"
    asked = ("--users", 6, "--bandwidth", "optimal", "--uplink", 200, "--samples", 30, "--out", out)
    assert cli(monkeypatch, *asked) is None
    network = MUMT(6, 3, bandwidth="optimal", uplink_bandwidth=25)
    task_size, gain_min = load_data(out, network)
    np.testing.assert_array_equal(gain_min, network.lower_bound(task_size))
    data = scipy.io.loadmat(out)
    Q = network.compute_Q(task_size, data["gain_mode"])
    assert (gain_min < Q).all() and (Q < 1.01 * gain_min).all()
    # Utilities that somebody has found in another way, such as optima, are taken as well.
    found = {key: data[key] for key in ("task_size", "gain_mode", "bandwidth")}
    scipy.io.savemat(tmp_path / "found.mat", found | {"gain_min": Q})
    np.testing.assert_array_equal(load_data(tmp_path / "found.mat", network)[1], Q)
    with pytest.raises(ValueError, match="expected, the lower bound: .* for another network"):
        load_data(out, MUMT(6, 3, bandwidth="optimal"))


class PlainUtility:
    """A utility of the user's own, in plain NumPy: offloading a task costs 1, any other its size."""

    def __init__(self, N, M):
        self.N, self.M = N, M
        self.bandwidth = np.array([12.5, 7])  # of a user's own meaning

    def compute_Q(self, task_size, decision):
        return np.where(np.asarray(decision) == 1, 15, task_size).sum(axis=-1)


def test_data_set_for_a_utility_of_the_users_own(tmp_path):
    generate_data.save_data(tmp_path / "own.mat", generate_data.generate(PlainUtility(2, 2), 20))
    task_size, gain_min = load_data(tmp_path / "own.mat", PlainUtility(2, 2))
    np.testing.assert_array_equal(gain_min, np.minimum(task_size, 15).sum(axis=1))
    with pytest.raises(
        ValueError, match="PlainUtility has 13 tasks and no method optimum of its own"
    ):
        generate_data.generate(PlainUtility(1, 13), 20)


class OwnQ(MUMT):
    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, decision) + 1

    def optimum(self, task_size):
        return np.full(len(task_size), 7.0), np.ones(task_size.shape)


class OwnOptimum(MUMT):
    def user_utility(self, costs, decision, np=np):
        return 2 * super().user_utility(costs, decision, np)

    def optimum(self, task_size):
        x = np.ones(np.shape(task_size), np.int32)
        return self.compute_Q(task_size, x), x


def test_data_for_another_utility_without_a_bound(tmp_path):
    generate_data.save_data(tmp_path / "data.mat", generate_data.generate(MUMT(5, 3), 5))
    with pytest.raises(ValueError, match="data.mat: .* the utility of its gain_mode"):
        load_data(tmp_path / "data.mat", OwnUtility(5, 3))


class OwnUtility(MUMT):
    def utility(self, costs, decision, np=np):
        return np.max(self.user_utility(costs, decision, np), axis=-1)


def test_optimum_of_a_subclass_is_asked():
    assert (generate_data.generate(OwnQ(5, 3), 4)["gain_min"] == 7).all()
    network = OwnOptimum(5, 3, bandwidth="optimal")
    assert not network.exact
    data = generate_data.generate(network, 5)
    np.testing.assert_array_equal(data["gain_min"][0], network.optimum(data["task_size"])[0])


def test_existing_file_is_overwritten_only_if_forced(tmp_path, monkeypatch):
    out = tmp_path / "data.mat"
    out.write_text("kept")
    small = ("--users", 2, "--tasks", 2, "--samples", 3, "--out", out)
    assert "--force" in cli(monkeypatch, *small)
    assert out.read_text() == "kept"
    assert cli(monkeypatch, *small, "--force") is None
    assert load_data(out, MUMT(2, 2))[0].shape == (3, 4)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    out = tmp_path / "data.mat"
    out.write_text("kept")

    def disk_full(file, data, **options):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(scipy.io, "savemat", disk_full)
    size = ("--users", 2, "--tasks", 2, "--samples", 3, "--out", out, "--force")
    assert "no space left" in cli(monkeypatch, *size)
    assert out.read_text() == "kept" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--users", 0), "N is 0"),
        (("--tasks", -1), "M is -1"),
        (("--samples", 0), "samples is 0"),
        (("--users", 2, "--tasks", 21, "--samples", 1, "--out", "data.mat"), "M is 21"),
        (("--users", 30, "--tasks", 18, "--samples", 1, "--out", "data.mat"), "for fewer if"),
        (("--uplink", 0), "uplink_bandwidth is 0.0; a finite, positive number"),
        (("--out", "missing/data.mat"), "no folder missing"),
        (("--out", ".", "--force"), ". is a folder; a file to write was expected"),
    ],
)
def test_generator_refuses(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in cli(monkeypatch, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(-1,), (1, -1), (-1, 1)])
def test_gain_min_of_any_orientation_loads(tmp_path, monkeypatch, shape):
    data = generate_data.generate(MUMT(2, 2), 20)
    data["gain_min"] = data["gain_min"].reshape(shape)
    # loadmat itself makes 1-D arrays 2-D; a reader or writer that does not is served as well.
    monkeypatch.setattr(scipy.io, "loadmat", lambda path: data)
    (tmp_path / "other.mat").touch()
    assert load_data(tmp_path / "other.mat", MUMT(2, 2))[1].shape == (20,)


def test_file_with_real_valued_sizes_loads(tmp_path, network):
    sizes = np.random.default_rng(0).uniform(0.5, 40, (10, 9))
    gain_min, gain_mode = network.optimum(sizes)
    data = {"task_size": sizes, "gain_min": gain_min, "gain_mode": gain_mode.astype(float)}
    scipy.io.savemat(tmp_path / "other.mat", data)
    np.testing.assert_array_equal(load_data(tmp_path / "other.mat", network)[0], sizes)


def changed(**changes):
    """The published data set with a few samples, changed by functions of its arrays."""

    def write(path):
        data = {key: scipy.io.loadmat(DATA)[key] for key in SHA256}
        data = {key: a[:, :40] if key == "gain_min" else a[:40] for key, a in data.items()}
        for key, change in changes.items():
            data[key] = change(data[key])
        scipy.io.savemat(path, {key: a for key, a in data.items() if a is not None})

    return write


def set_to(value):
    def change(array):
        array = array.astype(float)
        array[0, 3] = value
        return array

    return change


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda path: None, "no data set"),
        (lambda path: path.mkdir(), "no data set"),
        (lambda path: path.write_bytes(b""), "not a MATLAB v5 file"),
        (lambda path: path.write_text("task_size " * 100), "not a MATLAB v5 file"),
        (lambda path: path.write_bytes(DATA.read_bytes()[:100_000]), "not a MATLAB v5 file"),
        (changed(gain_mode=lambda a: None), "has no gain_mode; found: task_size, gain_min"),
        (changed(task_size=lambda a: a[:, :6]), "task_size has shape (40, 6); (samples, 9)"),
        (changed(task_size=lambda a: a[:1]), "at least 2 samples"),
        (changed(gain_min=lambda a: a[:, :7]), "gain_min has shape (1, 7); (1, 40) was expected"),
        (changed(gain_min=lambda a: a.reshape(5, 8)), "gain_min has shape (5, 8)"),
        (changed(gain_mode=lambda a: a[:, :6]), "gain_mode has shape (40, 6)"),
        (changed(task_size=set_to(-1)), "task_size has an entry -1"),
        (changed(task_size=set_to(np.inf)), "task_size has an entry inf"),
        (changed(task_size=set_to(np.nan)), "task_size has an entry nan"),
        (changed(gain_mode=set_to(2)), "decision has an entry 2"),
        (changed(gain_min=set_to(np.nan)), "gain_min of sample 3 is nan"),
        (changed(gain_min=set_to(700)), "gain_min of sample 3 is 700"),
        (
            changed(gain_min=lambda a: np.array(["no numbers"] * 40)),
            "gain_min is not an array of num",
        ),
    ],
)
def test_load_data_refuses(tmp_path, network, write, message):
    write(tmp_path / "bad.mat")
    with pytest.raises(ValueError) as error:
        load_data(tmp_path / "bad.mat", network)
    assert message in str(error.value) and "bad.mat" in str(error.value)


def test_load_data_refuses_the_optimum_of_another_network():
    with pytest.raises(ValueError, match="for another network"):
        load_data(DATA, MUMT(3, 3, delay_weight=2))
