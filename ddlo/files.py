"""Files and folders that are written whole or not at all."""

import json
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_file(path):
    """Yield a path to write to; its file moves to `path` if all goes well, else it vanishes."""
    path = Path(path)
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
