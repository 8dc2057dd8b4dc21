"""Data sets: the published one, as committed and as generated; others; what is refused."""

import hashlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from ddlo.bandwidth import JointMUMT
from ddlo.data import Data, task_sizes
from MUMT import MUMT

from ..conftest import DATA
from .reference import OnlyQ

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


def test_published_data_set_as_committed_and_as_generated(tmp_path, network):
    committed = scipy.io.loadmat(DATA)
    assert digests(committed) == SHA256 and DATA.stat().st_size < 500_000
    np.testing.assert_array_equal(Data.load(DATA, network).gain_min, committed["gain_min"][0])
    Data.generate(network, 20000).save(tmp_path / "made.mat", network)
    made = scipy.io.loadmat(tmp_path / "made.mat")
    assert digests(made) == SHA256 and set(made) - set(committed) == {"network"}
    for content in (committed, made):
        assert {key: (content[key].dtype.str, content[key].shape) for key in SHA256} == {
            "task_size": ("<i4", (20000, 9)),
            "gain_min": ("<f8", (1, 20000)),
            "gain_mode": ("<i4", (20000, 9)),
        }


@pytest.mark.parametrize("users, tasks", [(1, 1), (6, 3), (1, 13)])
def test_generated_file_of_another_size_loads(tmp_path, users, tasks):
    network = MUMT(users, tasks, delay_weight=np.arange(1, users + 1)[:, None])
    Data.generate(network, 30).save(tmp_path / "data.mat", network)
    task_size, gain_min, reference, _ = Data.load(tmp_path / "data.mat", network)
    assert task_size.shape == (30, users * tasks) and reference == "optimum"
    assert gain_min.tolist() == network.optimum(task_size)[0].tolist()
    for i in (0, 7):  # the published rule, for any size and any number of samples
        expected = np.random.RandomState(i).randint(10, 31, size=(users, tasks)).ravel()
        np.testing.assert_array_equal(task_size[i], expected)
        np.testing.assert_array_equal(task_sizes(range(i, 9), users, tasks)[0], expected)


@pytest.mark.parametrize(
    "samples, frames, expected, tests",
    [
        (20000, 20000, range(20000), 4000),
        (20000, 10000, [*range(8000), *range(16000, 18000)], 2000),
        (20, 50, [*(np.arange(46) % 16), 16, 17, 18, 19], 4),
        (2, 1, [1], 1),
    ],
)
def test_time_frames_as_released(samples, frames, expected, tests):
    index, found = Data(np.empty((samples, 9))).time_frames(frames)
    np.testing.assert_array_equal(index, expected)
    assert found == tests


def test_data_without_decisions_are_not_saved(tmp_path, network):
    with pytest.raises(ValueError, match="gain_mode"):
        Data.given(np.ones((2, 9)), network).save(tmp_path / "data.mat", network)
    assert not list(tmp_path.iterdir())


# Joint bandwidth


def test_data_set_of_joint_bandwidth(tmp_path, published):
    network = JointMUMT(3, 3)
    Data.generate(network, 30).save(tmp_path / "data.mat", network)
    task_size, gain_min, reference, _ = Data.load(tmp_path / "data.mat", network)
    np.testing.assert_array_equal(task_size, published[0][:30])
    np.testing.assert_array_equal(gain_min, network.optimum(task_size)[0])
    assert reference == "optimum"
    for path, other in ((tmp_path / "data.mat", MUMT(3, 3)), (DATA, network)):
        with pytest.raises(ValueError, match=f"{path.name}: .* bandwidth"):
            Data.load(path, other)


def test_data_set_with_a_lower_bound(tmp_path):
    network, path = JointMUMT(6, 3, uplink_bandwidth=25), tmp_path / "data.mat"
    data = Data.generate(network, 30)
    data.save(path, network)
    task_size, gain_min, reference, _ = Data.load(path, network)
    np.testing.assert_array_equal(gain_min, network.lower_bound(task_size)[0])
    Q = network.compute_Q(task_size, data.gain_mode)
    assert reference == "lower bound" and (gain_min < Q).all() and (Q < 1.01 * gain_min).all()
    with pytest.raises(ValueError, match="12.5 as uplink_bandwidth, got 25"):
        Data.load(path, JointMUMT(6, 3))
    # The utility of some decisions is not a lower bound, and has to be called something else.
    data._replace(gain_min=Q).save(path, network)
    with pytest.raises(ValueError, match="the lower bound, got"):
        Data.load(path, network)
    data._replace(gain_min=Q, reference="best known utility").save(path, network)
    _, gain_min, reference, _ = Data.load(path, network)
    assert gain_min.tolist() == Q.tolist() and reference == "best known utility"


# Custom networks


class OwnReference(OnlyQ):
    def reference(self, task_size):
        x = np.ones(task_size.shape)
        return self.compute_Q(task_size, x), x, "full offloading"


def test_reference_of_a_custom_network(tmp_path):
    network = OwnReference(5, 3)
    Data.generate(network, 20).save(tmp_path / "own.mat", network)
    task_size, gain_min, reference, _ = Data.load(tmp_path / "own.mat", network)
    expected = MUMT(5, 3).compute_Q(task_size, np.ones(15))
    np.testing.assert_array_equal(gain_min, expected)
    assert reference == "full offloading"


# Other people's files


@pytest.mark.parametrize("shape", [(-1,), (1, -1), (-1, 1)])
def test_gain_min_of_any_orientation(tmp_path, shape):
    states, gain_min, _, gain_mode = Data.generate(MUMT(2, 2), 20)
    data = {"task_size": states, "gain_min": gain_min.reshape(shape), "gain_mode": gain_mode}
    scipy.io.savemat(tmp_path / "other.mat", data)
    assert Data.load(tmp_path / "other.mat", MUMT(2, 2)).gain_min.tolist() == gain_min.tolist()
    given = Data.given((states, gain_min.reshape(shape)), MUMT(2, 2))
    assert given.gain_min.tolist() == gain_min.tolist()


def write_changed(path, key, change):
    """Write 40 published samples, with a function of one array in place of it."""
    data = {key: scipy.io.loadmat(DATA)[key] for key in SHA256}
    data = {key: a[:, :40] if key == "gain_min" else a[:40] for key, a in data.items()}
    data[key] = change(data[key])
    scipy.io.savemat(path, {key: array for key, array in data.items() if array is not None})


def first_value(value):
    def change(array):
        array = array.astype(float)
        array[0, 3] = value
        return array

    return change


def test_load_refuses_what_is_not_a_data_set(tmp_path, network):
    path = tmp_path / "bad.mat"
    with pytest.raises(ValueError, match="no such data set: .*bad.mat"):
        Data.load(path, network)
    for content in (b"", b"<!DOCTYPE html>", b"\x00\xff" * 99, DATA.read_bytes()[:100_000]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="bad.mat must be a MATLAB file, got"):
            Data.load(path, network)


@pytest.mark.parametrize(
    "name, change",
    [
        ("task_size", scipy.sparse.csc_array),
        ("task_size", lambda a: "none"),
        ("task_size", lambda a: a[:, :6]),
        ("task_size", lambda a: a[:1]),
        ("task_size", first_value(-1)),
        ("gain_mode", lambda a: None),
        ("gain_mode", lambda a: a[:, :6]),
        ("gain_mode", first_value(2)),
        ("gain_min", lambda a: a[:, :7]),
        ("gain_min", lambda a: a.reshape(5, 8)),
        ("gain_min", first_value(np.nan)),
        ("gain_min", first_value(700)),
    ],
)
def test_load_refuses_bad_arrays(tmp_path, network, name, change):
    write_changed(tmp_path / "bad.mat", name, change)
    with pytest.raises(ValueError, match=f"bad.mat.* {name}"):
        Data.load(tmp_path / "bad.mat", network)


def test_gain_min_in_single_precision_or_of_another_network(tmp_path, network, published):
    path = tmp_path / "data.mat"
    write_changed(path, "gain_min", np.float32)
    gain_min = Data.load(path, network).gain_min
    np.testing.assert_array_equal(gain_min, published[1][:40])  # the exact one, from gain_mode
    write_changed(path, "gain_min", lambda a: (1 + 2e-7) * a)
    for file, other in ((path, network), (DATA, MUMT(3, 3, delay_weight=2))):
        with pytest.raises(ValueError, match="gain_min of sample .* other constants"):
            Data.load(file, other)


def write_v73(path, data):
    """Write a file as MATLAB's save -v7.3 does: HDF5 behind a header, arrays column by column."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in data.items():
            if isinstance(value, dict):
                group = file.create_group(key)
                for name, number in value.items():
                    group[name] = np.atleast_2d(number).T.astype(float)
            elif isinstance(value, str):
                file[key] = np.array([[ord(letter)] for letter in value], np.uint16)
                file[key].attrs["MATLAB_class"] = np.bytes_("char")
            else:
                file[key] = np.asarray(value).T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def test_file_of_version_73(tmp_path):
    network, path = JointMUMT(2, 2, uplink_bandwidth=6), tmp_path / "data.mat"
    data = Data.generate(network, 30)
    content = {"task_size": data.states, "gain_min": data.gain_min, "gain_mode": data.gain_mode}
    content |= {"network": {"N": 2, "uplink_bandwidth": 6}, "bandwidth": "optimal"}
    write_v73(path, content)
    loaded = Data.load(path, network)
    np.testing.assert_array_equal(loaded.states, data.states)
    np.testing.assert_array_equal(loaded.gain_min, data.gain_min)
    assert loaded.reference == "optimum"
    for other, wrong in (
        (JointMUMT(2, 2), "12.5 as uplink_bandwidth, got 6"),
        (MUMT(2, 2, uplink_bandwidth=6), "equal as bandwidth, got optimal"),
    ):
        with pytest.raises(ValueError, match=wrong):
            Data.load(path, other)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ValueError, match="data.mat must be a MATLAB file"):
        Data.load(path, network)


# Sizes of other ranges, and given ones


def test_sizes_of_other_ranges_and_seeds():
    assert set(np.unique(task_sizes(range(50), 2, 2, (1, 5)))) == {1, 2, 3, 4, 5}
    real = task_sizes(range(50), 2, 2, (0.1, 1))
    assert real.dtype == np.float64 and 0.1 <= real.min() < 0.2 and 0.9 < real.max() <= 1
    samples = [task_sizes(range(50), 2, 2, seed=seed) for seed in (None, 0, 1, 1)]
    np.testing.assert_array_equal(samples[2], samples[3])
    # No seed gives the samples of another one, shifted.
    rows = [set(map(tuple, sizes.tolist())) for sizes in samples[:3]]
    assert not rows[0] & rows[1] and not rows[1] & rows[2]
    for name, arguments in [("sizes", ((5, 1),)), ("sizes", ((-1, 1),)), ("seed", ((1, 2), -1))]:
        with pytest.raises(ValueError, match=name):
            task_sizes(range(3), 2, 2, *arguments)


def test_optima_of_given_task_sizes(tmp_path, network):
    with pytest.raises(ValueError, match="got 13"):
        Data.generate(OnlyQ(1, 13), 20)
    d = [[10, 0, 25.5] * 3, [1, 2, 3] * 3]
    Data.generate(network, states=d).save(tmp_path / "data.mat", network)
    task_size, gain_min, *_ = Data.load(tmp_path / "data.mat", network)
    assert task_size.tolist() == d
    np.testing.assert_array_equal(gain_min, network.optimum(d)[0])
    for bad in ([[1, 2]], [[-1] * 9]):
        with pytest.raises(ValueError, match="task_size must"):
            Data.generate(network, states=bad)
