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
BASELINE = released(scheme=SCHEMES["smallest task local"])


def runs(name):
    """Return the runs of an experiment by label and value."""
    named = EXPERIMENTS[name].runs.items()
    return {key if isinstance(key, tuple) else (key, None): run for key, run in named}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_settings_are_different_and_can_be_run(name):
    experiment, all_runs = EXPERIMENTS[name], []
    assert set(experiment.metrics) <= tables.FORMATS.keys()
    for label, _, all_seeds in experiment.rows(600, 3):
        run = all_seeds[0]
        (_, network), *_ = run.networks
        assert run.parameters
        if run.learns:
            assert make_ddlo(run).net.n_out == network.N * network.M
        if "K = N" not in label:  # which may be another K, too
            all_runs += all_seeds
    assert len(set(all_runs)) == len(all_runs) > 0


def test_every_scheme_is_compared():
    schemes, left_out = runs("schemes"), {"optimum by MILP", "linear relaxation"}
    assert {run.scheme for run in schemes.values()} == {None, *SCHEMES.values()}
    units = {"uplink": ("bandwidth", 1), "edge_cost_per_bit": ("edge_cost", 10**-7)}
    for field in ("uplink", "edge_cost_per_bit", "delay_weight"):
        name, unit = units.get(field, (field, 1))
        for (label, value), run in runs(name).items():
            assert run == replace(schemes[label, None], **{field: value * unit})
        assert SCHEMES.keys() - left_out < {label for label, _ in runs(name)}


def test_smallest_task_local_is_in_every_comparison_on_mumt():
    for name in EXPERIMENTS.keys() - {"training_cost", "recorded", "ablation", "two_networks"}:
        schemes = [run.scheme for run in runs(name).values() if run.network is None]
        assert not schemes or BASELINE.scheme in schemes, name


@pytest.mark.parametrize("name", ["scaling", "joint_scaling", "decision_time", "ablation"])
def test_networks_of_other_sizes_keep_the_uplink_of_a_user(name):
    for (_, value), run in runs(name).items():
        assert run.uplink == pytest.approx(100 * run.users / 3)
        assert value == run.users or value.startswith(f"{run.users} x {run.tasks}")


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
    assert [*swaps.plot.keywords["fractions"]] == [0.6, 0.8]
    assert [*switches.plot.keywords["fractions"]] == [0.6, 0.65, 0.7, 0.75]


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
