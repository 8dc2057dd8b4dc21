"""Agents of reinforcement learning on the published data, beside DDLO: PPO, A2C and DQN.

python -m experiments.agents                                     all of them, about an hour
python -m experiments.agents --only A2C --frames 20000

Needs Stable-Baselines3 (requirements-agents.txt). Not in the paper.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from ddlo import checks
from ddlo.command_line import command_line
from ddlo.data import Data
from ddlo.files import output_folder
from MUMT import MUMT

from .engine import client_of
from .runs import PUBLISHED_DATA
from .suite import Experiment
from .tables import tables

AGENTS = ("PPO", "A2C", "DQN")
TESTS = 4000  # the last samples; no agent learns from them
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # learning rates to try
TUNING_SEED = 1000  # not one of the seeds of the results


@dataclass
class Options:
    """Train agents of Stable-Baselines3, and compare their gain ratios in the last 4,000 samples.

    Each agent runs with its default settings, and with a tuned learning rate: of seven from 0.0001 to 0.1
    the best in the training samples, with as many frames and another seed. Only gamma is 0, because a
    decision does not change the next state, and observations and rewards are normalised.
    """

    only: tuple[Literal[AGENTS], ...] = AGENTS  # agents
    frames: tuple[int, ...] = (20000, 200000)  # time frames: the last 4,000 are the test
    seeds: int = 3  # runs of each setting, with seeds from 0
    processes: int | None = None  # runs at a time; default: one per core
    out: Path = Path("results/agents")  # output folder


def train(agent, frames, rate, seed):
    """Train an agent; return its mean gain ratios in the training and in the test samples.

    It learns for frames - TESTS steps, rounded up to those between two updates, and then decides all
    samples without exploration. The learning rate None is its default.
    """
    import stable_baselines3
    import torch
    from gymnasium.spaces import Discrete
    from gymnasium.wrappers import TransformAction
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    from ddlo.gym_env import OffloadingEnv

    torch.set_num_threads(1)
    network = MUMT(3, 3)
    data = Data.load(PUBLISHED_DATA, network)
    split = len(data.states) - TESTS

    def environment():
        env = OffloadingEnv(network, data.states[:split])
        return TransformAction(env, bits, Discrete(512)) if agent == "DQN" else env

    env = VecNormalize(DummyVecEnv([environment]), gamma=0)
    options = {"gamma": 0, "seed": seed, "device": "cpu"}
    options |= {} if rate is None else {"learning_rate": rate}
    model = getattr(stable_baselines3, agent)("MlpPolicy", env, **options).learn(frames - TESTS)
    decision, _ = model.predict(env.normalize_obs(data.states), deterministic=True)
    Q = network.compute_Q(data.states, bits(decision) if agent == "DQN" else decision)
    ratio = data.compare(Q, np.arange(len(Q)))
    return ratio[:split].mean(), ratio[split:].mean()


def bits(number):
    """Return the decisions (..., 9) with these numbers (...), 0 to 511."""
    return np.asarray(number)[..., None] >> np.arange(9)[::-1] & 1


def main(options):
    """Train the agents; print a table, and write it and a row per run. Raises ValueError."""
    o = options
    lengths = o.frames or Options.frames
    checks.integer("seeds", o.seeds, high=TUNING_SEED)
    for frames in lengths:
        checks.integer("frames", frames, TESTS + 1)
    if o.processes is not None:
        checks.integer("processes", o.processes)
    if not find_spec("stable_baselines3"):
        raise ImportError(
            "the agents need Stable-Baselines3: pip install -r requirements-agents.txt"
        )
    settings = [(agent, frames) for frames in lengths for agent in o.only or AGENTS]
    tuning = [(*setting, rate, TUNING_SEED) for setting in settings for rate in RATES]
    with output_folder(o.out) as folder, client_of(len(tuning), o.processes) as client:
        found = dict(zip(tuning, shown(client, tuning, "tuning")))
        best = {run[:2]: run[2] for run in sorted(tuning, key=lambda run: found[run][0])}
        runs = [
            (*setting, rate, seed)
            for setting in settings
            for rate in (None, best[setting])
            for seed in range(o.seeds)
        ]
        found |= dict(zip(runs, shown(client, runs, "runs")))
        names = ["agent", "frames", "learning_rate", "seed", "training_ratio", "mean_gain_ratio"]
        rows = pd.DataFrame([(*run, *ratios) for run, ratios in found.items()], columns=names)
        rows.to_csv(folder / "agents.csv", index=False)
        page = "\n".join(table(rows))
        (folder / "agents.md").write_text(page + "\n", encoding="utf-8")
    print(page)


def table(runs):
    """Return the lines of a table from a row per run; a learning rate of NaN is the default."""
    runs = runs[runs.seed != TUNING_SEED]
    is_default = runs.learning_rate.isna()
    rates = np.where(is_default, "default settings", "tuned learning rate")
    values = [f"{frames:,} time frames" for frames in runs.frames]
    runs = runs.assign(label=runs.agent + ", " + rates, value=values)
    runs = runs.assign(is_released=False, error="", test_frames=TESTS, unit="J")
    agents = Experiment("", {}, metrics=("mean_gain_ratio",), across="agent")
    (lines,) = tables(agents, runs).values()
    return lines


def shown(client, runs, name):
    """Return the results of `train` for runs, in the processes of a Dask client."""
    futures = client.map(train, *zip(*runs), pure=False)
    return [future.result() for future in tqdm(futures, name, disable=None)]


if __name__ == "__main__":
    command_line(main, Options)
