"""Generating data sets by command line: what is in the file, its name, and what is refused."""

from dataclasses import fields

import numpy as np
import pytest
import scipy.io

from ddlo.bandwidth import JointMUMT
from ddlo.data import Data
from experiments import generate_data
from main import Parameters
from MUMT import MUMT, Constants

from ..conftest import DATA, command

cli = command(generate_data)


def arrays_of(path):
    return {key: array for key, array in scipy.io.loadmat(path).items() if key[0] != "_"}


def test_file_is_the_published_one_as_far_as_it_goes(tmp_path, monkeypatch, capsys):
    out = tmp_path / "made.mat"
    assert cli(monkeypatch, "--samples", 1200, "--out", out) is None
    made, published = arrays_of(out), arrays_of(DATA)
    assert published.keys() == {"task_size", "gain_min", "gain_mode"}
    assert made.keys() - published.keys() == {"network"}
    for key in published:
        array, first = (
            made[key],
            published[key][..., :1200] if key == "gain_min" else published[key][:1200],
        )
        np.testing.assert_array_equal(array, first)
        assert array.dtype == first.dtype
    assert [file.name for file in tmp_path.iterdir()] == ["made.mat"]
    printed = capsys.readouterr().out
    assert "1200 samples" in printed and str(out) in printed


def test_file_for_a_network_of_another_size(tmp_path, monkeypatch):
    out = tmp_path / "data.mat"
    size = ("--users", 5, "--tasks", 4, "--uplink", 40, "--samples", 30)
    assert cli(monkeypatch, *size, "--out", out) is None
    network = MUMT(5, 4, uplink_bandwidth=5)
    task_size, gain_min, reference, _ = Data.load(out, network)
    assert task_size.shape == (30, 20) and reference == "optimum"
    np.testing.assert_array_equal(gain_min, network.optimum(task_size)[0])
    drawn = [np.random.RandomState(i).randint(10, 31, 20) for i in range(30)]
    np.testing.assert_array_equal(task_size, drawn)


def test_default_file_name_tells_the_network(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    for options in (
        ("--users", 2, "--tasks", 1),
        ("--users", 2, "--bandwidth", "optimal"),
        ("--uplink", 50.5),  # does not ask to overwrite the published one
        ("--users", 4, "--tasks", 1, "--bandwidth", "optimal", "--uplink", 200),
        (),
    ):
        assert cli(monkeypatch, *options, "--samples", 3) is None
    assert {file.name for file in (tmp_path / "data").iterdir()} == {
        "MUMT_data_2X1.mat",
        "MUMT_data_2X3_optimal.mat",
        "MUMT_data_3X3_50.5.mat",
        "MUMT_data_4X1_optimal_200.mat",
        "MUMT_data_3X3.mat",
    }


def test_optimal_bandwidth(tmp_path, monkeypatch, published):
    out = tmp_path / "data.mat"
    assert cli(monkeypatch, "--bandwidth", "optimal", "--samples", 30, "--out", out) is None
    network = JointMUMT(3, 3)
    task_size, gain_min, reference, _ = Data.load(out, network)
    np.testing.assert_array_equal(task_size, published[0][:30])
    np.testing.assert_array_equal(gain_min, network.optimum(task_size)[0])
    assert reference == "optimum" and arrays_of(out)["bandwidth"].item() == "optimal"
    with pytest.raises(ValueError, match="must be for equal bandwidth"):
        Data.load(out, MUMT(3, 3))


def test_optimal_bandwidth_beyond_the_enumeration(tmp_path, monkeypatch):
    out = tmp_path / "data.mat"
    options = ("--users", 6, "--bandwidth", "optimal", "--uplink", 200, "--samples", 30)
    assert cli(monkeypatch, *options, "--out", out) is None
    network = JointMUMT(6, 3, uplink_bandwidth=25)
    task_size, gain_min, reference, _ = Data.load(out, network)
    assert reference == "lower bound"
    np.testing.assert_array_equal(gain_min, network.lower_bound(task_size)[0])


def test_existing_file_is_overwritten_only_if_forced(tmp_path, monkeypatch):
    out = tmp_path / "data.mat"
    out.write_text("kept")
    small = ("--users", 2, "--tasks", 2, "--samples", 3, "--out", out)
    assert "--force" in cli(monkeypatch, *small)
    assert out.read_text() == "kept"
    assert cli(monkeypatch, *small, "--force") is None
    assert Data.load(out, MUMT(2, 2))[0].shape == (3, 4)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--users", 0), "N must be"),
        (("--tasks", -1), "M must be"),
        (("--samples", 0), "samples must be"),
        (("--uplink", 0), "uplink must be"),
        (("--uplink", "nan"), "uplink must be"),
        (("--users", 2, "--tasks", 21), "M = 21"),
        (("--users", 2, "--tasks", 21, "--bandwidth", "optimal"), "M = 21"),
        (("--users", 30, "--tasks", 18), "N = 30"),
        (("--out", "missing/data.mat"), "missing"),
        (("--out", ".", "--force"), "the folder"),
    ],
)
def test_refusals_leave_no_files(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    out = () if "--out" in arguments else ("--out", "data.mat")
    code = cli(monkeypatch, "--samples", 2, *out, *arguments)
    assert code.startswith("generate_data.py: ") and message in code and "\n" not in code
    assert not list(tmp_path.iterdir())


def test_unknown_bandwidth_is_refused(tmp_path, monkeypatch, capsys):
    assert cli(monkeypatch, "--bandwidth", "fair", "--out", tmp_path / "data.mat") == 2
    assert "fair" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_task_sizes_from_a_file(tmp_path, monkeypatch, separator):
    d = np.array([[10, 20.5, 0, 12], [1, 2, 3, 4], [30, 30, 30, 11]])
    np.savetxt(tmp_path / "mine.csv", d, delimiter=separator, header="a b c", comments="")
    scipy.io.savemat(tmp_path / "mine.mat", {"task_size": d})
    for file in ("mine.csv", "mine.mat"):
        options = ("--users", 2, "--tasks", 2, "--task-sizes", tmp_path / file, "--delay-weight", 2)
        assert cli(monkeypatch, *options, "--out", tmp_path / "made.mat", "--force") is None
        network = MUMT(2, 2, delay_weight=2)
        task_size, gain_min, *_ = Data.load(tmp_path / "made.mat", network)
        assert task_size.tolist() == d.tolist()
        np.testing.assert_array_equal(gain_min, network.optimum(d)[0])


@pytest.mark.parametrize(
    "text, message",
    [
        ("1,2,3,4\n1,2,3\n", "line 2: expected 4 task sizes, got 3"),
        ("a,b,c,d\n", "must have lines of 4 task sizes, got none"),
        ("1,2,3,4\nb,c,d,e\n", "line 2: no entry is a number"),
        ("1,2,3,-4\n", "line 1: a task size must be finite MB >= 0, got '-4'"),
        (None, "no file"),
    ],
)
def test_task_sizes_that_are_refused(tmp_path, monkeypatch, text, message):
    if text:
        (tmp_path / "mine.csv").write_text(text)
    options = ("--users", 2, "--tasks", 2, "--task-sizes", tmp_path / "mine.csv")
    assert message in cli(monkeypatch, *options, "--out", tmp_path / "made.mat")
    assert not (tmp_path / "made.mat").exists()


def test_every_constant_is_an_option_of_both_commands(tmp_path, monkeypatch):
    """A data set with any constant changed is that of main.py with the same option, and no other."""
    for each in fields(Constants):
        option = (f"--{each.name.replace('_', '-')}", 1.5 * each.default)
        out = tmp_path / "data.mat"
        assert cli(monkeypatch, *option, "--samples", 3, "--out", out, "--force") is None
        network = MUMT(3, 3, **{each.name: 1.5 * each.default})
        assert Data.load(out, network)[0].shape == (3, 9)
        with pytest.raises(ValueError, match=each.name):
            Data.load(out, MUMT(3, 3))
        assert getattr(Parameters(**{each.name: 7}), each.name) == 7


def test_default_file_name_tells_ranges_and_constants(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    options = ("--sizes", 0.1, 1, "--seed", 3, "--delay-weight", 2, "--bandwidth", "optimal")
    assert cli(monkeypatch, *options, "--samples", 3) is None
    (file,) = (tmp_path / "data").iterdir()
    assert file.name == "MUMT_data_3X3_sizes_0.1-1_seed_3_optimal_delay_weight_2.mat"
