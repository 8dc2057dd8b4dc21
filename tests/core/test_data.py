"""Data sets: the published one, as committed and as made again; others; what load_data refuses."""

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


def test_published_data_set_as_committed_and_as_made_again(tmp_path, network):
    committed = scipy.io.loadmat(DATA)
    assert digests(committed) == SHA256 and DATA.stat().st_size < 500_000
    assert {key: (committed[key].dtype.str, committed[key].shape) for key in SHA256} == {
        "task_size": ("<i4", (20000, 9)),
        "gain_min": ("<f8", (1, 20000)),
        "gain_mode": ("<i4", (20000, 9)),
    }
    Data.generate(network, 20000).save(tmp_path / "made.mat", network)
    made = scipy.io.loadmat(tmp_path / "made.mat")
    assert digests(made) == SHA256 and set(made) - set(committed) == {"network"}
    for key in SHA256:
        assert made[key].dtype == committed[key].dtype and made[key].shape == committed[key].shape


def test_task_sizes_follow_the_seeding_rule_for_any_size():
    sizes = task_sizes(range(7, 12), 4, 2)
    expected = [np.random.RandomState(i).randint(10, 31, size=(4, 2)).ravel() for i in range(7, 12)]
    np.testing.assert_array_equal(sizes, expected)


@pytest.mark.parametrize("users, tasks", [(1, 1), (2, 5), (6, 3), (1, 13)])
def test_generated_file_of_another_size_loads(tmp_path, users, tasks):
    network = MUMT(users, tasks)
    Data.generate(network, 30).save(tmp_path / "data.mat", network)
    task_size, gain_min, reference, _ = Data.load(tmp_path / "data.mat", network)
    assert task_size.shape == (30, users * tasks) and reference == "optimum"
    assert gain_min.tolist() == network.optimum(task_size)[0].tolist()
    # The first samples do not depend on how many there are.
    np.testing.assert_array_equal(Data.generate(network, 5).states, task_size[:5])


def test_time_frames_as_released():
    index, tests = Data(np.empty((20000, 9))).time_frames(20000)
    np.testing.assert_array_equal(index, np.arange(20000))
    assert tests == 4000
    index, tests = Data(np.empty((20000, 9))).time_frames(10000)
    assert tests == 2000
    np.testing.assert_array_equal(index, [*range(8000), *range(16000, 18000)])
    index, tests = Data(np.empty((20, 9))).time_frames(50)
    assert tests == 4
    np.testing.assert_array_equal(index, [*(np.arange(46) % 16), 16, 17, 18, 19])
    index, tests = Data(np.empty((2, 9))).time_frames(1)
    assert index.tolist() == [1] and tests == 1


# Joint bandwidth


def test_data_set_of_joint_bandwidth(tmp_path, published):
    network = JointMUMT(3, 3)
    Data.generate(network, 30).save(tmp_path / "data.mat", network)
    task_size, gain_min, reference, _ = Data.load(tmp_path / "data.mat", network)
    np.testing.assert_array_equal(task_size, published[0][:30])
    np.testing.assert_array_equal(gain_min, network.optimum(task_size)[0])
    assert reference == "optimum"
    assert scipy.io.loadmat(tmp_path / "data.mat")["bandwidth"].item() == "optimal"
    with pytest.raises(ValueError, match="data.mat: .* equal bandwidth, got optimal"):
        Data.load(tmp_path / "data.mat", MUMT(3, 3))
    with pytest.raises(ValueError, match="must be for optimal bandwidth, got equal"):
        Data.load(DATA, network)


def test_data_set_with_a_lower_bound(tmp_path):
    network = JointMUMT(6, 3, uplink_bandwidth=25)
    data = Data.generate(network, 30)
    data.save(tmp_path / "data.mat", network)
    task_size, gain_min, reference, _ = Data.load(tmp_path / "data.mat", network)
    np.testing.assert_array_equal(gain_min, network.lower_bound(task_size)[0])
    assert reference == "lower bound"
    Q = network.compute_Q(task_size, data.gain_mode)
    assert (gain_min < Q).all() and (Q < 1.01 * gain_min).all()
    # What somebody has found in another way, and says so, is taken as well.
    found = data._replace(gain_min=Q, reference="best known utility")
    found.save(tmp_path / "found.mat", network)
    _, gain_min, reference, _ = Data.load(tmp_path / "found.mat", network)
    assert gain_min.tolist() == Q.tolist() and reference == "best known utility"
    # It is no lower bound, nor is that of another cell.
    for other, changed in [(network, {"gain_min": Q}), (JointMUMT(6, 3), {})]:
        data._replace(**changed).save(tmp_path / "data.mat", network)
        with pytest.raises(
            ValueError,
            match="the lower bound, got|is for another network: uplink",
        ):
            Data.load(tmp_path / "data.mat", other)


# Custom networks


def test_data_set_for_a_network_with_nothing_but_compute_Q(tmp_path):
    Data.generate(OnlyQ(2, 2), 20).save(tmp_path / "own.mat", OnlyQ(2, 2))
    task_size, gain_min, reference, _ = Data.load(tmp_path / "own.mat", OnlyQ(2, 2))
    np.testing.assert_array_equal(gain_min, MUMT(2, 2).optimum(task_size)[0])
    assert reference == "optimum"
    with pytest.raises(ValueError, match="up to 12 tasks, got 13"):
        Data.generate(OnlyQ(1, 13), 20)


class OwnOptimum(JointMUMT):
    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, decision) + 1

    def optimum(self, task_size):
        return np.full(len(task_size), 7.0), np.ones(task_size.shape)


class OwnReference(OnlyQ):
    def reference(self, task_size):
        x = np.ones(task_size.shape)
        return self.compute_Q(task_size, x), x, "full offloading"


def test_optimum_or_reference_of_a_network_is_asked(tmp_path):
    assert OwnOptimum(3, 3).reference(np.full((4, 9), 10))[0].tolist() == [7] * 4
    Data.generate(OwnReference(5, 3), 20).save(tmp_path / "own.mat", OwnReference(5, 3))
    task_size, gain_min, reference, _ = Data.load(tmp_path / "own.mat", OwnReference(5, 3))
    np.testing.assert_array_equal(gain_min, MUMT(5, 3).compute_Q(task_size, np.ones(15)))
    assert reference == "full offloading"


# Other people's files


@pytest.mark.parametrize("shape", [(-1,), (1, -1), (-1, 1)])
def test_gain_min_of_any_orientation_loads(tmp_path, monkeypatch, shape):
    states, gain_min, _, gain_mode = Data.generate(MUMT(2, 2), 20)
    data = {"task_size": states, "gain_min": gain_min.reshape(shape), "gain_mode": gain_mode}
    # loadmat itself makes 1-D arrays 2-D; a reader or writer that does not is served as well.
    monkeypatch.setattr(scipy.io, "loadmat", lambda path: data)
    (tmp_path / "other.mat").touch()
    assert Data.load(tmp_path / "other.mat", MUMT(2, 2)).gain_min.shape == (20,)


def test_file_with_real_valued_sizes_loads(tmp_path, network):
    sizes = np.random.default_rng(0).uniform(0.5, 40, (10, 9))
    gain_min, gain_mode = network.optimum(sizes)
    data = {"task_size": sizes, "gain_min": gain_min, "gain_mode": gain_mode.astype(float)}
    scipy.io.savemat(tmp_path / "other.mat", data)
    np.testing.assert_array_equal(Data.load(tmp_path / "other.mat", network).states, sizes)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def disk_full(file, data, **options):
        file.write(b"half")
        raise OSError("no space left")

    (tmp_path / "data.mat").write_text("kept")
    monkeypatch.setattr(scipy.io, "savemat", disk_full)
    with pytest.raises(OSError, match="no space left"):
        Data.generate(MUMT(2, 2), 3).save(tmp_path / "data.mat", MUMT(2, 2))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]


def changed(**changes):
    """Return a function that writes 40 published samples, changed by functions of the arrays."""

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
        (lambda path: None, "no such data set"),
        (lambda path: path.mkdir(), "got a folder"),
        (lambda path: path.write_bytes(b""), "must be a MATLAB file, got an empty file"),
        (lambda path: path.write_text("task_size " * 100), "must be a MATLAB file, got text"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "a Git LFS"),
        (lambda path: path.write_text("<!DOCTYPE html>"), "got a web page"),
        (lambda path: path.write_bytes(b"PK\x03\x04"), "got a zip archive"),
        (lambda path: path.write_bytes(b"\x00\xff" * 99), "got something else"),
        (lambda path: path.write_bytes(DATA.read_bytes()[:100_000]), "got a damaged one"),
        (
            changed(task_size=scipy.sparse.csc_array),
            "task_size must be a full matrix, got a sparse",
        ),
        (changed(task_size=lambda a: "none"), "task_size must be an array of real numbers"),
        (changed(gain_mode=lambda a: None), "gain_mode, got task_size, gain_min"),
        (changed(task_size=lambda a: a[:, :6]), "(samples, 9)"),
        (changed(task_size=lambda a: a[:1]), "at least 2 samples"),
        (changed(gain_min=lambda a: a[:, :7]), "gain_min must have shape (40,), got (1, 7)"),
        (changed(gain_min=lambda a: a.reshape(5, 8)), "gain_min must have shape (40,)"),
        (changed(gain_mode=lambda a: a[:, :6]), "gain_mode must have shape (40, 9), got (40, 6)"),
        (changed(task_size=set_to(-1)), "task_size must be finite and >= 0, got -1"),
        (changed(gain_mode=set_to(2)), "0 (local) or 1 (offload), got 2"),
        (changed(gain_min=set_to(np.nan)), "gain_min must be finite, got nan"),
        (changed(gain_min=set_to(700)), "got 700.0"),
        (changed(gain_min=lambda a: np.array(["none"] * 40)), "gain_min must be an array of real"),
    ],
)
def test_load_data_refuses(tmp_path, network, write, message):
    write(tmp_path / "bad.mat")
    with pytest.raises(ValueError) as error:
        Data.load(tmp_path / "bad.mat", network)
    assert message in str(error.value) and "bad.mat" in str(error.value)


def test_load_refuses_the_optimum_of_another_network():
    with pytest.raises(ValueError, match="network with other constants"):
        Data.load(DATA, MUMT(3, 3, delay_weight=2))


# Precision and other formats


def rounded(digits):
    return lambda a: np.round(a, digits)


@pytest.mark.parametrize(
    "change",
    [np.float32, rounded(2), rounded(0), lambda a: np.array([[float(f"{v:.6g}") for v in a[0]]])],
)
def test_gain_min_at_its_own_precision(tmp_path, network, published, change):
    changed(gain_min=change)(tmp_path / "data.mat")
    gain_min = Data.load(tmp_path / "data.mat", network).gain_min
    np.testing.assert_array_equal(gain_min, published[1][:40])  # the exact one, from gain_mode
    changed(gain_min=lambda a: change(1.01 * a))(tmp_path / "data.mat")
    with pytest.raises(ValueError, match=r"within [\d.e-]+, the utility of its gain_mode, got"):
        Data.load(tmp_path / "data.mat", network)


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
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


def test_file_of_version_73(tmp_path):
    network = JointMUMT(2, 2, uplink_bandwidth=6)
    data = Data.generate(network, 30)
    content = {"task_size": data.states, "gain_min": data.gain_min, "gain_mode": data.gain_mode}
    content |= {"network": {"N": 2, "uplink_bandwidth": 6}, "bandwidth": "optimal"}
    write_v73(tmp_path / "data.mat", content)
    task_size, gain_min, reference, _ = Data.load(tmp_path / "data.mat", network)
    np.testing.assert_array_equal(task_size, data.states)
    np.testing.assert_array_equal(gain_min, data.gain_min)
    assert reference == "optimum"
    with pytest.raises(ValueError, match=r"uplink_bandwidth is 6.0 in the file, 12.5 in this run"):
        Data.load(tmp_path / "data.mat", JointMUMT(2, 2))
    with pytest.raises(ValueError, match="must be for equal bandwidth, got optimal"):
        Data.load(tmp_path / "data.mat", MUMT(2, 2, uplink_bandwidth=6))
    (tmp_path / "half.mat").write_bytes((tmp_path / "data.mat").read_bytes()[:1500])
    with pytest.raises(ValueError, match="half.mat must be a MATLAB file, got a damaged one"):
        Data.load(tmp_path / "half.mat", network)


# Sizes of other ranges, and given ones


def test_sizes_of_other_ranges_and_seeds():
    assert task_sizes(range(50), 2, 2, (1, 5)).min() == 1
    assert set(np.unique(task_sizes(range(50), 2, 2, (1, 5)))) == {1, 2, 3, 4, 5}
    real = task_sizes(range(50), 2, 2, (0.1, 1))
    assert real.dtype == np.float64 and 0.1 <= real.min() < 0.2 and 0.9 < real.max() <= 1
    samples = [task_sizes(range(50), 2, 2, seed=seed) for seed in (None, 0, 1, 1)]
    np.testing.assert_array_equal(samples[2], samples[3])
    # No seed gives the samples of another one, shifted.
    rows = [set(map(tuple, of_seed.tolist())) for of_seed in samples[:3]]
    assert not rows[0] & rows[1] and not rows[1] & rows[2]
    for arguments, message in [
        (((5, 1),), "sizes must be the least and the greatest, got 5 and 1"),
        (((-1, 1),), "sizes must be a finite number >= 0, got -1"),
        (((1, 2), -1), "seed must be an integer >= 0, got -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            task_sizes(range(3), 2, 2, *arguments)


def test_optima_of_given_task_sizes(tmp_path, network):
    d = [[10, 0, 25.5] * 3, [1, 2, 3] * 3]
    Data.generate(network, states=d).save(tmp_path / "data.mat", network)
    task_size, gain_min, *_ = Data.load(tmp_path / "data.mat", network)
    assert task_size.tolist() == d
    np.testing.assert_array_equal(gain_min, network.optimum(d)[0])
    for given, message in [
        ([[1, 2]], r"task_size must have shape \(samples, 9\)"),
        ([[-1] * 9], "task_size must be finite and >= 0, got -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            Data.generate(network, states=given)
