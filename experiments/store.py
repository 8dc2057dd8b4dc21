"""A store of the runs that are done, in which they are found again."""

import ast
import hashlib
import json
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from main import output_folder, versions

from .runs import ROOT, data_digest

# The code that a result depends on: all of them on the first, and then of what does not learn, of
# DROO's rule, and of task sizes that come from no file, on one more.
SOURCES = ["MUMT.py", "memory.py", "main.py", "experiments/runs.py"]
SCHEMES_SOURCE, DROO_SOURCE = "experiments/schemes.py", "experiments/droo.py"
DATA_SOURCE = "experiments/generate_data.py"


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
            identity = json.dumps([asdict(run), origin(run)], sort_keys=True)
            name = hashlib.sha256(identity.encode()).hexdigest()[:20]
            self._paths[run] = self.folder / f"{name}.npz"
        return self._paths[run]

    def __contains__(self, run):
        return zipfile.is_zipfile(self.path(run))  # a file that was cut off is not

    def save(self, run, arrays, about):
        """Store what `execute` returned of a run, whole or not at all."""
        about = json.dumps({"run": asdict(run)} | origin(run) | about)
        with output_folder(self.folder) as folder:
            np.savez_compressed(folder / self.path(run).name, **arrays, about=about)

    def load(self, run):
        """Return what `execute` returned of a run that is stored.

        Raises ValueError if its file is damaged.
        """
        with self._opened(run) as content:
            arrays = {name: content[name] for name in content.files if name != "about"}
            return arrays, _about(content)

    def about(self, run):
        """Return the second part of `load` only, which takes less time."""
        with self._opened(run) as content:
            return _about(content)

    @contextmanager
    def _opened(self, run):
        path = self.path(run)
        try:
            with np.load(path, allow_pickle=False) as content:
                yield content
        except (LookupError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged, and can be deleted: {error}") from error


def _about(content):
    return json.loads(str(content["about"]))


def origin(run):
    """Return what a run comes from, besides parameters, as a dict: data, code and versions.

    The code is a digest of all that makes the results of its scheme, comments and main.py's
    parameters aside.
    """
    sources = [*SOURCES]
    if not run.learns:
        sources.append(SCHEMES_SOURCE)
    elif run.scheme == "droo":
        sources.append(DROO_SOURCE)
    if not run.data:
        sources.append(DATA_SOURCE)
    digest = hashlib.sha256()
    for source in sources:
        digest.update(_code(source).encode())
    return {"data": data_digest(run), "code": digest.hexdigest(), "versions": _versions()}


@lru_cache
def _code(source):
    """A source file as a text that comments and formatting do not change."""
    tree = ast.parse((ROOT / source).read_text())
    # Users edit the parameters, which a Run has in itself.
    tree.body = [node for node in tree.body if getattr(node, "name", None) != "Parameters"]
    return ast.dump(tree)


_versions = lru_cache(versions)
