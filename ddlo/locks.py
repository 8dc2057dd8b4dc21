"""Folders of processes that may have died: their lock tells."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there nothing is locked, and nothing swept
    fcntl = None

LOCK = "lock"  # a file in such a folder, that its process has locked as long as it lives


def lock(folder):
    """Lock a folder; return the file descriptor that holds the lock, None where there are no locks."""
    if fcntl is None:
        return None
    descriptor = os.open(Path(folder, LOCK), os.O_RDWR | os.O_CREAT)
    _take(descriptor)
    return descriptor


def remove_if_dead(folder):
    """Remove a folder that was locked, and that nobody locks any more."""
    folder = Path(folder)
    try:
        descriptor = fcntl and os.open(folder / LOCK, os.O_RDWR)
    except OSError:  # none of ours, not to be opened, or just gone
        return
    if descriptor is None:
        return
    try:
        # Another process may have removed it meanwhile, and made a new one of the same name.
        if _take(descriptor) and os.path.samestat(os.fstat(descriptor), os.stat(folder / LOCK)):
            dead = folder.with_name(f".dead-{os.getpid()}-{folder.name}")
            os.rename(folder, dead)
            shutil.rmtree(dead, ignore_errors=True)
    except OSError:
        pass  # another process was faster
    finally:
        os.close(descriptor)


def _take(descriptor):
    with suppress(OSError):  # somebody has it, or the file system has no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
