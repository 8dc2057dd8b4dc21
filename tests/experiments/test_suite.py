"""The experiments: their settings, and what users add to them."""

from dataclasses import replace

import numpy as np
import pytest

from experiments import figures, tables
from experiments.runs import make_ddlo, released, samples
from experiments.schemes import SCHEMES
from experiments.suite import EXPERIMENTS
from experiments.wpmec.network import WPMEC

from ..conftest import command

cli = command(figures)
SWEEPS = ("net_num", "learning_rate", "batch_size", "memory_size", "training_interval")
BASELINE = released(scheme=SCHEMES["smallest task local"])


def runs(name):
    """Return the runs of an experiment by label and value."""
    named = EXPERIMENTS[name].runs.items()
    return {key if isinstance(key, tuple) else (key, None): run for key, run in named}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_settings_are_different_and_can_be_run(name):
    experiment, all_runs = EXPERIMENTS[name], []
    assert set(experiment.metrics) <= tables.FORMATS.keys()
    for label, value, all_seeds in experiment.rows(600, 3):
        run = all_seeds[0]
        fractions = experiment.fractions
        fraction = fractions.get((label, value), fractions.get(label, 1))
        assert run.parameters and run.frames == max(1, int(600 * fraction))
        seeds = 3 * experiment.more_seeds.get(label, 1)
        assert len(all_seeds) == (seeds if run.learns or run.scheme.is_random else 1)
        assert [each.seed for each in all_seeds] == list(range(len(all_seeds)))
        (_, network), *_ = run.networks
        if run.learns:
            assert make_ddlo(run).net.n_out == network.N * network.M
        if "K = N" not in label:  # which may be another K, too
            all_runs += all_seeds
    assert len(set(all_runs)) == len(all_runs) > 0


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps_vary_one_parameter_of_the_released_run(name):
    *learners, (_, baseline) = runs(name).items()
    assert all(run == released(**{name: value}) for (_, value), run in learners)
    assert len(learners) >= 4 and baseline == BASELINE
    assert {released(), BASELINE} < {
        runs[0] for *_, runs in EXPERIMENTS[name].rows(20000, 1, quick=True)
    }


def test_every_scheme_is_compared():
    schemes, joint = runs("schemes"), runs("joint")
    units = {"bandwidth": ("uplink", 1), "edge_cost": ("edge_cost_per_bit", 10**-7)}
    assert {run.scheme for run in schemes.values()} == {None, *SCHEMES.values()}
    left_out = {SCHEMES[label] for label in ("optimum by MILP", "linear relaxation")}
    for name in ("bandwidth", "edge_cost", "delay_weight"):
        by_value, (field, unit) = {}, units.get(name, (name, 1))
        for (label, value), run in runs(name).items():
            assert run == replace(schemes[label, None], **{field: value * unit})
            by_value.setdefault(value, set()).add(run.scheme)
        for compared in by_value.values():
            assert compared == {None, *SCHEMES.values()} - left_out
    assert {run.bandwidth for run in joint.values()} == {"optimal"}
    assert {"dual heuristic", "optimum", "random"} < {label for label, _ in joint}


def test_smallest_task_local_is_in_every_comparison_on_mumt():
    for name in EXPERIMENTS.keys() - {"training_cost", "recorded", "ablation", "two_networks"}:
        schemes = [run.scheme for run in runs(name).values() if run.network is None]
        assert not schemes or BASELINE.scheme in schemes, name


@pytest.mark.parametrize("name", ["scaling", "joint_scaling", "decision_time", "ablation"])
def test_networks_of_other_sizes_keep_the_uplink_of_a_user(name):
    for (_, value), run in runs(name).items():
        assert run.uplink == pytest.approx(100 * run.users / 3)
        assert value == run.users or value.startswith(f"{run.users} x {run.tasks}")
        assert "ablation" in name or run.user_flips in (0, run.tasks)
    same = {run for other in ("schemes", "joint", "ablation") for run in runs(other).values()}
    known = {run for (_, value), run in runs(name).items() if value == "3 x 3" and not run.shared}
    assert known <= same


def test_learning_is_compared_with_rules_in_different_networks():
    found = runs("learning")
    names, schemes = ({*column} for column in zip(*found))
    assert len(found) == len(names) * len(schemes)
    assert len({found[name, "local only"].problem for name in names}) == len(names) > 20
    network = found["local time x 1/2, 1, 2 for users 1, 2, 3", "DDLO, K = 3"].networks[0][1]
    np.testing.assert_allclose(network.local_time_per_bit[:, 0] / 4.75e-7, [0.5, 1, 2])


def test_events_of_wpmec_happen_at_their_frames():
    swaps, switches = (EXPERIMENTS[f"wpmec_{name}"] for name in ("weights", "devices"))
    data = samples(swaps.rows(100, 1)[0][2][0].problem)
    plain, swapped = WPMEC(10, [1, 1.5] * 5), WPMEC(10, [1.5, 1] * 5)
    for network, begin, end in ((plain, 0, 60), (swapped, 60, 80), (plain, 80, 100)):
        least = network.optimum(data.states[begin:end])[0]
        np.testing.assert_array_equal(data.gain_min[begin:end], least)
    data, off = samples(switches.rows(100, 1)[0][2][0].problem), np.zeros((100, 10))
    off[60:75, 2] = off[65:70, 7] = 1
    np.testing.assert_array_equal(data.states == 0, off)
    assert [*swaps.plot.keywords["fractions"], *switches.plot.keywords["fractions"]] == [
        0.6,
        0.8,
        0.6,
        0.65,
        0.7,
        0.75,
    ]


@pytest.mark.parametrize(
    "given, name, values", [("K", "net_num", (4, 1)), ("uplink", "uplink", (50.0, 200.0))]
)
def test_sweep_from_the_command_line(monkeypatch, given, name, values):
    suites = []
    monkeypatch.setattr(figures, "run_suite", lambda experiments, *_: suites.append(experiments))
    assert cli(monkeypatch, "--sweep", given, *values, values[0]) is None
    expected = [released(**{name: value}) for value in values]
    # A network has its own baseline.
    networks = [{}] if name == "net_num" else [{name: value} for value in values]
    expected += [replace(BASELINE, **network) for network in networks]
    assert [*suites.pop()[name].runs.values()] == expected
