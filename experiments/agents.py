"""Agents of reinforcement learning on the published data, beside DDLO: PPO, A2C and DQN.

python -m experiments.agents                                     all of them, about an hour
python -m experiments.agents --only A2C --frames 20000

Needs Stable-Baselines3 (requirements-agents.txt). Not in the paper.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
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

from .runs import PUBLISHED_DATA
from .tables import interval, markdown_table

AGENTS = ("PPO", "A2C", "DQN")
TESTS = 4000  # the last samples; no agent learns from them
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # learning rates to try
TUNING_SEED = 1000  # not one of the seeds of the results


@dataclass
class Options:
    """Train agents of Stable-Baselines3, and compare their gain ratios in the last 4,000 samples.

    Each agent has its default settings, once with its default learning rate and once with the one of
    RATES that gives the best gain ratio in the training samples with another seed, for the first number
    of frames. Only gamma is 0, because a decision does not change the next state, and observations and
    rewards are normalised.
    """

    only: tuple[Literal[AGENTS], ...] = AGENTS  # agents
    frames: tuple[int, ...] = (20000, 200000)  # time frames: the last 4,000 are the test
    seeds: int = 3  # runs of each setting, with seeds from 0
    processes: int | None = None  # runs at a time; default: one per core
    out: Path = Path("results/agents")  # output folder


def train(agent, frames, rate, seed):
    """Train an agent; return its mean gain ratios in the training and in the test samples.

    It learns in all but TESTS of the frames, in which it explores, and then decides without exploration.
    The learning rate None is its default.
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
        env = OffloadingEnv(network, (data.states[:split], data.gain_min[:split]))
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
    o, lines = options, []
    checks.integer("seeds", o.seeds)
    for frames in o.frames:
        checks.integer("frames", frames, TESTS + 1)
    tuning = [(agent, o.frames[0], rate, TUNING_SEED) for agent in o.only for rate in RATES]
    # Forked processes of libraries with threads may hang.
    pool = ProcessPoolExecutor(o.processes, get_context("spawn"))
    with output_folder(o.out) as folder, pool:
        found = dict(zip(tuning, shown(pool, tuning, "tuning")))
        best = {run[0]: run[2] for run in sorted(tuning, key=lambda run: found[run][0])}
        runs = [
            (agent, frames, rate, seed)
            for frames in o.frames
            for agent in o.only
            for rate in (None, best[agent])
            for seed in range(o.seeds)
        ]
        found |= dict(zip(runs, shown(pool, runs, "runs")))
        rows = [(*run, *ratios) for run, ratios in found.items()]
        names = ["agent", "frames", "learning_rate", "seed", "training_ratio", "mean_gain_ratio"]
        pd.DataFrame(rows, columns=names).to_csv(folder / "agents.csv", index=False)
        for agent, rate in best.items():
            for name, used in (("default", None), (f"{rate:g}", rate)):
                ratios = [[found[agent, f, used, s][1] for s in range(o.seeds)] for f in o.frames]
                means = ["{:.4f} ± {:.4f}".format(*interval(each)) for each in ratios]
                lines.append([agent, name, *means])
        headings = ["agent", "learning rate", *(f"{frames:,} time frames" for frames in o.frames)]
        page = "\n".join(markdown_table(headings, lines))
        (folder / "agents.md").write_text(page + "\n", encoding="utf-8")
    print(page)


def shown(pool, runs, name):
    """Return the results of `train` for runs, with a progress bar."""
    results = pool.map(train, *zip(*runs))
    return list(tqdm(results, name, len(runs), disable=None))


if __name__ == "__main__":
    command_line(main, Options)
