"""Argument checks: each checks one thing, and returns the value or raises ValueError.

A message says what was expected and what was found: "net_num must be an integer >= 1, got 0".
"""

import numpy as np

INT32 = 2**31 - 1  # counts and rows are int32 in compiled code
LARGEST = 1e30  # MB, and what a constant can be: utilities and the inputs of the DNNs are finite
LONGEST = 200  # characters that a message quotes


def integer(name, value, low=1, high=INT32):
    """Return a Python or NumPy integer from low to high as an int."""
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or not low <= value <= high:
        limit = f"<= {high}" if is_integer and value > high else f">= {low}"
        raise ValueError(f"{name} must be an integer {limit}, got {quoted(value)}")
    return int(value)


def number(name, value, positive=False):
    """Return a finite number that is not negative (or positive), as a Python number."""
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    is_valid = is_number and not isinstance(value, bool) and 0 <= value < np.inf
    if not is_valid or (positive and value == 0):
        limit = "> 0" if positive else ">= 0"
        raise ValueError(f"{name} must be a finite number {limit}, got {quoted(value)}")
    return value.item() if isinstance(value, np.generic) else value


def constant(name, value, shape, positive=False):
    """Return a number that is not negative (or positive), up to LARGEST, or an array of them.

    An array has to broadcast to the shape, (N, M); it is returned as float64, read-only.
    """
    if np.ndim(value) == 0:
        value = number(name, value.item() if isinstance(value, np.ndarray) else value, positive)
    values = array(name, value).copy()
    valid = (values > 0 if positive else values >= 0) & (values < np.inf)
    every(name, values, valid, f"finite numbers {'> 0' if positive else '>= 0'}")
    least = 1 / LARGEST if positive else 0
    every(name, values, (values >= least) & (values <= LARGEST), f"{least:g} to {LARGEST:g}")
    if values.ndim == 0:
        return value if value < 2**63 else float(value)  # NumPy has no greater integers
    users, tasks = shape
    # NumPy would take one axis as that of the tasks; with as many users it may be meant for these.
    is_ambiguous = values.shape == (users,) and users > 1
    try:
        fits = not is_ambiguous and np.broadcast_shapes(values.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} must be a number or an array of shape ({users}, 1) for users, (1, {tasks}) for "
            f"tasks, or {shape}, got shape {values.shape}"
        )
    values.flags.writeable = False
    return values


def size_range(name, values):
    """Return a range as two finite numbers that are not negative, the first one the least."""
    if np.shape(values) != (2,):
        raise ValueError(f"{name} must be two numbers, got {quoted(values)}")
    low, high = (number(name, value) for value in values)
    if low > high:
        raise ValueError(f"{name} must be the least and the greatest, got {low} and {high}")
    return low, high


def choice(name, value, choices):
    """Return a value that is one of the choices."""
    if value not in tuple(choices):
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {quoted(value)}")
    return value


def text(name, value, longest=60):
    """Return a text of one line that is not too long to be a name."""
    if not isinstance(value, str) or value != shortened(value, longest) or not value:
        raise ValueError(f"{name} must be one line of text, got {quoted(value)}")
    return value


def array(name, values, dtype=np.float64):
    """Return real numbers as an array of a floating-point dtype."""
    try:
        values = np.asarray(values)
        if values.dtype.kind in "cSUmM":  # NumPy would turn these into real numbers
            raise TypeError(f"type {values.dtype}")
        if values.dtype.kind != "f" or values.dtype.itemsize <= np.dtype(dtype).itemsize:
            return values.astype(dtype, copy=False)
        with np.errstate(over="ignore"):  # of what is wider, and so infinite
            return values.astype(dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an array of real numbers, got {shortened(error)}"
        ) from None


def last_axis(name, values, length, meaning):
    """Return an array whose last axis has this length; the meaning says why it should."""
    if values.ndim == 0 or values.shape[-1] != length:
        raise ValueError(
            f"{name} must have {length} entries in its last axis ({meaning}), "
            f"got shape {values.shape}"
        )
    return values


def block(name, values):
    """Return an array of one axis, for one frame, or two, for a block of frames."""
    if values.ndim > 2:
        raise ValueError(f"{name} must have one or two axes, got shape {values.shape}")
    return values


def frames(name, values, length):
    """Return numbers as a float64 array (frames, length)."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != length:
        raise ValueError(f"{name} must have shape (frames, {length}), got {values.shape}")
    return values


def utilities(name, values, shape):
    """Return the utilities of decisions, an array of this shape of finite numbers."""
    values = array(name, values)
    if values.shape != shape:
        raise ValueError(
            f"{name} must return an array of shape {shape}, got {values.shape}; "
            "ddlo.network.one_frame makes it of a function of one frame"
        )
    return finite(name, values)


def every(name, values, valid, requirement):
    """Return an array of which all entries are valid, a boolean array of its shape."""
    if not valid.all():
        raise ValueError(f"{name} must be {requirement}, got {values[~valid][0]:g}")
    return values


def finite(name, values):
    """Return an array without nan or infinity."""
    return every(name, values, np.isfinite(values), "finite")


def sizes(name, values):
    """Return an array of numbers that are not negative, up to LARGEST."""
    if not ((values >= 0) & (values <= LARGEST)).all():  # one test, as this is done very often
        every(name, values, (values >= 0) & (values < np.inf), "finite and >= 0")
        every(name, values, values <= LARGEST, f"<= {LARGEST:g}")
    return values


def binary(name, values):
    """Return an array of zeros and ones."""
    return every(name, values, (values == 0) | (values == 1), "0 (local) or 1 (offload)")


def overridden(thing, base, *names):
    """Return those of the methods of a base class that the class of an object overrides."""
    return [name for name in names if getattr(type(thing), name) is not getattr(base, name)]


def shortened(text, longest=LONGEST):
    """Return a text in one line of printable characters that is not too long for a message."""
    text = " ".join(str(text).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text[: longest + 1])
    return text if len(text) <= longest else f"{text[:longest]}..."


def quoted(value):
    """Return a value as a message quotes it."""
    return shortened(repr(value))
