"""Files: MATLAB, NumPy archives, JSON and CSV; outputs are written whole or not at all.

Unfinished output is in `.partial-<pid>`, a folder or file that the next run removes if its process is
dead.
"""

import csv
import json
import os
import shutil
import warnings
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import numpy as np

from ddlo import checks


@contextmanager
def output_folder(out=None):
    """Yield a temporary folder; its files move to `out` if the block ends well, else they vanish.

    `out` is created if needed; default: results/<time>. Raises ValueError if it is a file, or if
    another run is writing to it.
    """
    out = Path(out or Path("results", datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3]))
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} must be a folder to write to, got a file")
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    folder = out / f".partial-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        _refuse(_living(out))
        folder.mkdir()
        try:
            _refuse(other for other in _living(out) if other != folder)  # started meanwhile
            yield folder
            try:
                _move(folder, out)
            except KeyboardInterrupt:  # old and new files must not mix
                _move(folder, out)
                raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        for each in new:
            with suppress(OSError):
                each.rmdir()  # stays if other files are in it
        raise


def _refuse(others):
    for other in others:
        raise ValueError(f"another run is writing to {other.parent} (if not, remove {other})")


def _move(folder, out):
    for file in list(folder.iterdir()):
        os.replace(file, out / file.name)


def _living(out):
    """Return the unfinished folders of living processes; remove what dead ones left."""
    import psutil

    living = []
    for path in out.glob(".partial-*"):
        pid = path.name.split("-")[1]
        if not pid.isdigit():
            continue
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            process = psutil.Process(int(pid))
            # A process that started later has the number by chance.
            is_writer = process.create_time() < path.stat().st_mtime + 2
            if is_writer and process.status() != psutil.STATUS_ZOMBIE:
                living += [path] * path.is_dir()
                continue
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return living


@contextmanager
def atomic_file(path):
    """Yield a temporary path; its file replaces `path` if the block ends well, else it vanishes.

    Raises FileNotFoundError if there is no such folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} to")
    _living(path.parent)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


# JSON and NumPy archives


def write_json(path, content):
    """Write a dict to a JSON file; what JSON does not know, such as paths, as text."""
    path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def write_archive(path, arrays, texts):
    """Write arrays, and dicts as JSON, by name to a NumPy archive; .npz is the default suffix."""
    texts = {name: json.dumps(text, default=np.generic.item) for name, text in texts.items()}
    with atomic_file(npz_path(path)) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays, **texts)


@contextmanager
def read_archive(path, kind):
    """Yield the content of an archive: arrays by name, and a function from name to dict.

    Raises FileNotFoundError if there is no such file, and ValueError, that it is not `kind`, if it is
    damaged or the block cannot use its content.
    """
    path = npz_path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path} (expected {kind})")
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        yield content, lambda name: json.loads(str(content[name]))
    except PermissionError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{path} is not {kind}: {checks.shortened(reason)}") from error


def npz_path(path):
    """Return the path with the suffix .npz, unless it has another."""
    path = Path(path)
    return path if path.suffix else path.with_suffix(".npz")


# MATLAB files

# The first bytes of other files.
BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: `git lfs pull` fetches it",
    b"<": "a web page or XML",
    b"PK": "a zip archive, as .npz and .xlsx are",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"\x1f\x8b": "compressed with gzip",
    b"\x80": "a Python pickle",
}


def read_mat(path):
    """Return the content of a MATLAB file, v5 or v7.3, as a dict; structs in it are dicts.

    Raises ValueError, which says what the file is instead, if it cannot be read.
    """
    import scipy.io  # slower to import than everything else here

    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} must be a MATLAB file, got a folder")
    with open(path, "rb") as file:
        begin = file.read(1024)
    try:
        if b"\x89HDF\r\n\x1a\n" in begin:  # at its start, or after MATLAB's own header
            return _read_hdf5(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning means that the content may be wrong
            # Except that a variable has a type unknown to Python.
            warnings.simplefilter("ignore", scipy.io.matlab.MatReadWarning)
            content = scipy.io.loadmat(path)
    except Exception as error:  # a damaged file can raise almost anything
        kind = _kind_of_file(begin, checks.shortened(error))
        raise ValueError(f"{path} must be a MATLAB file, got {kind}") from error
    return {key: _plain(value) for key, value in content.items() if not key.startswith("__")}


def write_mat(path, content):
    """Write a dict of arrays, texts and dicts to a MATLAB v5 file, whole or not at all."""
    import scipy.io

    with atomic_file(path) as partial, open(partial, "wb") as file:
        scipy.io.savemat(file, content, oned_as="row", do_compression=True, long_field_names=True)


def _read_hdf5(path):
    import h5py  # installed with TensorFlow

    def read(item):
        if isinstance(item, h5py.Group):
            if "MATLAB_sparse" in item.attrs:
                import scipy.sparse

                return scipy.sparse.csc_array((int(item.attrs["MATLAB_sparse"]), 0))
            return {name: read(item[name]) for name in item if not name.startswith("#")}
        if item.attrs.get("MATLAB_empty", 0):
            return np.empty((0, 0))
        array = np.transpose(item[()])  # MATLAB stores columns, HDF5 rows
        if item.attrs.get("MATLAB_class") == b"char":
            return "".join(map(chr, array.ravel()))
        return array

    with h5py.File(path) as file:
        return {name: read(file[name]) for name in file if not name.startswith("#")}


def _plain(value):
    """Return a struct of loadmat as a dict, and a text as a str."""
    if getattr(value, "dtype", None) is not None and value.dtype.names and value.size == 1:
        return {name: _plain(value[name].item()) for name in value.dtype.names}
    if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
        return value.item()
    return value


def _kind_of_file(begin, error):
    """Return in words what a file is, by its first bytes."""
    if not begin:
        return "an empty file"
    for beginning, kind in BEGINNINGS.items():
        if begin.startswith(beginning):
            return kind
    if begin.startswith(b"MATLAB"):
        return f"a damaged one: {error}"
    is_text = all(byte in b"\t\r\n" or byte >= 32 for byte in begin)
    return "text" if is_text else f"something else: {error}"


# Task sizes as text


class NotANumber(ValueError):
    """A line without any number: a header, if it is the first line."""


def parse_sizes(line, tasks):
    """Return the task sizes in a line of text, a list of float, or None if it is empty.

    Semicolons, tabs, commas or blanks separate them, whichever of these comes first in this order.
    Raises ValueError if there are not `tasks` of them, or one is negative or not finite; NotANumber if
    no entry is a number.
    """
    separator = next((mark for mark in ";\t," if mark in line), None)
    cells = next(csv.reader([line], delimiter=separator), []) if separator else line.split()
    cells = [cell.strip().strip('"') for cell in cells]
    if not any(cells):
        return None
    sizes = []
    for cell in cells:
        try:
            sizes.append(float(cell))
        except ValueError:
            sizes.append(None)
    if all(size is None for size in sizes):
        raise NotANumber("no entry is a number")
    if len(cells) != tasks:
        raise ValueError(f"expected {tasks} task sizes, got {len(cells)}")
    for cell, size in zip(cells, sizes):
        is_plain = cell.isascii() and "_" not in cell  # Python reads other digits and 1_000, too
        if size is None or not is_plain or not 0 <= size <= checks.LARGEST:
            raise ValueError(
                f"a task size must be finite MB >= 0, got {checks.shortened(cell, 40)!r}"
            )
    return sizes


def read_csv(path, tasks):
    """Return the task sizes in a text file, float64 (lines, tasks), without header and empty lines.

    Raises ValueError that names the first line `parse_sizes` refuses, or if there are no sizes.
    """
    rows = []
    with open(path, encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                sizes = parse_sizes(line, tasks)
            except (ValueError, csv.Error) as error:
                if number == 1 and isinstance(error, NotANumber):
                    continue
                raise ValueError(f"{path}, line {number}: {error}") from None
            if sizes:
                rows.append(sizes)
    if not rows:
        raise ValueError(f"{path} must have lines of {tasks} task sizes, got none")
    return np.array(rows)
