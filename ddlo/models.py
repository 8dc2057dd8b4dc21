"""The MemoryDNN of a run: a new one, or a saved one that it goes on with."""

import json
from dataclasses import fields, replace
from pathlib import Path

from ddlo import checks
from ddlo.candidates import Flips
from ddlo.checkpoint import Checkpoint
from ddlo.inputs import scale_for
from memory import MemoryDNN


def make_net(parameters, network, sizes, training, candidates=None):
    """Return a new MemoryDNN of main.py's parameters, scaled as suits network and training.

    `sizes` are the entries of a state and of a decision, `training` the states (samples, S). The
    candidate rule is flips, unless another one is given.
    """
    p, (n_in, n_out) = parameters, sizes
    names = ("net_num", "learning_rate", "training_interval", "batch_size", "memory_size", "seed")
    return MemoryDNN(
        net=[n_in, *p.hidden, n_out],
        **{name: getattr(p, name) for name in names},
        candidates=candidates or Flips(p.flips, p.user_flips, network.N),
        scale=scale_for(network, training),
    )


def resume(parameters, sizes, candidates=None):
    """Return the MemoryDNN of parameters.resume, and the parameters with its own in their places.

    A custom candidate rule, which is not saved with it, has to be given again. Raises
    FileNotFoundError if there is no such file, and ValueError if it is no saved MemoryDNN, is for
    other sizes, or a parameter is neither its own nor main.py's default.
    """
    p, path = parameters, Path(parameters.resume)
    if path.is_dir():  # the parameters are already those of the interrupted run
        path = Checkpoint(path, p.checkpoint).model
    net = MemoryDNN.load(path, candidates)
    if (net.net[0], net.net[-1]) != sizes:
        raise ValueError(
            f"{path} must be for states of {sizes[0]} entries and {sizes[1]} tasks, got {net.net[0]} and "
            f"{net.net[-1]}"
        )
    own = {"hidden": tuple(net.net[1:-1]), "learning_rate": net.lr} | {
        name: getattr(net, name)
        for name in ("net_num", "training_interval", "batch_size", "memory_size")
    }
    if isinstance(net.candidates, Flips):
        own |= {name: getattr(net.candidates, name) for name in ("flips", "user_flips")}
    own["recombine"] = saved_parameters(path).get("recombine", p.recombine)
    defaults = {each.name: each.default for each in fields(p)}
    for name, value in own.items():
        given = getattr(p, name)
        given = tuple(given) if name == "hidden" else given
        if given not in (value, defaults[name]):
            raise ValueError(
                f"{name} of {path} is {value}, got {given}: leave it out, or train anew"
            )
    return net, replace(p, **own)


def saved_parameters(path):
    """Return what main.py has written beside a model, as a dict: {} if there is no parameters.json.

    Raises ValueError if there is one that main.py has not written.
    """
    path = Path(path).parent / "parameters.json"
    if not path.is_file():
        return {}
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        checks.text("the network's class", saved["network"]["class"])
        if not isinstance(saved["recombine"], bool):
            raise ValueError("recombine must be true or false")  # noqa: TRY004
    except Exception as error:  # there is little that a damaged file does not raise
        raise ValueError(f"{path} is not what main.py writes: {checks.shortened(error)}") from error
    return saved
