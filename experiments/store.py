"""A store of the runs that are done, in which they are found again."""

import ast
import hashlib
import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from main import output_folder, versions

from .runs import ROOT

# What a result depends on, besides parameters and data.
SOURCES = [ROOT / name for name in ("MUMT.py", "memory.py", "main.py")]
SOURCES += [Path(__file__).with_name(name) for name in ("runs.py", "schemes.py", "droo.py")]


class RunStore:
    """The runs that are done, one NumPy archive each, in a folder.

    A run is found again only if its parameters, its data set, the code of the algorithm and the
    versions of the packages are what they were: all of these make its name.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self._paths = {}

    def path(self, run):
        """Return the file of a run. Raises OSError if its data set cannot be read."""
        if run not in self._paths:
            data = hashlib.sha256((ROOT / run.data).read_bytes()).hexdigest()
            identity = json.dumps([asdict(run), data, origin()], sort_keys=True)
            name = hashlib.sha256(identity.encode()).hexdigest()[:20]
            self._paths[run] = self.folder / f"{name}.npz"
        return self._paths[run]

    def __contains__(self, run):
        return self.path(run).is_file()

    def save(self, run, arrays, about):
        """Store what `execute` returned of a run, whole or not at all."""
        about = json.dumps({"run": asdict(run)} | origin() | about)
        with output_folder(self.folder) as folder:
            np.savez_compressed(folder / self.path(run).name, **arrays, about=about)

    def load(self, run):
        """Return what `execute` returned of a run that is stored."""
        with np.load(self.path(run), allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files if name != "about"}
            return arrays, json.loads(str(content["about"]))


@lru_cache
def origin():
    """Return what results come from, besides parameters and data, as a dict: code and versions.

    The code is a digest of all that makes results, comments and main.py's parameters aside.
    """
    digest = hashlib.sha256()
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        # Users edit the parameters, which a Run has in itself.
        tree.body = [node for node in tree.body if getattr(node, "name", None) != "Parameters"]
        digest.update(ast.dump(tree).encode())
    return {"code": digest.hexdigest(), "versions": versions()}
