"""Matplotlib's windows, and its import, which fails where the environment names a wrong backend."""

import os
import sys
from contextlib import suppress


def import_matplotlib():
    """Return Matplotlib, whatever MPLBACKEND is: only windows need a backend."""
    backend = os.environ.pop("MPLBACKEND", "") if "matplotlib" not in sys.modules else ""
    import matplotlib

    if backend:
        os.environ["MPLBACKEND"] = backend
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
    return matplotlib


def has_screen():
    """Whether Matplotlib can open windows here. Raises ValueError if MPLBACKEND is no backend."""
    import_matplotlib().rcsetup.validate_backend(os.environ.get("MPLBACKEND") or "agg")
    import matplotlib.pyplot as plt

    return plt.get_backend().lower() != "agg"
