"""Where a run's results come from: the data, the code and the versions that they depend on."""

import ast
import hashlib
import inspect
from functools import lru_cache
from pathlib import Path

from ddlo.report import package_versions

ROOT = Path(__file__).parents[1]
# The code that results depend on, but for schemes.py where nothing learns.
CODE = [ROOT / name for name in ("main.py", "memory.py", "MUMT.py")]
OF_DDLO = ("backend", "bandwidth", "baselines", "candidates", "checks", "data", "enumeration")
OF_DDLO += ("loop", "network", "scale")
OF_EXPERIMENTS = ("allocation", "droo", "execution", "runs", "wpmec")
CODE += [ROOT / "ddlo" / f"{name}.py" for name in OF_DDLO]
CODE += [ROOT / "experiments" / f"{name}.py" for name in OF_EXPERIMENTS]


def digest_of(data):
    """Return a digest of the file of a data set below the package's folder, or "" for none.

    Raises OSError if there is no such file.
    """
    return hashlib.sha256((ROOT / data).read_bytes()).hexdigest() if data else ""


def origin(run):
    """Return what a run's results depend on besides its parameters: data, code and versions.

    The code is a digest of all that makes the results, comments and main.py's parameters aside.
    """
    sources = CODE if run.learns else [*CODE, ROOT / "experiments/schemes.py"]
    rules = {Path(inspect.getfile(inspect.unwrap(rule))) for rule in _functions_of(run)}
    digest = hashlib.sha256()
    for source in sorted({*sources, *rules}):
        digest.update(_code(source).encode())
    return {"data": digest_of(run.data), "code": digest.hexdigest(), "versions": _versions()}


def _functions_of(run):
    for value in filter(None, (run.candidates, run.scale)):
        yield value if inspect.isfunction(value) else type(value)


@lru_cache
def _code(source):
    """A source file as a text that comments and formatting do not change."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    # Users edit the parameters, which a Run has in itself.
    tree.body = [node for node in tree.body if getattr(node, "name", None) != "Parameters"]
    return ast.dump(tree)


_versions = lru_cache(package_versions)
