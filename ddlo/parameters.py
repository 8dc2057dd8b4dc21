"""Parameters that come from Python: their types, as a command line checks those it is given."""

import os
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from ddlo.checks import shortened

WORDS = {
    int: "an integer",
    float: "a number",
    bool: "True or False",
    str: "a text",
    Path: "a path",
    type(None): "None",
}
UNIONS = (Union, UnionType)
KINDS = {
    int: (int, np.integer),
    float: (int, float, np.integer, np.floating),
    bool: (bool, np.bool_),
    str: str,
    Path: (str, os.PathLike),
    type(None): type(None),
}


def checked_parameters(parameters, kind, others=()):
    """Return an object of a dataclass, `kind`, with values of the types its fields are annotated with.

    A path may be a text, a tuple any sequence, and a number NumPy's. `others` are names of fields that
    are not looked at. Raises ValueError for another value, and if it is no object of that kind.
    """
    names = [each.name for each in fields(kind)]
    if not is_dataclass(parameters) or not all(hasattr(parameters, name) for name in names):
        raise ValueError(f"parameters must be {kind.__name__}, got {shortened(repr(parameters))}")
    hints = get_type_hints(kind)
    values = {}
    for each in fields(kind):  # those of a user's subclass are its own
        if each.name not in others:
            value, hint = getattr(parameters, each.name), hints[each.name]
            try:
                values[each.name] = _converted(value, hint)
            except TypeError:
                raise ValueError(
                    f"{each.name} must be {_words(hint)}, got {shortened(repr(value))}"
                ) from None
    return replace(parameters, **values)


def _converted(value, hint):
    """Return a value as one of the type that a hint says. Raises TypeError if it is none."""
    kinds = get_args(hint)
    if get_origin(hint) is Literal:
        if isinstance(value, str) and value in kinds:
            return value
    elif get_origin(hint) in UNIONS:
        for kind in kinds:
            try:
                return _converted(value, kind)
            except TypeError:
                continue
    elif get_origin(hint) is tuple:
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
            values = tuple(value)
            kinds = kinds[:1] * len(values) if kinds[-1:] == (...,) else kinds
            if len(values) == len(kinds):
                return tuple(map(_converted, values, kinds))
    elif hint not in KINDS:  # of a field of a user's own
        return value
    elif isinstance(value, KINDS[hint]) and isinstance(value, (bool, np.bool_)) == (hint is bool):
        return Path(value) if hint is Path else getattr(value, "item", lambda: value)()
    raise TypeError


def _words(hint):
    """Return in words what a hint asks for."""
    kinds = get_args(hint)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(kinds)}"
    if get_origin(hint) in UNIONS:
        return " or ".join(map(_words, kinds))
    if get_origin(hint) is tuple:
        return f"a tuple, each {_words(kinds[0])}"
    return WORDS.get(hint, str(hint))
