"""Schemes that do not come to an end, or not yet: workers import them from here by their names."""

import multiprocessing
import os
import time
from pathlib import Path

from ddlo.baselines import all_edge
from experiments.runs import released
from experiments.schemes import Scheme


def kill_worker(network, states):
    if multiprocessing.parent_process():
        os._exit(1)  # as when memory runs out
    return all_edge(network, states)


def refuse(network, states):
    raise ValueError("not today")


def wait(network, states, seed):
    """Decide at once with seed 0, else when there is a file `go` in the current folder."""
    while seed and not Path("go").exists():
        time.sleep(0.01)
    return all_edge(network, states)


DEADLY = released(scheme=Scheme("deadly", kill_worker), frames=50)
FAILING = released(scheme=Scheme("failing", refuse), frames=50)
WAITING = released(scheme=Scheme("waiting", wait, is_random=True), frames=50)
