"""The DNNs of a run: new ones, a saved model, or those of an interrupted run's checkpoint."""

import hashlib
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np

from ddlo import checks
from ddlo.bandwidth import make_network
from ddlo.candidates import Flips, describe_rule, threshold
from ddlo.files import npz_path, read_archive, write_archive
from ddlo.network import check_fit, describe_network, kind_of, layer_ends
from ddlo.scale import Scale
from memory import FIXED, NUMBERS, MemoryDNN

KIND = "a saved model or a checkpoint"
PROCESS = ("resume", "device", "out", "show")  # parameters that do not change the results


class Resumable:
    """Base of Parameters: records in `given` those that the caller set; a file supplies the rest."""

    def __new__(cls, **given):
        self = super().__new__(cls)
        self.given = set(given)
        return self

    def __setattr__(self, name, value):
        if name in vars(self):  # __init__ has set it before
            self.given.add(name)
        super().__setattr__(name, value)

    def __post_init__(self):
        checks.flags(self)


def resumed(parameters, network=None):
    """Return the parameters of a run; if it resumes, those that were not given are the saved ones.

    A checkpoint's run also continues in its own output folder. Raises FileNotFoundError, or ValueError if
    the file to resume is not a saved model or a checkpoint, if a given parameter cannot change, or if
    the network is missing although the saved parameters do not describe it.
    """
    p = parameters
    if not p.resume:
        if p.frozen:
            raise ValueError("frozen needs a saved model: set resume")
        return p
    saved = saved_parameters(p.resume, type(p))
    fixed = {*FIXED, "hidden", "seed"} - {"backend"}
    if "checkpoint" in saved:  # an interrupted run
        fixed = saved.keys() - {*PROCESS, "data"}  # its file may have moved
    elif network is None:
        own = saved_run(p.resume).get("network", {})
        described = describe_network(make_network(type(p)(**saved)))
        if any(described.get(name) != value for name, value in own.items()):
            raise ValueError(
                f"{p.resume} is for a {own['class']} that its parameters do not describe: give main.run "
                "the network, see docs/usage.md"
            )
    for name in sorted(fixed & saved.keys() & p.given):
        old, new = _plain(saved[name]), _plain(getattr(p, name))
        if old != new:
            raise ValueError(
                f"{name} of {p.resume} is {old}, got {new}: leave it out, or train a new model"
            )
    return replace(p, **{name: saved[name] for name in saved.keys() - p.given})


def saved_parameters(path, kind):
    """Return the parameters of the run that saved a model or checkpoint, by name.

    Only fields of the dataclass `kind` count; parameters unknown to that run are missing. Raises as
    `resumed`.
    """
    with read_archive(path, KIND) as (content, text):
        if "run" in content:  # a checkpoint
            saved = text("run")["parameters"] | {"out": Path(path).parent}
        else:
            model, saved = text("parameters"), saved_run(path)
            for name in (*PROCESS, "frozen", "checkpoint"):
                saved.pop(name, None)
            rule = {"flips": 0, "user_flips": 0} | model["candidates"]
            rule.pop("users", None)  # those of the rule: main.py has its own
            saved |= model | rule
            saved |= {"hidden": hidden(model["net"]), "shared": bool(model.get("shared"))}
        convert = {"data": lambda path: path and Path(path), "hidden": tuple}
        saved |= {name: convert[name](saved[name]) for name in convert.keys() & saved.keys()}
    return {each.name: saved[each.name] for each in fields(kind) if each.name in saved}


def hidden(net):
    """Return the hidden layers of `net`, neurons of each layer, or of each of several DNNs."""
    return tuple(map(hidden, net)) if np.iterable(net[0]) else tuple(net[1:-1])


def saved_run(path):
    """Return the content of parameters.json beside a saved model, a dict; {} without that file.

    Raises ValueError if main.py has not written it.
    """
    path = Path(path).parent / "parameters.json"
    if not path.is_file():
        return {}
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        checks.text("the network's class", saved["network"]["class"])
        if not isinstance(saved["recombine"], bool):
            raise ValueError("recombine must be true or false")  # noqa: TRY004
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(f"{path} is not from main.py: {checks.shortened(error)}") from error
    return saved


def make_net(parameters, network, training, candidates=None):
    """Return the MemoryDNN of a run: a new one, scaled to training states (B, S), or a saved one."""
    p, path = parameters, parameters.resume
    numbers = {name: value for name, value in vars(p).items() if name in NUMBERS}
    flips = Flips(p.flips, p.user_flips, network.N)
    if not path:
        shared = network.N if p.shared else None
        n_in, n_out = layer_ends(network, shared)
        is_nested = p.hidden and np.iterable(p.hidden[0])
        net = [[n_in, *each, n_out] for each in (p.hidden if is_nested else [p.hidden])]
        return MemoryDNN(
            net if is_nested else net[0],
            **numbers,
            seed=p.seed,
            candidates=candidates or flips,
            scale=scale_for(network, training, shared),
            shared=shared,
            backend=p.backend,
        )
    scale = None if p.shared else network.scale
    # A custom rule may need the final number of users.
    net = MemoryDNN.load(path, candidates and threshold, scale, p.backend)
    if net.shared not in (None, network.N):
        net = net.for_users(network.N)
    check_fit(net, network)
    if candidates:
        net.candidates = candidates
    elif isinstance(net.candidates, Flips) or p.flips or p.user_flips:
        net.candidates = flips
    for name in numbers.keys() - FIXED:
        setattr(net, name, numbers[name])
    return net


def scale_for(network, training, shared=None):
    """Return the scale of DNNs for a network: its own, or the range of training states (B, S)."""
    if shared:  # alike for all users
        return Scale.of(network.user_features(training))
    return network.scale or Scale.of(training)


class Checkpoint:
    """The checkpoint of a run, saved at regular intervals.

    `done` has the winners and decisions of an interrupted run, or is None. Raises ValueError if the run
    to resume had another problem, if there is a checkpoint where a new one would go, or if the algorithm
    has additional state, which is not saved.
    """

    def __init__(self, parameters, out, ddlo, data):
        p, own = parameters, vars(ddlo).keys() - {"net", "network", "recombine"}
        self.every, self.net = checks.integer("checkpoint", p.checkpoint), ddlo.net
        if own:
            raise ValueError(
                f"checkpoint must be None for {kind_of(ddlo)}: its {', '.join(sorted(own))} would be lost"
            )
        content = [data.states] + [data.gain_min] * (data.gain_min is not None)
        self.run = _plain(
            {
                "parameters": {k: v for k, v in asdict(p).items() if k not in PROCESS},
                "network": describe_network(ddlo.network),
                "data set": [hashlib.sha256(each.tobytes()).hexdigest() for each in content],
                "reference": data.reference,
                "candidate rule": describe_rule(ddlo.net.candidates),
                "algorithm": type(ddlo).__qualname__,
            }
        )
        self.path, self.done = out / "checkpoint.npz", None
        if p.resume:
            self._load(p.resume)
        if not self.done and self.path.exists():
            raise ValueError(
                f"{self.path} is from an interrupted run: --resume {self.path}, or remove it"
            )

    def _load(self, path):
        """Take the frames that are done from a checkpoint, not from a saved model."""
        with read_archive(path, KIND) as (content, text):
            if "run" not in content:
                return
            saved, done = text("run"), (content["chosen"], content["decision"])
        for name, new in self.run.items():
            if name != "parameters" and saved.get(name) != new:
                old, new = map(checks.shortened, (saved.get(name), new))
                found = "" if name == "data set" else f": {old}, got {new}"  # digests say nothing
                raise ValueError(f"the run in {path} has another {name}{found}")
        self.path, self.done = npz_path(path), done

    def save(self, chosen, decision):
        """Replace the checkpoint: the model, the winners (t,) and the decisions (t, N*M) so far."""
        arrays, texts = self.net.content()
        arrays |= {"chosen": chosen, "decision": decision}
        write_archive(self.path, arrays, texts | {"run": self.run})

    def remove(self):
        """Remove the file, once the run has written its results."""
        self.path.unlink(missing_ok=True)


def _plain(value):
    """Return a value as JSON has it: arrays as lists, paths as texts, other objects as their repr."""

    def default(value):
        if isinstance(value, (np.ndarray, np.generic)):
            return value.tolist()
        return str(value.resolve()) if isinstance(value, Path) else repr(value)

    return json.loads(json.dumps(value, default=default))
