"""Generating data sets by command line: the file, its name, and what is refused."""

from dataclasses import fields

import numpy as np
import pytest
import scipy.io

from ddlo.bandwidth import JointMUMT
from ddlo.data import Data
from MUMT import MUMT, Constants
from tools import generate_data

from ..conftest import DATA, command
from ..core.test_files import assert_one_message

cli = command(generate_data)
SIZED = {"5X4": MUMT(5, 4), "optimal": JointMUMT(3, 3), "too large to enumerate": JointMUMT(6, 3)}
CHANGED = {each.name: MUMT(3, 3, **{each.name: 1.5 * each.default}) for each in fields(Constants)}


@pytest.mark.parametrize("name, network", (SIZED | CHANGED).items())
def test_file_is_for_the_network_of_the_options(tmp_path, monkeypatch, capsys, name, network):
    out, N, M = tmp_path / "data.mat", network.N, network.M
    sharing = "optimal" if isinstance(network, JointMUMT) else "equal"
    options = [f"--users={N}", f"--tasks={M}", f"--bandwidth={sharing}", f"--out={out}"]
    options += [f"--{name}={getattr(network, name)}"] if name in CHANGED else []
    assert cli(monkeypatch, *options, "--samples", 30) is None
    assert capsys.readouterr().out == f"30 samples for {network}: {out}\n"
    data = Data.load(out, network)
    drawn = [np.random.RandomState(i).randint(10, 31, N * M) for i in range(30)]
    np.testing.assert_array_equal(data.states, drawn)
    np.testing.assert_array_equal(data.gain_min, network.reference(data.states)[0])
    with pytest.raises(ValueError):
        Data.load(out, MUMT(3, 3))


def test_default_file_name_tells_the_options(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.ones((1, 9)))
    options = generate_data.Options(users=30, uplink=1000)  # as in README.md
    assert generate_data.default_path(options).name == "MUMT_data_30X3_uplink_1000.mat"
    sizes = ("--sizes", 0.1, 1, "--seed", 3, "--delay-weight", 2, "--bandwidth", "optimal")
    for options, name in [
        ((), "3X3_samples_3"),  # not the published file
        (("--users", 2, "--tasks", 1), "2X1_samples_3"),
        (("--bandwidth", "optimal", "--uplink", 50.5), "3X3_samples_3_optimal_uplink_50.5"),
        (sizes, "3X3_samples_3_sizes_0.1-1_seed_3_optimal_delay_weight_2"),
        (("--task-sizes", "mine.npy"), "3X3_samples_3_mine"),
    ]:
        assert cli(monkeypatch, *options, "--samples", 3) is None
        assert (tmp_path / "data" / f"MUMT_data_{name}.mat").exists()


def test_existing_file_is_overwritten_only_if_forced(tmp_path, monkeypatch):
    out = tmp_path / "data.mat"
    out.write_text("kept")
    assert "--force" in cli(monkeypatch, "--samples", 3, "--out", out)
    assert out.read_text() == "kept"
    assert cli(monkeypatch, "--samples", 3, "--out", out, "--force") is None
    assert len(Data.load(out, MUMT(3, 3)).states) == 3 and len(list(tmp_path.iterdir())) == 1


def test_task_sizes_from_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    d = np.array([[10, 20.5, 0, 12], [1, 2, 3, 4], [30, 30, 30, 11]])
    np.savetxt("comma.csv", d, delimiter=",", header="0,1,2,3", comments="")
    np.savetxt("semicolon.csv", d, delimiter=";", header="a;b", comments="")
    np.save("mine.npy", d)
    scipy.io.savemat("mine.mat", {"task_size": d})
    scipy.io.savemat("one.mat", {"task_size": d[:1]})
    options = ("--users", 2, "--tasks", 2, "--out", "data.mat", "--force")
    for file in ("comma.csv", "semicolon.csv", "mine.mat", "mine.npy"):
        assert cli(monkeypatch, *options, "--task-sizes", file) is None
        assert Data.load("data.mat", MUMT(2, 2)).states.tolist() == d.tolist()
    assert cli(monkeypatch, *options, "--task-sizes", "one.mat") is None
    assert scipy.io.loadmat("data.mat")["task_size"].tolist() == d[:1].tolist()
    np.savetxt("bad.csv", -d, delimiter=",")
    assert "line 1: " in cli(monkeypatch, *options, "--task-sizes", "bad.csv")


BAD = [("users", "3"), ("tasks", 2.5), ("tasks", 21), ("samples", 0), ("sizes", 5), ("seed", "1")]
BAD += [("uplink", 0), ("bandwidth", "fair"), ("delay_weight", "a"), ("out", "missing/data.mat")]
BAD += [("out", "."), ("task_sizes", str(DATA.parent)), ("task_sizes", "missing.mat")]


@pytest.mark.parametrize("option, value", BAD)
def test_bad_options_leave_no_file(tmp_path, monkeypatch, option, value):
    monkeypatch.chdir(tmp_path)
    options = generate_data.Options(**{"out": "data.mat", "samples": 2, option: value})
    with pytest.raises((ValueError, OSError)) as error:
        generate_data.main(options)
    assert_one_message(error.value)
    assert option in str(error.value) or str(value) in str(error.value)
    assert not list(tmp_path.iterdir())
