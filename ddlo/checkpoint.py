"""What a long run saves every so many frames, from where it resumes to the last bit if it was killed.

A folder `checkpoint` in the output folder has the run's parameters, the decisions of its frames in parts,
and the model after the last part.
"""

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np

from ddlo import checks
from ddlo.candidates import described
from ddlo.files import digest, read_archive, write_archive
from ddlo.network import describe_network
from ddlo.parameters import checked_parameters
from MUMT import Constants

KIND = "part of a checkpoint"
RUN = "run.npz"  # its parameters, network, and a digest of its data
OWN = ("resume", "out", "show")  # what is of a process, and not of a run
IN_MEMORY = 2**26  # bytes of an array; a larger one is a file


def interrupted_run(parameters, kind):
    """Return the parameters, of a dataclass, of the run whose checkpoint is the folder `resume` of these.

    Raises ValueError if it is none, or a parameter is given that is neither the run's nor the default;
    but the device may be another one.
    """
    p = parameters
    if Checkpoint(p.resume, None).model is None or not (p.resume / RUN).exists():
        raise ValueError(f"resume must be a saved model or a checkpoint, got the folder {p.resume}")
    with read_archive(p.resume / RUN, KIND, sealed=True) as (_, text):
        of_file = text("run")["parameters"]
        saved = {each.name: of_file[each.name] for each in fields(kind) if each.name not in OWN}
    saved["device"] = p.device or saved["device"]
    given = {"out": (p.resume.parent, None, p.out)}
    given |= {
        each.name: (saved[each.name], each.default, getattr(p, each.name))
        for each in fields(kind)
        if each.name in saved
    }
    for name, (of_run, default, value) in given.items():
        if _plain(value) not in (_plain(of_run), _plain(default)):
            raise ValueError(
                f"{name} of the run in {p.resume} is {of_run}, got {value}: leave it out"
            )
    constants = [each.name for each in fields(Constants)]
    return checked_parameters(replace(p, **saved, out=p.resume.parent), kind, constants)


def _plain(value):
    """Return a value as JSON has it: arrays as lists, paths as texts, other objects as their repr."""

    def default(value):
        if isinstance(value, (np.ndarray, np.generic)):
            return value.tolist()
        return str(value.resolve()) if isinstance(value, Path) else repr(value)

    return json.loads(json.dumps(value, default=default))


class Checkpoint:
    """The checkpoint of a run: `frames` of them are saved, and more after every so many.

    `run` is what is saved of the run besides: its parameters, and what goes with them.
    """

    def __init__(self, folder, every, run=None):
        self.folder, self.every, self._run = folder, every, run
        models = {int(path.stem.split("-")[1]): path for path in folder.glob("model-*.npz")}
        self.frames = max(models, default=0)
        self.model = models.get(self.frames)

    @classmethod
    def of(cls, parameters, out, ddlo, data):
        """Return the checkpoint of a run that begins or resumes; None if it is to have none.

        Raises ValueError if there is already one where it would begin; if, where it resumes, its network,
        data (states, gain_min, what it is), candidate rule or algorithm are others, as far as their names
        and values tell; or if there is more to save than the model.
        """
        p = parameters
        if p.checkpoint is None:
            return None
        checks.integer("checkpoint", p.checkpoint)
        algorithm = type(ddlo)
        others = vars(ddlo).keys() - {each.name for each in fields(algorithm.__mro__[-2])}  # DDLO's
        if others:
            raise ValueError(
                f"checkpoint must be None for {algorithm.__name__}, whose {', '.join(sorted(others))} "
                "it does not save"
            )
        arrays = {"states": data[0], "gain_min": np.zeros(0) if data[1] is None else data[1]}
        run = {
            "parameters": {name: value for name, value in asdict(p).items() if name not in OWN},
            "network": describe_network(ddlo.network),
            "data set": digest(arrays),
            "reference": data[2],
            "candidate rule": described(ddlo.net.candidates),
            "algorithm": algorithm.__qualname__,
        }
        run = _plain(run)
        if p.resume and p.resume.is_dir():
            with read_archive(p.resume / RUN, KIND, sealed=True) as (_, text):
                saved = text("run")
            for what in run:
                if what != "parameters" and run[what] != saved[what]:
                    raise ValueError(
                        f"the run in {p.resume} has another {what}: {checks.shortened(saved[what])}, got "
                        f"{checks.shortened(run[what])}"
                    )
            return cls(p.resume, p.checkpoint)
        checkpoint = cls(out / "checkpoint", p.checkpoint, run)
        if checkpoint.model:
            raise ValueError(
                f"{checkpoint.folder} is of an interrupted run: --resume {checkpoint.folder}, or remove it"
            )
        return checkpoint

    @property
    def next(self):
        """The number of frames after which to save."""
        return (self.frames // self.every + 1) * self.every

    def save(self, net, frames, chosen, decision):
        """Save what so many frames have come to: their candidates chosen, decisions, and the model."""
        if not self.model:
            self.remove()  # of a run that ended before it had a model
            self.folder.mkdir(exist_ok=True)
            write_archive(self.folder / RUN, {}, {"run": self._run})
        part = slice(self.frames, frames)
        recorded = {"chosen": chosen[part], "decision": decision[part]}
        write_archive(self.folder / f"frames-{self.frames}-{frames}.npz", recorded, {})
        before, self.model = self.model, self.folder / f"model-{frames}.npz"
        net.save(self.model)
        if before:
            before.unlink()
        self.frames = frames

    def restore(self, chosen, decision):
        """Write what is saved of the frames into these arrays; return how many frames that is.

        Raises ValueError if a part is missing or damaged.
        """
        frames = 0
        while frames < self.frames:
            end = min(frames + self.every, self.frames)
            path = self.folder / f"frames-{frames}-{end}.npz"
            with read_archive(path, KIND, sealed=True) as (content, _):
                for name, array in (("chosen", chosen), ("decision", decision)):
                    if content[name].shape != array[frames:end].shape:
                        raise ValueError(f"{name} has shape {content[name].shape}")
                    array[frames:end] = content[name]
            frames = end
        return frames

    def remove(self):
        """Remove its files, when the run has written its results."""
        for pattern in (RUN, "frames-*.npz", "model-*.npz"):
            for path in self.folder.glob(pattern):
                path.unlink()
        with suppress(OSError):  # there is none, or a user's files are in it
            self.folder.rmdir()


def recorder(folder):
    """Return a function like np.empty whose large arrays are files without a name in a folder."""

    def empty(shape, dtype=float):
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        if size <= IN_MEMORY:
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process later
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=shape)

    return empty
