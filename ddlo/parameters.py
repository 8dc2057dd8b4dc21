"""Parameters that come from Python: their types, as a command line checks those it is given."""

import os
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Literal, get_args, get_origin, get_type_hints

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
KINDS = {
    int: (int, np.integer),
    float: (int, float, np.integer, np.floating),
    bool: (bool, np.bool_),
    str: str,
    Path: (str, os.PathLike),
    type(None): type(None),
}


def checked_parameters(parameters, kind, others=()):
    """Return an object of a dataclass, with values of the types that its fields are annotated with.

    A path may be a text, a tuple any sequence, and a number NumPy's. `others` are names of fields that
    are not looked at. Raises ValueError for another value, and if it is no object of that kind.
    """
    if not is_dataclass(kind) or not isinstance(parameters, kind):
        raise ValueError(f"parameters must be {kind.__name__}, got {shortened(repr(parameters))}")
    hints = get_type_hints(type(parameters))
    values = {}
    for each in fields(parameters):
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
    elif isinstance(hint, UnionType):
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
    elif isinstance(value, KINDS[hint]) and isinstance(value, (bool, np.bool_)) == (hint is bool):
        return Path(value) if hint is Path else getattr(value, "item", lambda: value)()
    raise TypeError


def _words(hint):
    """Return in words what a hint asks for."""
    kinds = get_args(hint)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(kinds)}"
    if isinstance(hint, UnionType):
        return " or ".join(map(_words, kinds))
    if get_origin(hint) is tuple:
        return f"a tuple, each {_words(kinds[0])}"
    return WORDS[hint]
