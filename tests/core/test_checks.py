"""Argument checks: what they say, and that everything that takes input has them."""

import numpy as np
import pytest

import main
from ddlo import checks
from ddlo.data import Data
from main import Parameters
from memory import MemoryDNN
from MUMT import MUMT


@pytest.mark.parametrize(
    "check, arguments, message",
    [
        (checks.integer, (0,), "x must be an integer >= 1, got 0"),
        (checks.integer, (10, 0, 9), "x must be an integer <= 9, got 10"),
        (checks.integer, (2**31,), "x must be an integer <= 2147483647, got 2147483648"),
        (checks.integer, (3.0,), "x must be an integer >= 1, got 3.0"),
        (checks.integer, (True,), "x must be an integer >= 1, got True"),
        (checks.integer, ("3",), "x must be an integer >= 1, got '3'"),
        (checks.number, (-1,), "x must be a finite number >= 0, got -1"),
        (checks.number, (0, True), "x must be a finite number > 0, got 0"),
        (checks.number, (np.nan,), "x must be a finite number >= 0, got nan"),
        (checks.number, (np.inf, True), "x must be a finite number > 0, got inf"),
        (checks.number, ("1",), "x must be a finite number >= 0, got '1'"),
        (checks.number, (np.complex128(1),), "x must be a finite number >= 0, got"),
        (checks.choice, ("c", ("a", "b")), "x must be one of a, b, got 'c'"),
        (checks.array, (["a"],), "x must be an array of real numbers, got type <U1"),
        (checks.array, ([1j],), "x must be an array of real numbers, got type complex128"),
        (checks.array, (np.array(["2020-01-01"], "M8[D]"),), "x must be an array of real numbers"),
        (checks.array, ([[1], [1, 0]],), "x must be an array of real numbers, got"),
        (checks.last_axis, (np.zeros((2, 3)), 4, "why"), "x must have 4 entries in its last axis"),
        (checks.last_axis, (np.zeros(()), 4, "why"), "(why), got shape ()"),
        (checks.block, (np.zeros((1, 1, 1)),), "x must have one or two axes, got shape (1, 1, 1)"),
        (checks.finite, (np.array([1, np.inf]),), "x must be finite, got inf"),
        (checks.sizes, (np.array([1, -2.5]),), "x must be finite and >= 0, got -2.5"),
        (checks.sizes, (np.array([1, 2e30]),), "x must be <= 1e+30, got 2e+30"),
        (checks.constant, (2e30, (2, 2)), "x must be 0 to 1e+30, got 2e+30"),
        (checks.constant, (1e-320, (2, 2), True), "x must be 1e-30 to 1e+30, got 9.99989e-321"),
        (checks.text, ("a\nb",), "x must be one line of text, got 'a\\nb'"),
        (checks.integer, ("x" * 999,), "x must be an integer >= 1, got '" + "x" * 199 + "..."),
        (checks.sizes, (np.array([np.nan]),), "x must be finite and >= 0, got nan"),
        (checks.sizes, (np.array([0, np.inf]),), "x must be finite and >= 0, got inf"),
        (checks.size_range, ((1, 2, 3),), "x must be two numbers, got (1, 2, 3)"),
        (checks.size_range, ((2, 1),), "x must be the least and the greatest, got 2 and 1"),
        (checks.constant, (-1, (3, 2)), "x must be a finite number >= 0, got -1"),
        (checks.constant, (np.array(0.0), (3, 2), True), "x must be a finite number > 0, got 0"),
        (checks.constant, ([[1, 0]], (3, 2), True), "x must be finite numbers > 0, got 0"),
        (checks.constant, ([[np.nan, 0]], (3, 2)), "x must be finite numbers >= 0, got nan"),
        (
            checks.constant,
            ([1, 2, 3], (3, 2)),
            "(3, 1) for users, (1, 2) for tasks, or (3, 2), got",
        ),
        (checks.constant, ([1, 2], (2, 2)), "got shape (2,)"),
        (checks.constant, ([[1, 2]] * 2, (3, 2)), "got shape (2, 2)"),
        (checks.constant, ([[[1, 2]]], (3, 2)), "got shape (1, 1, 2)"),
        (checks.utilities, (np.zeros(3), (2,)), "x must return an array of shape (2,), got (3,)"),
        (checks.utilities, (np.array([np.nan]), (1,)), "x must be finite, got nan"),
        (checks.binary, (np.array([0, 2]),), "x must be 0 (local) or 1 (offload), got 2"),
        (checks.binary, (np.array([np.nan]),), "x must be 0 (local) or 1 (offload), got nan"),
    ],
)
def test_messages(check, arguments, message):
    with pytest.raises(ValueError) as error:
        check("x", *arguments)
    assert message in str(error.value)


def test_what_passes_is_returned():
    for value in (1, np.uint8(1), np.int64(1)):
        assert checks.integer("x", value) == 1 and type(checks.integer("x", value)) is int
    assert checks.integer("x", 0, 0, 0) == 0 and checks.integer("x", 2**31 - 1) == 2**31 - 1
    for value, kind in ((0, int), (0.0, float), (np.float32(0), float), (np.int8(0), int)):
        assert checks.number("x", value) == 0 and type(checks.number("x", value)) is kind
    assert checks.choice("x", "a", {"a": 1, "b": 2}) == "a"
    for values in ([1, 0], (True, False), np.array([1, 0], object), np.array([1, 0], np.int8)):
        array = checks.array("x", values)
        assert array.dtype == np.float64 and array.tolist() == [1, 0]
    assert checks.array("x", [1], np.float32).dtype == np.float32
    array = np.array([[1.0, 0]])
    assert checks.last_axis("x", checks.block("x", array), 2, "why") is array
    assert checks.binary("x", checks.finite("x", array)) is array
    assert checks.sizes("x", array) is array and checks.utilities("x", array, (1, 2)) is array
    assert checks.size_range("x", np.array([1, 2])) == (1, 2)
    assert checks.constant("x", 0, (3, 2)) == 0
    for values in ([1, 2], [[1], [2], [3]], [[1, 2]], np.ones((3, 2))):
        constant = checks.constant("x", values, (3, 2))
        assert constant.tolist() == np.asarray(values).tolist() and not constant.flags.writeable


# One or two cases of each argument show that it is checked; what the checks refuse is above.


def network(**constants):
    return MUMT(2, 2, **constants)


def dnns(**parameters):
    return MemoryDNN(**{"net": [9, 5, 9], "net_num": 2} | parameters)


SIZES, DECISION = [10] * 4, [1] * 4


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: MUMT(0, 3), "N must .* got 0"),
        (lambda: MUMT(3, 1.5), "M must .* got 1.5"),
        (lambda: network(edge_cpu_rate=0), "edge_cpu_rate must be .* > 0, got 0"),
        (lambda: network(uplink_bandwidth=0), "uplink_bandwidth must be .* > 0, got 0"),
        (lambda: network(delay_weight=np.nan), "delay_weight must .* got nan"),
        (lambda: network().compute_Q([10] * 3, DECISION), r"task_size must .* got shape \(3,\)"),
        (lambda: network().compute_Q([10, 10, 10, -1], DECISION), "task_size must .* got -1"),
        (lambda: network().compute_Q([10, 10, 10, None], DECISION), "task_size must .* got nan"),
        (lambda: network().compute_Q(SIZES, [1] * 5), r"decision must .* got shape \(5,\)"),
        (lambda: network().compute_Q(SIZES, [1, 0, 1, 2]), "decision must .* got 2"),
        (
            lambda: network().compute_Q([SIZES] * 3, [DECISION] * 2),
            r"task_size and decision must .* got shapes \(3, 4\) and \(2, 4\)",
        ),
        (lambda: network().bandwidth_allocation(SIZES, [2] * 4), "decision must .* got 2"),
        (lambda: network().optimum([10, 10, 10, -1]), "task_size must .* got -1"),
        (lambda: network().optimum([[SIZES]]), r"task_size must .* got shape \(1, 1, 4\)"),
        (lambda: dnns(net=[9]), r"net must .* got \[9\]"),
        (lambda: dnns(net=9), "net must .* got 9"),
        (lambda: dnns(net=[9, 0, 9]), r"net\[1\] must .* got 0"),
        (lambda: dnns(net_num=0), "net_num must .* got 0"),
        (lambda: dnns(learning_rate=0), "learning_rate must .* > 0, got 0"),
        (lambda: dnns(training_interval=0), "training_interval must .* got 0"),
        (lambda: dnns(batch_size=0), "batch_size must .* got 0"),
        (lambda: dnns(memory_size=-5), "memory_size must .* got -5"),
        (lambda: dnns(seed=-1), "seed must .* >= 0, got -1"),
        (lambda: dnns(beta1=1), "beta1 must .* got 1"),
        (lambda: dnns(beta1=-0.1), "beta1 must .* got -0.1"),
        (lambda: main.run(Parameters(frames=0)), "frames must .* got 0"),
        (lambda: main.run(Parameters(recombine="no")), "recombine must be True or False"),
        (lambda: main.run(Parameters(bandwidth="fair")), "bandwidth must .* got 'fair'"),
        (lambda: Data.generate(network(), 0), "samples must .* got 0"),
        (lambda: Data.load("nowhere.mat", network()), "no such data set: nowhere.mat"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda net: net.decode(np.zeros(8)), r"h must .* got \(8,\)"),
        (lambda net: net.decode(np.zeros((2, 2, 9))), r"h must .* got \(2, 2, 9\)"),
        (lambda net: net.decode([np.nan] * 9), "h must be finite, got nan"),
        (lambda net: net.encode(np.full(9, np.inf), np.zeros(9)), "h must be finite, got inf"),
        (lambda net: net.encode(np.zeros(9), np.zeros(8)), r"m must .* got \(8,\)"),
        (lambda net: net.encode(np.zeros(9), np.full(9, 2)), "m must .* got 2"),
        (lambda net: net.encode(np.zeros((3, 9)), np.zeros((2, 9))), r"m must .* got \(2, 9\)"),
        (lambda net: net.remember(np.zeros(9), np.full(9, 0.5)), "m must .* got 0.5"),
        (lambda net: net.remember(np.zeros(9), 1), r"m must have shape \(9,\)"),
        (lambda net: net.learn(np.zeros((2, 100), int)), r"sample_index must .* \(2, 100\)"),
        (lambda net: net.learn(np.zeros((2, 128))), "sample_index must .* integers .* got"),
        (
            lambda net: net.learn(np.full((2, 128), 1024)),
            "sample_index must .* 0 to 1023 .* got .*1024",
        ),
        (lambda net: net.learn(np.full((2, 128), -1)), "sample_index must .* got .*-1"),
        (lambda net: net.set_weights(None), "weights must .* got None"),
        (lambda net: net.set_weights(net.get_weights()[:2]), "weights must be 4 arrays"),
        (
            lambda net: net.set_weights([w[:1] for w in net.get_weights()]),
            r"weights\[0\] must have shape",
        ),
        (lambda net: net.set_weights([w * np.nan for w in net.get_weights()]), "got nan"),
    ],
)
def test_bad_input_changes_nothing_of_a_memory_dnn(call, message):
    net = dnns()
    before = net.get_weights()
    with pytest.raises(ValueError, match=message):
        call(net)
    assert net.memory_counter == 1 and not net.memory.any() and net.cost_his == [[], []]
    for w, now in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(w, now)
