"""Files and folders that are written whole or not at all."""

import json
import os
import tempfile
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np


@contextmanager
def atomic_file(path):
    """Yield a path to write to; its file moves to `path` if all goes well, else it vanishes.

    Raises FileNotFoundError if its folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} to")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder, path.name)
        yield partial
        os.replace(partial, path)


@contextmanager
def atomic_folder(out):
    """Yield a folder to write to; its files move to `out` if all goes well, else they vanish.

    `out` is made if it is not there, and removed again if something goes wrong; other files in it
    stay. Raises ValueError if it is a file.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} must be a folder to write to, got a file")
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=".partial-") as folder:
            yield Path(folder)
            for file in Path(folder).iterdir():
                os.replace(file, out / file.name)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()  # unless other files are in it
        raise


def write_json(path, content):
    """Write a dict to a JSON file, what JSON does not know (such as paths) as text."""
    path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def write_archive(path, arrays, texts):
    """Write arrays, and dicts as JSON, by name to a NumPy archive; .npz is the default suffix."""
    content = arrays | {name: json.dumps(text) for name, text in texts.items()}
    with atomic_file(_npz(path)) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **content)


@contextmanager
def read_archive(path, kind):
    """Yield the arrays in an archive by write_archive, by name, and a function from name to dict.

    Raises FileNotFoundError if there is no such file, and ValueError, that it is not what `kind` says,
    if it is damaged or what is done with its content fails.
    """
    path = _npz(path)
    if not path.exists():
        raise FileNotFoundError(f"no file {path}, which should be {kind}")
    try:
        with np.load(path, allow_pickle=False) as content:
            yield content, lambda name: json.loads(str(content[name]))
    except (LookupError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not {kind}: {error}") from error


def _npz(path):
    path = Path(path)
    return path if path.suffix else path.with_suffix(".npz")
