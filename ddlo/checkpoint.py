"""What a long run saves every so many frames, from where it resumes to the last bit if it was killed.

A folder `checkpoint` in the output folder has the run's parameters, the decisions of its frames in parts,
and the model after the last part.
"""

import json
import re
import shutil
import tempfile
from dataclasses import asdict, fields, replace

import numpy as np

from ddlo import checks
from ddlo.dataset import differences
from ddlo.files import digest, read_archive, write_archive
from ddlo.network import describe_network
from ddlo.parameters import checked_parameters
from MUMT import Constants

KIND = "part of a checkpoint"
RUN = "run.npz"  # its parameters, network, and a digest of its data
OWN = ("resume", "device", "out", "show")  # what may be another one in the run that resumes
IN_MEMORY = 2**26  # bytes of an array; a larger one is a file


def interrupted_run(parameters):
    """Return the parameters of the run whose checkpoint is the folder parameters.resume.

    Raises ValueError if it is none, or a parameter is given that is neither the run's nor the default.
    """
    p = parameters
    if Checkpoint(p.resume, p.checkpoint).model is None or not (p.resume / RUN).exists():
        raise ValueError(f"resume must be a saved model or a checkpoint, got the folder {p.resume}")
    with read_archive(p.resume / RUN, KIND, sealed=True) as (_, text):
        of_file = text("parameters")
        saved = {each.name: of_file[each.name] for each in fields(p) if each.name not in OWN}
    for each in fields(p):
        given = getattr(p, each.name)
        if each.name in saved and given != each.default and _plain(given) != saved[each.name]:
            raise ValueError(
                f"{each.name} of the run in {p.resume} is {saved[each.name]}, got {given}: leave it out"
            )
    constants = [each.name for each in fields(Constants)]
    p = replace(p, **saved, out=p.out or p.resume.parent)
    return checked_parameters(p, type(p), constants)


def _plain(value):
    """Return a value as JSON has it."""
    return json.loads(json.dumps(value, default=lambda v: getattr(v, "tolist", v.__str__)()))


class Checkpoint:
    """The checkpoint of a run: `frames` of them are saved, and more after every so many.

    `run` is what is saved of the run besides: parameters, network, and the digest of the data.
    """

    def __init__(self, folder, every, run=None):
        self.folder, self.every, self._run = folder, every, run
        models = {int(path.stem.split("-")[1]): path for path in folder.glob("model-*.npz")}
        self.frames = max(models, default=0)
        self.model = models.get(self.frames)

    @classmethod
    def of(cls, parameters, out, ddlo, data):
        """Return the checkpoint of a run that begins or resumes; None if it is to have none.

        Raises ValueError if there is already one where it would begin, or where it resumes the network
        or the data (states, gain_min, what it is) are others, or there is more to save than the model.
        """
        p = parameters
        if p.checkpoint is None:
            return None
        checks.integer("checkpoint", p.checkpoint)
        others = vars(ddlo).keys() - {each.name for each in fields(ddlo)}
        if others:
            raise ValueError(
                f"checkpoint must be None for {type(ddlo).__name__}, whose {', '.join(sorted(others))} "
                "it does not save"
            )
        arrays = {"states": data[0], "gain_min": np.zeros(0) if data[1] is None else data[1]}
        parts = (_plain(asdict(p)), describe_network(ddlo.network), digest(arrays))
        run = dict(zip(("parameters", "network", "data"), parts))
        if p.resume and p.resume.is_dir():
            with read_archive(p.resume / RUN, KIND, sealed=True) as (_, text):
                other = differences(text("network"), ddlo.network)
                if other or text("data") != run["data"]:
                    raise ValueError(
                        f"the run has another {f'network: {other}' if other else 'data set'}"
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
            self.folder.mkdir(exist_ok=True)
            write_archive(self.folder / RUN, {}, self._run)
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
        ends = [
            re.fullmatch(r"frames-(\d+)-(\d+)", path.stem) for path in self.folder.glob("frames-*")
        ]
        ends = dict(sorted(tuple(map(int, end.groups())) for end in ends if end))
        frames = 0
        while frames < self.frames:
            end = ends.get(frames, 0)
            path = self.folder / f"frames-{frames}-{end}.npz"
            with read_archive(path, KIND, sealed=True) as (content, _):
                for name, array in (("chosen", chosen), ("decision", decision)):
                    if content[name].shape != array[frames:end].shape:
                        raise ValueError(f"{name} has shape {content[name].shape}")
                    array[frames:end] = content[name]
            frames = end
        return frames

    def remove(self):
        """Remove it, when the run has written its results."""
        shutil.rmtree(self.folder, ignore_errors=True)


def recorder(folder):
    """Return a function like np.empty whose large arrays are files without a name in a folder."""

    def empty(shape, dtype=float):
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        if size <= IN_MEMORY:
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(dir=folder) as file:
            return np.memmap(file, dtype, "w+", shape=shape)

    return empty
