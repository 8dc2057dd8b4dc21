"""Strategies for what goes wrong with files and values: damage, other content, other types."""

import json
import os

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st


def fuzzed(examples):
    """Settings of a fuzz test: so many examples, always the same; FUZZ=20 for 20 times as many others."""
    times = int(os.environ.get("FUZZ", "0"))
    return settings(
        max_examples=examples * max(1, times),
        derandomize=not times,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def assert_one_message(message, *words):
    """Assert that a message is one line that can be read, and has these words in it."""
    message = str(message)
    assert message and "\n" not in message and len(message) < 600, message
    assert all(str(word) in message for word in words), message


# Files

# What is done to the bytes of a file: at a place (a fraction of its length), with some bytes.
DAMAGE = {
    "changed": lambda content, at, some: content[:at] + some + content[at + len(some) :],
    "inserted": lambda content, at, some: content[:at] + some + content[at:],
    "cut out": lambda content, at, some: content[:at] + content[at + len(some) :],
    "ends early": lambda content, at, some: content[:at],
    "begins late": lambda content, at, some: content[at:],
    "other": lambda content, at, some: some,
}
damages = st.lists(
    st.tuples(st.sampled_from(sorted(DAMAGE)), st.floats(0, 1), st.binary(min_size=1, max_size=9)),
    min_size=1,
    max_size=3,
)


def damaged(content, damages):
    """Return the bytes of a file with damages done to it."""
    for kind, place, some in damages:
        content = DAMAGE[kind](content, int(place * len(content)), some)
    return content


# Values

# Of the types and sizes that are mistaken for one another; no number that asks for much memory.
odd = st.sampled_from(
    [None, True, False, 0, 1, 2, -1, 3.0, 1.5, -0.5, 1e-320, 1e308, 2**31, 2**63, 10**30]
    + [float("nan"), float("inf"), -float("inf"), "", "3", "nan", "equal", "a\nb", "x" * 5000]
    + [[], [1], [None], {}, {"a": 1}, [[1, 2], [3]]]
)
odd_objects = odd | st.sampled_from(
    [(), (1,), (0, 5), ("3",), b"3", 3j, object(), int, np.int64(2), np.float32(0.5), np.bool_(1)]
    + [np.array(3), np.array([5, 4]), np.array([]), np.array([[1.0]]), np.array(["a"]), range(2)]
)
odd_texts = odd.map(str) | st.text(max_size=20).filter(lambda text: "\0" not in text)


@st.composite
def changed_json(draw, value):
    """A value of JSON of which one part is another value, is missing, or is one more."""
    if isinstance(value, (dict, list)) and value and draw(st.integers(0, 4)):
        value = value.copy()
        key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        change = draw(st.sampled_from(["part", "part", "part", "missing", "more"]))
        if change == "part":
            value[key] = draw(changed_json(value[key]))
        elif change == "missing":
            del value[key]
        elif isinstance(value, dict):
            value[draw(st.sampled_from(["other", "seed", "output_graph", ""]))] = draw(odd)
        else:
            value.insert(key, value[key])
        return value
    return draw(odd)


DTYPES = ["f4", "f8", "i4", "i8", "u1", "?", "U8", "S8", "c16", ">f4", ">i8", "M8[s]"]


@st.composite
def changed_array(draw, array):
    """An array that has another type, shape or entry."""
    array = np.array(array)
    change = draw(st.sampled_from(["entry", "type", "shape", "part"]))
    if change == "entry" and array.size and array.dtype.kind in "fiu":
        i = draw(st.integers(0, array.size - 1))
        values = [0, 1, 2, -1, 127] + [np.nan, np.inf, 0.3, 3e38] * (array.dtype.kind == "f")
        array.ravel()[i] = draw(st.sampled_from(values))  # of a C-contiguous copy, so in place
    elif change == "type":
        try:
            array = array.astype(draw(st.sampled_from(DTYPES)))
        except (ValueError, TypeError):
            array = np.array("another type")
    elif change == "shape":
        shapes = [(-1,), (1, *array.shape), (*array.shape, 1), array.shape[::-1]]
        array = array.reshape(draw(st.sampled_from(shapes)))
    else:
        array = np.atleast_1d(array)[: draw(st.integers(0, 1))]
    return array


@st.composite
def changed_content(draw, content, keep=()):
    """Arrays by name of which one is another one, is missing, or is one more; a text is JSON's."""
    content = dict(content)
    name = draw(st.sampled_from(sorted(set(content) - set(keep))))
    change = draw(st.sampled_from(["value", "value", "value", "value", "missing", "more"]))
    if change == "missing":
        del content[name]
    elif change == "more":
        content["other"] = content[name]
    else:
        content[name] = draw(changed_value(content[name]))
    return content


def changed_value(value):
    """A strategy for what is there in place of an array, a text with JSON, or a dict."""
    if isinstance(value, dict):
        return changed_json(value).map(lambda changed: changed or {"nothing": 0})
    if np.asarray(value).dtype.kind == "U":
        try:
            content = json.loads(str(value))
        except ValueError:
            return changed_array(value)
        return changed_json(content).map(lambda changed: np.array(json.dumps(changed)))
    return changed_array(value)
