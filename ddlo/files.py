"""Files: MATLAB, NumPy, JSON and CSV; outputs are written whole or not at all.

Unfinished output is in a folder or file `.partial-<pid>...`, which the next run removes if its process
is dead.
"""

import io
import json
import os
import re
import shutil
import sys
import zipfile
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
    for other in _living(out):
        raise ValueError(f"another run is writing to {out} (if not, remove {other})")
    new = [each for each in (out, *out.parents) if not each.exists()]
    folder = out / f".partial-{os.getpid()}"
    try:
        folder.mkdir(parents=True)
        yield folder
        try:
            _move(folder, out)
        except KeyboardInterrupt:  # old and new files must not mix
            _move(folder, out)
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for each in new:
            with suppress(OSError):
                each.rmdir()  # only if it is empty


def _move(folder, out):
    for file in list(folder.iterdir()):
        os.replace(file, out / file.name)


def _living(out):
    """Return the unfinished folders of living processes; remove what dead ones left."""
    import psutil

    living = []
    for path in out.glob(".partial-[0-9]*"):
        is_written = False
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            started = psutil.Process(int(path.name.split("-")[1])).create_time()
            # A process that started later has the number by chance.
            is_written = started < path.stat().st_mtime + 2
        if not is_written:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        elif path.is_dir():
            living.append(path)
    return living


@contextmanager
def atomic_file(path):
    """Yield a temporary path; its file replaces `path` if the block ends well, else it vanishes."""
    path = Path(path)
    _living(path.parent)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


# Files to read


def check_file(path, kind):
    """Raise FileNotFoundError if there is no file at this Path, ValueError if it is a folder."""
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path} (expected {kind})")
    if path.is_dir():
        raise ValueError(f"{path} must be {kind}, got a folder")


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
    given, path = Path(path), npz_path(path)
    check_file(given if given.is_dir() and not path.exists() else path, kind)
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no NumPy archive")
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        yield content, lambda name: json.loads(str(content[name]))
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

    Arrays lack their axes of length 1. Raises FileNotFoundError if there is no such file, ValueError if
    it cannot be read.
    """
    import pymatreader  # slower to import than everything else here

    path = Path(path)
    check_file(path, "a MATLAB file")
    try:
        content = pymatreader.read_mat(path)
        return {key: value for key, value in content.items() if not key.startswith("__")}
    except Exception as error:  # a damaged file can raise almost anything
        with open(path, "rb") as file:
            found = f"one that begins with {file.read(20)}: {checks.shortened(error)}"
        raise ValueError(f"{path} must be a MATLAB file, got {found}") from error


def write_mat(path, content):
    """Write a dict of arrays, texts and dicts to a MATLAB v5 file, whole or not at all."""
    import scipy.io

    with atomic_file(path) as partial, open(partial, "wb") as file:
        scipy.io.savemat(file, content, oned_as="row", do_compression=True, long_field_names=True)


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
        if not re.search(rb"[\x00-\x08\x0e-\x1f]", begin):  # no control characters: text
            yield io.TextIOWrapper(file, **text)
            return
    if not begin.startswith(b"\x93NUMPY"):
        found = f"a file that begins with {begin[:20]}"
        raise ValueError(f"{path} must be CSV text or a .npy array, got {found}")
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

    The first of semicolon, tab, comma and blank that occurs separates them. Line number 1 is a header
    if it has no number, or is 0,1,2,..., as of pandas. Raises ValueError for other sizes than `tasks`.
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
        if size is None or not (size == 0 or 1 / checks.LARGEST <= size <= checks.LARGEST):
            limits = f"0 or {1 / checks.LARGEST:g} to {checks.LARGEST:g} MB"
            found = checks.shortened(cell, 40)
            raise ValueError(f"line {number}: a task size must be {limits}, got {found!r}")
    return sizes


def _number(text):
    with suppress(ValueError):
        # Python also reads 1_000 and digits of other scripts.
        return float(text) if text.isascii() and "_" not in text else None
