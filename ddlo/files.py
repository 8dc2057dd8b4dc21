"""Files: MATLAB, NumPy, JSON and CSV; outputs are written whole or not at all.

Unfinished output is in `.partial-<pid>`, a folder or file that the next run removes if its process is
dead.
"""

import io
import json
import os
import re
import shutil
import sys
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


# Files to read

NPY = b"\x93NUMPY"
BEGINNINGS = {  # the first bytes of other files
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: `git lfs pull` fetches it",
    b"<": "a web page or XML",
    b"PK\x03\x04": "a zip archive, as .npz and .xlsx are",
    NPY: "a NumPy array (.npy)",
    b"\x1f\x8b": "a file compressed with gzip",
    b"\x80": "a Python pickle",
    b"\x89HDF": "an HDF5 file, as MATLAB 7.3 writes",
    b"MATLAB": "a MATLAB file",
}


def as_path(name, value):
    """Return a str or a Path as a Path. Raises ValueError for anything else."""
    if not isinstance(value, (str, Path)):
        raise ValueError(f"{name} must be a path, got {checks.quoted(value)}")  # noqa: TRY004
    return Path(value)


def check_file(path, kind):
    """Raise FileNotFoundError if there is no file at this Path, ValueError if it is a folder."""
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path} (expected {kind})")
    if path.is_dir():
        raise ValueError(f"{path} must be {kind}, got a folder")


def kind_of_file(begin):
    """Return in words the kind of a file with these first bytes."""
    for beginning, kind in BEGINNINGS.items():
        if begin.startswith(beginning):
            return kind
    if not begin:
        return "an empty file"
    is_text = all(byte in b"\t\r\n" or byte >= 32 for byte in begin)
    return "text" if is_text else "something else"


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
    check_file(path, kind)
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


def read_mat(path):
    """Return the content of a MATLAB file, v5 or v7.3, as a dict; structs in it are dicts.

    Raises FileNotFoundError if there is no such file, and ValueError, which says what the file is
    instead, if it cannot be read.
    """
    import scipy.io  # slower to import than everything else here

    path = Path(path)
    check_file(path, "a MATLAB file")
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
        kind = kind_of_file(begin)
        if "MATLAB" in kind:
            kind = f"a damaged one: {checks.shortened(error)}"
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


# Task sizes as text


@contextmanager
def open_lines(path, tasks):
    """Yield an iterator over the lines of a text file, or over the rows of a .npy file as text.

    The path None is standard input. Raises FileNotFoundError if there is no such file, and ValueError
    if it is of another kind or the array is not real numbers of shape (frames, tasks), or (tasks,).
    """
    text = {"encoding": "utf-8-sig", "errors": "replace"}  # bad bytes spoil only their line
    if path is None:
        sys.stdin.reconfigure(**text)
        yield sys.stdin
        return
    check_file(path, "CSV text or a .npy array")
    with open(path, "rb") as file:
        begin = file.peek()  # a pipe cannot seek
        if not begin.startswith(tuple(BEGINNINGS)):
            yield io.TextIOWrapper(file, **text)
            return
    if not begin.startswith(NPY):
        raise ValueError(f"{path} must be CSV text or a .npy array, got {kind_of_file(begin)}")
    try:
        array = np.atleast_2d(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(f"{path} is unreadable: {checks.shortened(error)}") from error
    if array.shape[1:] != (tasks,) or array.dtype.kind not in "iuf":
        found = f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"{path} must be numbers of shape (frames, {tasks}), got {found}")
    # As floats, 0.0,1.0,... in the first row is not a header.
    yield (",".join(map(repr, row.astype(float).tolist())) for row in array)


def parse_sizes(line, tasks, number):
    """Return the task sizes in a line of text, a list of float; [] if it is empty, None if a header.

    Semicolons, tabs, commas or blanks separate them, whichever of these comes first in this order.
    Line number 1 is a header if it has no number, or if it is 0,1,2,..., the default of pandas. Raises
    ValueError that names the line unless there are `tasks` sizes, all valid.
    """
    separator = next((mark for mark in ";\t," if mark in line), None)
    cells = [cell.strip() for cell in line.split(separator)]
    if '"' in line:
        cells = [re.sub('^"(.*)"$', r"\1", cell) for cell in cells]
    if not any(cells):
        return []
    sizes = [_number(cell) for cell in cells]
    if number == 1 and (cells == [f"{i}" for i in range(tasks)] or set(sizes) == {None}):
        return None
    if len(cells) != tasks:
        raise ValueError(f"line {number}: expected {tasks} task sizes, got {len(cells)}")
    for cell, size in zip(cells, sizes):
        if size is None or not 0 <= size <= checks.LARGEST:
            limits, found = f"0 to {checks.LARGEST:g} MB", checks.shortened(cell, 40)
            raise ValueError(f"line {number}: a task size must be {limits}, got {found!r}")
    return sizes


def _number(text):
    try:  # Python also reads 1_000 and digits of other scripts
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None
