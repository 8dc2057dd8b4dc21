"""Argument checks: each checks one thing and returns the value, or raises ValueError.

A message says what was expected and what was found: "net_num must be an integer >= 1, got 0".
"""

from dataclasses import fields

import numpy as np

INT32 = 2**31 - 1  # compiled code counts in int32
LARGEST = 1e30  # of sizes and constants: utilities and DNN inputs stay finite
REAL = (int, float, np.integer, np.floating)


def integer(name, value, low=1, high=INT32):
    """Return a Python or NumPy integer from low to high as an int."""
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or not low <= value <= high:
        limit = f"<= {high}" if is_integer and value > high else f">= {low}"
        raise ValueError(f"{name} must be an integer {limit}, got {quoted(value)}")
    return int(value)


def number(name, value, positive=False, high=LARGEST):
    """Return a number from 0 (or from 1/LARGEST) to high as a Python number."""
    low, is_number = 1 / LARGEST if positive else 0, isinstance(value, REAL)
    if not is_number or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be a number {low:g} to {high:.8g}, got {quoted(value)}")
    return value.item() if isinstance(value, np.generic) else value


def constant(name, value, shape, positive=False):
    """Return a `number`, or a read-only array (N, 1), (1, M) or (N, M) of them."""
    if np.ndim(value) == 0:
        value = number(name, value.item() if isinstance(value, np.ndarray) else value, positive)
        return value if value < 2**63 else float(value)  # NumPy has no larger integers
    values, least = array(name, value).copy(), 1 / LARGEST if positive else 0
    every(name, values, (values >= least) & (values <= LARGEST), f"{least:g} to {LARGEST:g}")
    users, tasks = shape
    if values.shape not in ((users, 1), (1, tasks), shape):
        raise ValueError(
            f"{name} must be a number or an array of shape ({users}, 1) for users, (1, {tasks}) for "
            f"tasks, or {shape}, got shape {values.shape}"
        )
    values.flags.writeable = False
    return values


def size_range(name, values):
    """Return the least and the greatest of a range, two numbers."""
    if np.shape(values) != (2,) or not values[0] <= values[1]:
        raise ValueError(f"{name} must be the least and the greatest, got {quoted(values)}")
    return tuple(number(name, value) for value in values)


def choice(name, value, choices):
    """Return a value that is one of the choices."""
    if value not in tuple(choices):
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {quoted(value)}")
    return value


def device(name, devices):
    """Return one of the devices CPU, GPU:0, ...; GPU is the first GPU."""
    upper = text("device", name).upper()
    found = {"CPU:0": "CPU", "GPU": "GPU:0"}.get(upper, upper)
    return found if found in devices else choice("device", name, devices)


def flags(parameters):
    """Check that the fields of a dataclass with the default True or False have such a value."""
    for each in fields(parameters):
        value = getattr(parameters, each.name)
        if isinstance(each.default, bool) and not isinstance(value, bool):
            raise ValueError(f"{each.name} must be True or False, got {quoted(value)}")  # noqa: TRY004


def text(name, value, longest=60):
    """Return a short text in one line."""
    if not isinstance(value, str) or value != shortened(value, longest) or not value:
        raise ValueError(f"{name} must be one line of text, got {quoted(value)}")
    return value


def array(name, values, dtype=np.float64, shape=None):
    """Return real numbers as an array of a floating-point dtype, and of this shape if one is given."""
    if np.ma.isMaskedArray(values):  # its mask would be ignored
        raise ValueError(f"{name} must be an array without a mask, got a masked array")
    try:
        values = np.asarray(values)
        if values.dtype != dtype:
            if values.dtype.kind in "cSUmM":  # NumPy would turn these into real numbers
                raise TypeError(f"type {values.dtype}")
            with np.errstate(over="ignore"):  # wider numbers may become infinite
                values = values.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{name} must be an array of real numbers, got {shortened(error)}"
        raise ValueError(message) from None
    if shape is not None and values.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {values.shape}")
    return values


def last_axis(name, values, length, meaning):
    """Return an array whose last axis has this length; the meaning says why it should."""
    if values.ndim == 0 or values.shape[-1] != length:
        raise ValueError(
            f"{name} must have {length} entries in its last axis ({meaning}), "
            f"got shape {values.shape}"
        )
    return values


def block(name, values):
    """Return an array with one axis (one frame) or two (a block of frames)."""
    if values.ndim > 2:
        raise ValueError(f"{name} must have one or two axes, got shape {values.shape}")
    return values


def utilities(name, values, shape):
    """Return finite utilities of this shape, one per decision."""
    return finite(name, array(name, values, shape=shape))


def every(name, values, valid, requirement):
    """Return an array whose entries are all valid; `valid` is a boolean array of its shape."""
    if not valid.all():
        raise ValueError(f"{name} must be {requirement}, got {values[~valid][0]:g}")
    return values


def finite(name, values):
    """Return an array without NaN or infinity."""
    return every(name, values, np.isfinite(values), "finite")


def sizes(name, values):
    """Return an array of numbers that are 0 or in [1/LARGEST, LARGEST]."""
    # Reductions cost less than comparisons, and every decision passes here.
    if not (values.min(initial=1) >= 1 / LARGEST and values.max(initial=0) <= LARGEST):
        is_valid = (values == 0) | (values >= 1 / LARGEST) & (values <= LARGEST)
        every(name, values, is_valid, f"0 or {1 / LARGEST:g} to {LARGEST:g}")
    return values


def binary(name, values):
    """Return an array of zeros and ones."""
    return every(name, values, (values == 0) | (values == 1), "0 (local) or 1 (offload)")


def shortened(text, longest=200):
    """Return a text as one line of printable characters, short enough for a message."""
    text = " ".join(str(text).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text[: longest + 1])
    return text if len(text) <= longest else f"{text[:longest]}..."


def quoted(value):
    """Return a value as a message quotes it."""
    return shortened(repr(value))
