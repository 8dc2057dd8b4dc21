"""A candidate rule that ends worker processes, in a module of its own as these import it."""

import multiprocessing
import os

from ddlo.candidates import threshold


def deadly(logits, xp=None):
    """End the worker's process, as when memory runs out; elsewhere propose what is released."""
    if multiprocessing.parent_process():
        os._exit(1)
    return threshold(logits)
