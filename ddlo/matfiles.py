"""MATLAB files: v5 with SciPy, v7.3 (HDF5) with h5py; and what a file is that is none."""

import warnings
from pathlib import Path

import numpy as np

from ddlo.checks import shortened
from ddlo.files import atomic_file

# What other files begin with.
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
    import scipy.io  # takes longer to import than all else here

    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} must be a MATLAB file, got a folder")
    with open(path, "rb") as file:
        begin = file.read(1024)
    try:
        if b"\x89HDF\r\n\x1a\n" in begin:  # at its start, or behind MATLAB's own header
            return _read_hdf5(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # as that what is returned may be wrong
            # That a variable among others is one of a kind that Python does not have.
            warnings.simplefilter("ignore", scipy.io.matlab.MatReadWarning)
            content = scipy.io.loadmat(path)
    except Exception as error:  # there is little that reading a corrupt file does not raise
        raise ValueError(
            f"{path} must be a MATLAB file, got {_kind(begin, shortened(error))}"
        ) from error
    return {key: _plain(value) for key, value in content.items() if not key.startswith("__")}


def write_mat(path, content):
    """Write a dict of arrays, texts and dicts to a MATLAB v5 file, whole or not at all."""
    import scipy.io

    with atomic_file(path) as partial, open(partial, "wb") as file:
        scipy.io.savemat(file, content, oned_as="row", do_compression=True, long_field_names=True)


def _read_hdf5(path):
    import h5py  # TensorFlow needs it, too

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
    """A struct of loadmat's as a dict, and a text as a str."""
    if getattr(value, "dtype", None) is not None and value.dtype.names and value.size == 1:
        return {name: _plain(value[name].item()) for name in value.dtype.names}
    if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
        return value.item()
    return value


def _kind(begin, error):
    """What a file is, by its first bytes."""
    if not begin:
        return "an empty file"
    for beginning, kind in BEGINNINGS.items():
        if begin.startswith(beginning):
            return kind
    if begin.startswith(b"MATLAB"):
        return f"a damaged one: {error}"
    is_text = all(byte in b"\t\r\n" or byte >= 32 for byte in begin)
    return "text" if is_text else f"something else: {error}"
