"""The DNNs of a run: new ones, a saved model, or those of an interrupted run's checkpoint."""

import hashlib
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np

from ddlo import checks
from ddlo.candidates import Flips, describe_rule
from ddlo.dnns import check_layers
from ddlo.files import npz_path, read_archive, write_archive
from ddlo.network import check_fit, describe_network, kind_of, layer_ends
from ddlo.scale import Scale
from memory import FIXED, NUMBERS, MemoryDNN

KIND = "a saved model or a checkpoint"
PROCESS = ("resume", "device", "out", "show")  # parameters that do not change the results


class Resumable:
    """Base of Parameters: records in `given` those that the caller set; a file supplies the rest."""

    def __new__(cls, *values, **given):
        self = super().__new__(cls)
        positional = [each.name for each in fields(cls) if not each.kw_only]
        vars(self).update(given=set(), arguments={*positional[: len(values)], *given})
        return self

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        self.given.add(name)

    def __post_init__(self):
        vars(self)["given"] = vars(self).pop("arguments")  # rather than all that __init__ sets


def resumed(parameters):
    """Return the parameters of a run; if it resumes, those that were not given are the saved ones.

    A checkpoint's run also continues in its own output folder. Raises ValueError or FileNotFoundError if
    the file to resume is not a saved model or a checkpoint.
    """
    checks.flags(parameters)
    if not parameters.resume:
        if parameters.frozen:
            raise ValueError("frozen needs a saved model: set resume")
        return parameters
    path = Path(parameters.resume)
    saved = saved_parameters(path, type(parameters))
    values = {name: saved[name] for name in saved.keys() - parameters.given}
    return replace(parameters, resume=path, **values)


def saved_parameters(path, kind):
    """Return the parameters, those of a dataclass `kind`, of the run that saved a model or checkpoint.

    Returns a dict; parameters unknown to that run are missing. Raises as `resumed`.
    """
    with read_archive(path, KIND) as (content, text):
        if "run" in content:  # a checkpoint
            saved = text("run")["parameters"] | {"out": str(path.parent)}
        else:
            model = text("parameters")
            dnns = {"hidden": hidden(model["net"]), "shared": bool(model.get("shared"))}
            dnns |= {"users": model["shared"]} if dnns["shared"] else {}
            saved = saved_run(path) | model | model["candidates"] | dnns
            for name in (*PROCESS, "frozen", "checkpoint"):
                saved.pop(name, None)
        names = [each.name for each in fields(kind) if each.name in saved]
        saved = {name: saved[name] for name in names}
        for name, convert in {"data": Path, "out": Path, "hidden": tuple}.items():
            if saved.get(name) is not None:
                saved[name] = convert(saved[name])
    return saved


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
    """Return the MemoryDNN of a run: a new one, scaled to training states (B, S), or a saved one.

    Raises ValueError if a parameter that a saved one cannot change has another value.
    """
    p, path = parameters, parameters.resume
    numbers = {name: value for name, value in vars(p).items() if name in NUMBERS}
    flips = Flips(p.flips, p.user_flips, network.N)
    if not path:
        shared = network.N if p.shared else None
        n_in, n_out = layer_ends(network, shared)
        return MemoryDNN(
            net=layers(p.hidden, n_in, n_out),
            **numbers,
            seed=p.seed,
            candidates=candidates or flips,
            scale=scale_for(network, training, shared),
            shared=shared,
            backend=p.backend,
        )
    scale = None if p.shared else network.scale
    options = {"scale": scale, "backend": p.backend, "users": network.N}
    net = MemoryDNN.load(path, candidates, **options)
    check_fit(net, network)
    if candidates is None and isinstance(net.candidates, Flips) and net.candidates != flips:
        net = MemoryDNN.load(path, flips, **options)
    fixed = {name: getattr(net, name) for name in numbers if name in FIXED}
    rows = check_layers(layers(p.hidden, 1, 1), p.net_num)
    given = vars(p) | {"hidden": hidden(rows if len(set(rows)) > 1 else rows[0])}
    fixed |= {"hidden": hidden(net.net), "shared": bool(net.shared)}
    fixed["seed"] = saved_parameters(path, type(p)).get("seed", p.seed)
    if not isinstance(net.candidates, Flips):
        fixed |= {"flips": 0, "user_flips": 0}
    for name, value in fixed.items():
        if _plain(given[name]) != _plain(value):
            raise ValueError(
                f"{name} of {path} is {value}, got {given[name]}: leave it out, or train a new model"
            )
    for name in numbers.keys() - FIXED:
        setattr(net, name, numbers[name])
    return net


def layers(hidden, n_in, n_out):
    """Return the `net` of a MemoryDNN with these hidden layers: of all DNNs, or one tuple per DNN."""
    if not np.iterable(hidden) or len(set(map(np.iterable, hidden))) > 1:
        raise ValueError(
            f"hidden must be neurons of each layer, or a tuple of them per DNN, got {hidden}"
        )
    if any(map(np.iterable, hidden)):
        return [[n_in, *each, n_out] for each in hidden]
    return [n_in, *hidden, n_out]


def hidden(net):
    """Return the hidden layers of `net`, neurons of each layer, or of each of several DNNs."""
    return tuple(map(hidden, net)) if np.iterable(net[0]) else tuple(net[1:-1])


def scale_for(network, training, shared=None):
    """Return the scale of DNNs for a network: its own, or the range of training states (B, S)."""
    if shared:  # alike for all users
        return Scale.of(network.user_features(training))
    return network.scale or Scale.of(training)


def is_checkpoint(path):
    """Whether a file is a checkpoint rather than a saved model."""
    with read_archive(path, KIND) as (content, _):
        return "run" in content


class Checkpoint:
    """The checkpoint of a run, saved at regular intervals.

    `done` has the winners and decisions of an interrupted run, or is None. Raises ValueError if the run
    to resume had another problem or other parameters, if there is a checkpoint where a new one would
    go, or if the algorithm has additional state, which is not saved.
    """

    @classmethod
    def of(cls, parameters, out, ddlo, data):
        """Return the checkpoint of a run, or None if it has none."""
        p = parameters
        if p.checkpoint is None and not (p.resume and is_checkpoint(p.resume)):
            return None
        return cls(p, out, ddlo, data)

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
        if p.resume and is_checkpoint(p.resume):
            self.path, self.done = npz_path(p.resume), self._load(p)
        elif self.path.exists():
            raise ValueError(
                f"{self.path} is from an interrupted run: --resume {self.path}, or remove it"
            )

    def _load(self, p):
        """Return the winners and decisions of the interrupted run."""
        with read_archive(p.resume, "a checkpoint") as (content, text):
            saved, chosen, decision = text("run"), content["chosen"], content["decision"]
            frames, tasks = len(chosen), self.net.n_out
            if chosen.shape != (frames,) or frames > p.frames or chosen.dtype.kind not in "iu":
                raise ValueError(f"chosen has shape {chosen.shape} and type {chosen.dtype}")
            checks.binary("decision", checks.array("decision", decision, shape=(frames, tasks)))
            old = saved | saved.pop("parameters")
            new = self.run | self.run["parameters"]
        for name, value in new.items():
            # The file of the data may have moved; "data set" compares the data.
            if name not in ("parameters", "data") and name in old and old[name] != value:
                was, now = (checks.shortened(each) for each in (old[name], value))
                raise ValueError(f"the run in {p.resume} has another {name}: {was}, got {now}")
        return chosen, decision

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
