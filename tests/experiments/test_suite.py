"""The suite of experiments: its settings, its numbers, and what users add."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments import figures, plots, results, suite
from experiments.engine import Store
from experiments.execution import execute
from experiments.runs import Run
from experiments.schemes import JOINT_SCHEMES, SCHEMES, by_chance, scheme_of
from experiments.suite import EXPERIMENTS, Experiment, Setting

from ..conftest import python
from .made import Made
from .test_figures import tables_of


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_settings_can_be_run_and_described(name):
    experiment = EXPERIMENTS[name]
    of_all = list(experiment.settings)
    names = [(setting.label, setting.value) for setting in of_all]
    assert len(set(names)) == len(names) > 0
    assert set(experiment.quick) <= set(of_all)
    runs = {}
    for setting in of_all:
        of_one = setting.runs(600, 3)
        has_seeds = of_one[0].learns or by_chance(of_one[0].scheme)
        assert [run.seed for run in of_one] == ([0, 1, 2] if has_seeds else [0])
        for run in of_one:
            runs[str(run)] = run
            assert run.frames == max(1, int(600 * setting.fraction))
            assert run.scheme == "DDLO" or callable(scheme_of(run.scheme))
            assert 0 < run.work < 60
            assert run.network.N * run.network.M == run.users * run.tasks
            hash(run)
    identities = {repr(run.parameters) for run in runs.values()}
    assert len(identities) == len(runs) == len({*runs.values()})  # descriptions tell runs apart
    for metric in experiment.metrics:
        assert metric in results.FORMATS


def test_sweeps_vary_one_parameter_of_the_released_run():
    asked = {
        "net_num": [1, 2, 3, 5, 10],
        "learning_rate": [0.1, 0.01, 0.001, 0.0001],
        "batch_size": [32, 64, 128, 256, 512],
        "memory_size": [256, 512, 1024, 2048, 4096],
        "training_interval": [1, 5, 10, 20, 50],
    }
    for name, values in asked.items():
        *of_one, rule = EXPERIMENTS[name].settings
        assert [setting.value for setting in of_one] == values
        expected = [[Run(seed=s, **{name: value}) for s in range(5)] for value in values]
        assert [setting.runs(20000, 5) for setting in of_one] == expected
        assert rule.runs(20000, 5) == [Run("smallest task local")]
    assert [s.runs(20000, 2) for s in EXPERIMENTS["training_cost"].settings] == [
        [Run(), Run(seed=1)]
    ]


def test_every_scheme_is_compared():
    compared = {setting.run.scheme for setting in EXPERIMENTS["schemes"].settings}
    assert compared == {"DDLO", *SCHEMES}
    joint = [setting.run for setting in EXPERIMENTS["joint"].settings]
    assert {run.scheme for run in joint} == {"DDLO", *JOINT_SCHEMES}
    assert {run.bandwidth for run in joint} == {"optimal"}
    # But for what is the same as another one, or close to it.
    compared -= {"optimum by MILP", "linear relaxation"}
    asked = {
        ("bandwidth", "uplink", 1): {25, 50, 75, 100, 200, 300, 400},
        ("edge_cost", "edge_cost_per_bit", 10**-7): {1.5, 2, 2.5, 3, 3.5},
        ("delay_weight", "delay_weight", 1): {0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4},
    }
    for (name, field, unit), values in asked.items():
        of_one = EXPERIMENTS[name].settings
        assert {setting.run.scheme for setting in of_one} == compared
        assert {setting.value for setting in of_one} == values
        for setting in of_one:
            assert replace(setting.run, **{field: getattr(Run(), field)}) in {
                other.run for other in EXPERIMENTS["schemes"].settings
            }
            assert getattr(setting.run, field) == setting.value * unit


def test_smallest_task_local_is_in_every_comparison():
    for name, experiment in EXPERIMENTS.items():
        schemes = {setting.run.scheme for setting in experiment.settings}
        # Those that compare DDLO with itself or with DROO, and those on a network without task sizes.
        alone = name in ("training_cost", "recorded", "ablation", "two_networks")
        alone |= name.startswith("wpmec")
        assert ("smallest task local" in schemes) != alone, name


def test_the_network_as_the_paper_is_read():
    of_one = EXPERIMENTS["paper_reading"].settings
    networks = {(s.run.bandwidth, s.run.uplink, s.value) for s in of_one}
    assert networks == {
        ("equal", 100, "equal, 100 Mbit/s"),
        ("equal", 150, "equal, 150 Mbit/s"),
        ("optimal", 150, "optimal, 150 Mbit/s"),
    }
    joint = {s.label for s in of_one if s.run.bandwidth == "optimal"}
    assert joint >= {"optimum", "DDLO, K = 3", "DDLO, K = 10", "dual heuristic", suite.FLIPPED}


def test_where_learning_pays_is_asked_of_many_networks():
    of_one = EXPERIMENTS["learning"].settings
    by_network = {}
    for setting in of_one:
        by_network.setdefault(setting.label, set()).add(setting.value)
    rules = {"smallest task local", "best fixed decision", "full offloading", "local only"}
    compared = rules | {"DDLO, K = 3", "DDLO, K = 10"}
    assert all(of_network == compared for of_network in by_network.values())
    networks = {setting.label: setting.run.problem for setting in of_one}
    assert len(set(networks.values())) == len(networks) > 20
    local = networks["local time x 1/2, 1, 2 for users 1, 2, 3"].network
    assert local.local_time_per_bit.tolist() == [[4.75e-7 / 2], [4.75e-7], [2 * 4.75e-7]]


def test_decisions_are_timed_up_to_the_wall():
    of_one = EXPERIMENTS["decision_time"].settings
    users = {}
    for setting in of_one:
        assert (setting.run.users, setting.run.tasks) == (setting.value, 3)
        users.setdefault(setting.label, []).append(setting.value)
    assert users.pop("enumeration of all decisions") == [3, 4, 5, 6, 7]
    assert set(map(tuple, users.values())) == {(3, 5, 10, 20, 30)}
    assert users.keys() >= {f"DDLO, K = {K}" for K in (1, 2, 3, 5, 10)}
    assert users.keys() >= {"enumeration user by user", "optimum by MILP"}


@pytest.mark.parametrize("name, bandwidth", [("scaling", "equal"), ("joint_scaling", "optimal")])
def test_networks_of_other_sizes(name, bandwidth):
    of_one = EXPERIMENTS[name].settings
    sizes = {(setting.run.users, setting.run.tasks) for setting in of_one}
    assert sizes >= {(users, 3) for users in (3, 5, 10, 20, 30)}
    if name == "scaling":
        assert sizes >= {(3, tasks) for tasks in (2, 4, 5, 6)}
    for setting in of_one:
        run = setting.run
        assert setting.value == f"{run.users} x {run.tasks}" and run.bandwidth == bandwidth
        assert run.uplink == 100 * run.users / 3  # so that the problem stays alike
        logits = np.zeros((run.net_num, 1, run.users * run.tasks))
        candidates = run.candidates(logits)
        assert candidates.shape[1:] == logits.shape[1:]
        assert len(candidates) <= run.net_num * (1 + run.tasks) or not run.recombine
    # What is the same in several experiments is the same run.
    names = ("schemes", "joint", "ablation")
    others = {setting.run for name in names for setting in EXPERIMENTS[name].settings}
    small = {setting.run for setting in of_one if setting.value == "3 x 3"}
    assert small <= others


# Numbers


def test_interval_by_hand():
    mean, half_width = results.interval([[1, 5], [2, 5], [3, 5]])
    # Three values: 4.3027 standard errors, of 1/sqrt(3).
    np.testing.assert_allclose(mean, [2, 5])
    np.testing.assert_allclose(half_width, [4.302653 / np.sqrt(3), 0], rtol=1e-6)
    mean, half_width = results.interval([0.5])
    assert mean == 0.5 and np.isnan(half_width)


def test_summary_by_hand():
    def row(label, seed, ratio=np.nan, error="", **others):
        of_all = {"label": label, "value": None, "seed": seed, "is_released": label == "a"}
        of_all["frames"] = 20000
        return of_all | {"mean_gain_ratio": ratio, "test_frames": 9, "error": error} | others

    runs = pd.DataFrame(
        [
            row("a", 0, 0.9, fixed_gain_ratio=0.92),
            row("a", 1, 0.95, fixed_gain_ratio=0.92),
            row("a", 2, error="FloatingPointError: diverged"),
            row("b", 0, 1.0),
            row("c", 0, error="KeyError: c"),
        ]
    )
    a, b, c = (of_one for _, of_one in results.summary(runs).iterrows())
    assert (a.label, a.seeds, a.failed, a.learns, a.is_released) == ("a", 2, 1, 1, True)
    assert (a["min"], a["max"]) == (0.9, 0.95)
    assert a.mean_gain_ratio == pytest.approx(0.925)
    # Two values: 12.706 standard errors, of 0.05/2.
    assert a.mean_gain_ratio_ci95 == pytest.approx(12.7062047 * 0.025)
    assert (b.seeds, b.failed, b.mean_gain_ratio) == (1, 0, 1) and np.isnan(b.mean_gain_ratio_ci95)
    assert (c.seeds, c.failed) == (0, 1) and np.isnan(c.mean_gain_ratio)
    assert results.text(a, "mean_gain_ratio") == "0.9250 ± 0.3177"
    assert results.text(b, "mean_gain_ratio") == "1.0000"
    assert results.text(c, "mean_gain_ratio") == results.text(c, "min_max") == "-"
    assert results.text(a, "min_max") == "0.9000 0.9500" and results.text(a, "learns") == "1 of 2"
    assert results.text(b, "learns") == "-"  # a rule
    short = results.summary(runs.assign(frames=2000))  # no time to learn
    assert "learns" not in short


def test_table_of_full_runs_has_the_released_numbers_beside_it():
    settings = EXPERIMENTS["net_num"].settings
    runs = results.table({"net_num": settings}, 20000, 3, Made(), {})
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in results.tables("net_num", runs)[""]
    )
    assert head[-2:] == ["seeds that learn", "released package's DNNs, single runs"]
    assert [row[-1] for row in rows[:3]] == [results.RELEASED[f"K = {K}"] for K in (1, 2)] + [
        results.AS_RELEASED
    ]
    assert [row[-2] for row in rows] == ["3 of 3"] * 5 + ["-"]


# What users add


def every_other(network, task_size):
    """Offload every other task."""
    decision = np.zeros(np.atleast_2d(task_size).shape, np.int32)
    decision[:, ::2] = 1
    return decision


def test_new_experiment_with_a_new_scheme(tmp_path, monkeypatch):
    monkeypatch.setitem(SCHEMES, "every other", every_other)
    values = ["every other", "full offloading", "local only"]
    settings = [Setting(scheme, Run(scheme), scheme) for scheme in values]
    experiment = Experiment("Mine", settings, plots.schemes, ("mean_utility", "mean_gain_ratio"))
    monkeypatch.setitem(EXPERIMENTS, "mine", experiment)
    monkeypatch.chdir(tmp_path)
    store, expected = Store(figures.RUNS), {}
    for setting in settings:
        (run,) = setting.runs(600, 2)
        store.save(run, execute(run))
        expected[setting.label] = store.load(run)[0]["mean_utility"]
    figures.main(figures.Options(only=("mine",), frames=600, seeds=2))
    out = tmp_path / "results" / "figures"
    names = {"mine.png", "mine.pdf", "mine.csv", "results.csv", "results.md"}
    assert {file.name for file in out.iterdir()} == names
    data = pd.read_csv(out / "mine.csv")
    assert dict(zip(data.label, data.mean_utility)) == pytest.approx(expected)
    assert expected["local only"] > expected["every other"]
    _, _, *rows = tables_of(out / "results.md")["Mine"]
    assert {row[0]: row[1] for row in rows} == {k: f"{Q:.2f}" for k, Q in expected.items()}


def test_new_scheme_is_in_all_experiments_that_compare_schemes():
    code = (
        "from experiments import schemes\n"
        "schemes.SCHEMES['mine'] = schemes.JOINT_SCHEMES['mine'] = schemes.all_edge\n"
        "from experiments.suite import EXPERIMENTS\n"
        "for name, experiment in EXPERIMENTS.items():\n"
        "    if 'mine' in {setting.label for setting in experiment.settings}: print(name)\n"
    )
    code, printed, errors = python("-c", code)
    assert code == 0, errors
    expected = ["schemes", "bandwidth", "edge_cost", "delay_weight", "joint"]
    assert printed.split() == expected


def coin(network, task_size, seed=0):
    """Toss one coin for a frame."""
    toss = np.random.default_rng(seed).integers(0, 2, (len(np.atleast_2d(task_size)), 1))
    return np.tile(toss, network.N * network.M)


def test_new_scheme_by_chance_gets_its_seeds(monkeypatch):
    monkeypatch.setitem(SCHEMES, "coin", coin)
    runs = Setting("coin", Run("coin")).runs(600, 3)
    assert [run.seed for run in runs] == [0, 1, 2]
    assert len({execute(run)[0]["mean_utility"] for run in runs}) == 3
    monkeypatch.setitem(SCHEMES, "every other", every_other)
    assert len(Setting("every other", Run("every other")).runs(600, 3)) == 1
