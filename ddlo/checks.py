"""Argument checks: each checks one thing, and returns the value or raises ValueError.

A message says what was expected and what was found: "net_num must be an integer >= 1, got 0".
"""

import numpy as np

INT32 = 2**31 - 1  # counts and rows are int32 in compiled code


def integer(name, value, low=1, high=INT32):
    """Return a Python or NumPy integer from low to high as an int."""
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or not low <= value <= high:
        limit = f"<= {high}" if is_integer and value > high else f">= {low}"
        raise ValueError(f"{name} must be an integer {limit}, got {value!r}")
    return int(value)


def number(name, value, positive=False):
    """Return a finite number that is not negative (or positive), as a Python number."""
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    is_valid = is_number and not isinstance(value, bool) and 0 <= value < np.inf
    if not is_valid or (positive and value == 0):
        limit = "> 0" if positive else ">= 0"
        raise ValueError(f"{name} must be a finite number {limit}, got {value!r}")
    return value.item() if isinstance(value, np.generic) else value


def choice(name, value, choices):
    """Return a value that is one of the choices."""
    if value not in tuple(choices):
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return value


def array(name, values, dtype=np.float64):
    """Return real numbers as an array of a floating-point dtype."""
    try:
        values = np.asarray(values)
        if values.dtype.kind in "cSUmM":  # NumPy would turn these into real numbers
            raise TypeError(f"type {values.dtype}")
        return values.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of real numbers, got {error}") from None


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


def every(name, values, valid, requirement):
    """Return an array of which all entries are valid, a boolean array of its shape."""
    if not valid.all():
        raise ValueError(f"{name} must be {requirement}, got {values[~valid][0]:g}")
    return values


def finite(name, values):
    """Return an array without nan or infinity."""
    return every(name, values, np.isfinite(values), "finite")


def positive(name, values):
    """Return an array of positive, finite numbers."""
    return every(name, values, (values > 0) & (values < np.inf), "positive and finite")


def binary(name, values):
    """Return an array of zeros and ones."""
    return every(name, values, (values == 0) | (values == 1), "0 (local) or 1 (offload)")


def overridden(thing, base, *names):
    """Return those of the methods of a base class that the class of an object overrides."""
    return [name for name in names if getattr(type(thing), name) is not getattr(base, name)]
