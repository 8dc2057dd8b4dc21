"""Files and folders that are written whole or not at all.

What is not finished is in a folder .partial-*, with a lock that its process holds as long as it lives: so
a folder that a killed process has left is told from one that is in use, and swept.
"""

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ddlo.checks import shortened
from ddlo.guardian import GONE, LEFT, tell
from ddlo.interruption import held_back
from ddlo.locks import lock, remove_if_dead

CONTENT = "content"  # in a folder .partial-*, beside its lock
DIGEST = "digest"  # in an archive


@contextmanager
def atomic_file(path):
    """Yield a path to write to; its file moves to `path` if all goes well, else it vanishes.

    Raises FileNotFoundError if its folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} to")
    with _partial(path.parent) as folder:
        yield folder / path.name
        os.replace(folder / path.name, path)


@contextmanager
def atomic_folder(out):
    """Yield a folder to write to; its files move to `out` if all goes well, else they vanish.

    `out` is made if it is not there, and removed again if something goes wrong; other files in it
    stay. Raises ValueError if it is a file, or another process is doing the same with it.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} must be a folder to write to, got a file")
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _partial(out, "run") as folder:
            yield folder
            with held_back():  # no mixture of old and new files
                for file in list(folder.iterdir()):
                    os.replace(file, out / file.name)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()  # unless other files are in it
        raise


@contextmanager
def _partial(parent, name=None):
    """Yield a new folder in one of `parent`, that is locked and vanishes in the end.

    Of one name there is only one at a time: ValueError if there is one already.
    """
    for name_of in (".partial-*", ".dead-*"):  # which killed processes have left
        for left in parent.glob(name_of):
            remove_if_dead(left)
    partial = descriptor = None
    try:
        with held_back():
            # It has its lock before it has its name, so that nobody takes it for a dead one.
            new = Path(tempfile.mkdtemp(dir=parent, prefix=".new-"))
            try:
                (new / CONTENT).mkdir()
                descriptor = lock(new)
                partial = _renamed(new, parent / f".partial-{name or new.name[5:]}")
                tell(LEFT, partial)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
        yield partial / CONTENT
    finally:
        with held_back():
            if partial:
                shutil.rmtree(partial, ignore_errors=True)
                if not partial.exists():
                    tell(GONE, partial)
            if descriptor is not None:
                os.close(descriptor)


def _renamed(folder, name):
    """Return the name that a folder gets. Raises ValueError if there is one of this name."""
    try:
        os.rename(folder, name)
    except OSError as error:
        raise ValueError(
            f"another run is writing to {name.parent}: wait for it, or choose another folder (if "
            f"none is, remove {name})"
        ) from error
    return name


def write_json(path, content):
    """Write a dict to a JSON file, what JSON does not know (such as paths) as text."""
    path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def write_archive(path, arrays, texts):
    """Write arrays, and dicts as JSON, by name to a NumPy archive; .npz is the default suffix.

    A digest of them all is in it, which tells accidental damage.
    """
    content = arrays | {
        name: np.array(json.dumps(text, default=np.generic.item)) for name, text in texts.items()
    }
    content[DIGEST] = np.array(digest(content))
    with atomic_file(_npz(path)) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **content)


@contextmanager
def read_archive(path, kind, sealed=False):
    """Yield what is in an archive by write_archive: arrays by name, and a function from name to dict.

    Raises FileNotFoundError if there is no such file, and ValueError, that it is not what `kind` says,
    if it is damaged or what is done with its content fails. Only a `sealed` one needs to have a digest,
    as archives of earlier versions have none.
    """
    path = _npz(path)
    if not path.exists():
        raise FileNotFoundError(f"no file {path}, which should be {kind}")
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        seal = content.pop(DIGEST, None)
        if sealed and seal is None or seal is not None and str(seal) != digest(content):
            raise ValueError("it is damaged, as its digest tells")
        yield content, lambda name: json.loads(str(content[name]))
    except PermissionError:
        raise
    except Exception as error:  # there is little that a damaged file does not raise
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{path} is not {kind}: {shortened(reason)}") from error


def check_content(content, arrays, texts):
    """Raise ValueError unless arrays and texts, as given to write_archive, are what an archive has."""
    expected = arrays | texts
    if content.keys() != expected.keys():
        raise ValueError(f"it must have {', '.join(expected)}, got {', '.join(content)}")
    for name, found in content.items():
        if name in texts:
            texts_of = (texts[name], json.loads(str(found)))
            same = len({json.dumps(text, sort_keys=True) for text in texts_of}) == 1
        else:
            same = digest({name: found}) == digest({name: arrays[name]})
        if not same:
            raise ValueError(f"{name} is not as it is written: {shortened(found, 60)}")


def digest(arrays):
    """Return the SHA-256 of arrays by name: their types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        array = np.asarray(array)
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _npz(path):
    path = Path(path)
    return path if path.suffix else path.with_suffix(".npz")
