"""Argument checks, and that everything that takes input has them."""

import numpy as np
import pytest

import main
from ddlo import checks
from ddlo.baselines import best_fixed, smallest_local
from ddlo.data import Data
from main import DDLO, Parameters
from memory import MemoryDNN
from MUMT import MUMT

from .reference import assert_same_arrays

SHAPES = [([1, 2, 3], (3, 2)), ([1, 2], (2, 2)), ([[1, 2]] * 2, (3, 2)), ([[[1, 2]]], (3, 2))]
ZEROS, DATES = np.zeros((2, 3)), np.array(["2020-01-01"], "M8[D]")
MASKED = np.ma.masked_array([10, 20, 999], mask=[0, 0, 1])


@pytest.mark.parametrize(
    "check, calls",
    [
        (checks.integer, [(0,), (10, 0, 9), (2**31,), (3.0,), (True,), ("3",), ("x" * 999,)]),
        (checks.number, [(-1,), (0, True), (np.nan,), (np.inf, True), ("1",), (np.complex128(1),)]),
        (checks.number, [(10**400,), (2e30,), (1e-300, True), (True,), (2, False, 1)]),
        (checks.choice, [("c", ("a", "b"))]),
        (checks.text, [("a\nb",)]),
        (checks.array, [(["a"],), ([1j],), (DATES,), ([[1], [1, 0]],), (MASKED,)]),
        (checks.last_axis, [(ZEROS, 4, "why"), (np.zeros(()), 4, "why")]),
        (checks.block, [(np.zeros((1, 1, 1)),)]),
        (checks.finite, [(np.array([1, np.inf]),)]),
        (checks.sizes, [(np.array([1, bad]),) for bad in (-2.5, 1e-31, 2e30, np.nan, np.inf)]),
        (checks.size_range, [((1, 2, 3),), ((2, 1),)]),
        (checks.constant, [(2e30, (2, 2)), (1e-320, (2, 2), True), (-1, (3, 2)), *SHAPES]),
        (checks.constant, [(np.array(0.0), (3, 2), True), ([[1, 0]], (3, 2), True)]),
        (checks.constant, [([[np.nan, 0]], (3, 2))]),
        (checks.utilities, [(np.zeros(3), (2,)), (np.array([np.nan]), (1,))]),
        (checks.binary, [(np.array([0, 2]),), (np.array([np.nan]),)]),
    ],
)
def test_check_refuses_a_value_and_names_it(check, calls):
    for arguments in calls:
        with pytest.raises(ValueError, match="^x must .*got") as error:
            check("x", *arguments)
        assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_what_passes_is_returned():
    for value in (1, np.uint8(1), np.int64(1)):
        assert checks.integer("x", value) == 1 and type(checks.integer("x", value)) is int
    assert checks.integer("x", 0, 0, 0) == 0 and checks.integer("x", 2**31 - 1) == 2**31 - 1
    for value, kind in ((0, int), (0.0, float), (np.float32(0), float), (np.int8(0), int)):
        assert checks.number("x", value) == 0 and type(checks.number("x", value)) is kind
    for values in ([1, 0], (True, False), np.array([1, 0], object), np.array([1, 0], np.int8)):
        array = checks.array("x", values)
        assert array.dtype == np.float64 and array.tolist() == [1, 0]
    assert checks.array("x", [1], np.float32).dtype == np.float32
    for values in ([[1], [2], [3]], [[1, 2]], np.ones((3, 2))):
        constant = checks.constant("x", values, (3, 2))
        assert constant.tolist() == np.asarray(values).tolist() and not constant.flags.writeable


# One or two cases of each argument show that it is checked; what the checks refuse is above.


def network(**constants):
    return MUMT(2, 2, **constants)


def dnns(**parameters):
    return MemoryDNN(**{"net": [4, 5, 4], "net_num": 2} | parameters)


BAD_PARAMETERS = {
    "net": [[9], 9, [9, 0, 9], [[9, 5, 9]], [[9, 6, 5, 9], [9, 5, 9]], [[9, 5, 9], [8, 5, 9]]],
    "net_num": [0],
    "learning_rate": [0, 1e-300, 1e39],
    "training_interval": [0, 2.5],
    "batch_size": [0],
    "memory_size": [-5],
    "seed": [-1],
    "beta1": [1, 1 - 1e-12, -0.1],
    "candidates": [lambda logits, xp: logits],
    "shared": [0, True],
    "backend": ["jax", None],
}


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_memory_dnn_refuses_a_parameter(name):
    for value in BAD_PARAMETERS[name]:
        with pytest.raises(ValueError, match=rf"^{name} must "):
            dnns(**{name: value})


SIZES, DECISION = [10] * 4, [1] * 4
BAD_SIZES = [[10] * 3, [10, 10, 10, -1], [10, 10, 10, None]]


@pytest.mark.parametrize(
    "name, call, values",
    [
        ("N", lambda value: MUMT(value, 3), [0]),
        ("M", lambda value: MUMT(3, value), [1.5]),
        ("uplink_bandwidth", lambda value: network(uplink_bandwidth=value), [0]),
        ("delay_weight", lambda value: network(delay_weight=value), [np.nan]),
        ("task_size", lambda value: network().compute_Q(value, DECISION), BAD_SIZES),
        ("task_size", lambda value: network().optimum(value), [*BAD_SIZES, [[SIZES]]]),
        ("decision", lambda value: network().compute_Q(SIZES, value), [[1] * 5, [1, 0, 1, 2]]),
        ("decision", lambda value: network().bandwidth_allocation(SIZES, value), [[2] * 4]),
        ("state|task_size", lambda value: best_fixed(network(), [value]), [*BAD_SIZES, [2e30] * 4]),
        ("state|task_size", lambda value: smallest_local(network(), value), [[np.nan] * 4]),
        ("task_size", lambda value: DDLO(dnns(), network()).decide(value), [["a"] * 4, [1] * 5]),
        ("a network", lambda value: main.run(Parameters(), value), [MUMT, 3]),
        ("leading", lambda value: network().compute_Q([SIZES] * 3, value), [[DECISION] * 2]),
        ("frames", lambda value: main.run(Parameters(frames=value)), [0]),
        ("recombine", lambda value: main.run(Parameters(recombine=value)), ["no"]),
        ("samples", lambda value: Data.generate(network(), value), [0]),
    ],
)
def test_bad_input_is_refused(name, call, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{name} .*must "):
            call(value)


FINE = np.zeros(4)


@pytest.mark.parametrize(
    "name, call",
    [
        ("h", lambda net: net.decode(np.zeros((2, 2, 4)))),
        ("h", lambda net: net.decode([np.nan] * 4)),
        ("h", lambda net: net.encode(np.full(4, np.inf), FINE)),
        ("m", lambda net: net.encode(FINE, np.full(4, 2))),
        ("m", lambda net: net.encode(np.zeros((3, 4)), np.zeros((2, 4)))),
        ("m", lambda net: net.remember(FINE, np.full(4, 0.5))),
        ("m", lambda net: net.remember(FINE, 1)),
        ("weights", lambda net: net.set_weights(None)),
        ("weights", lambda net: net.set_weights(net.get_weights()[:2])),
        (r"weights\[0\]", lambda net: net.set_weights([w[:1] for w in net.get_weights()])),
        (r"weights\[0\]", lambda net: net.set_weights([w * np.nan for w in net.get_weights()])),
    ],
)
def test_bad_input_changes_nothing_of_a_memory_dnn(name, call):
    net = dnns()
    before = net.get_weights()
    with pytest.raises(ValueError, match=f"^{name} must "):
        call(net)
    assert net.memory_counter == 1 and not net.memory.any() and net.cost_his == [[], []]
    assert_same_arrays(net.get_weights(), before)
