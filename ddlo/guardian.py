"""A process beside a program's own, which has the last word if that ends without one.

As when it is killed for lack of memory, or TensorFlow aborts. The program tells it what would be left
behind, and leaves it what it has silenced of stderr.
"""

import atexit
import os
import signal
import sys
import time
from contextlib import suppress

from ddlo.locks import remove_if_dead

ENDED, LEFT, GONE = b".", b"+", b"-"
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
NOT_FOR_IT = {getattr(signal, name) for name in NAMES if hasattr(signal, name)}
silenced = None  # a file descriptor for what TensorFlow writes to stderr while that is silenced
_pipe = None  # one that leads to the guardian, if there is one


def start():
    """Fork the guardian, where there is fork; before there are threads."""
    global silenced, _pipe
    if not hasattr(os, "fork"):
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_IT)
    if hasattr(os, "memfd_create"):
        silenced = os.memfd_create("stderr")
    read, _pipe = os.pipe()
    if os.fork():
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(read)
        atexit.register(tell, ENDED)
        return
    with suppress(BaseException):
        _guard(read)
    os._exit(0)


def tell(what, folder=""):
    """Tell that the program has ENDED, or that a folder would be LEFT of it or is GONE."""
    if _pipe is not None:
        with suppress(OSError):
            os.write(_pipe, what + os.fsencode(os.path.abspath(folder)) + b"\0")


def _guard(read):
    os.close(_pipe)
    with open(read, "rb") as pipe:
        told = pipe.read().split(b"\0")[:-1]  # which is all when the program has ended
    for folder in {each[1:] for each in told if each.startswith(LEFT)}:
        if told.count(LEFT + folder) > told.count(GONE + folder):
            _remove(os.fsdecode(folder))
    if not any(each.startswith(ENDED) for each in told):
        os.write(2, f"{os.path.basename(sys.argv[0])}: ended abruptly: {_reason()}\n".encode())


def _remove(folder):
    for _ in range(100):  # the program's lock may go a moment after its end of the pipe
        remove_if_dead(folder)
        if not os.path.exists(folder):
            break
        time.sleep(0.01)


def _reason():
    lines = []
    if silenced is not None:
        os.lseek(silenced, 0, os.SEEK_SET)
        lines = os.read(silenced, 2**20).decode(errors="replace").splitlines()
    fatal = [line for line in lines if line.startswith("F") or "ERROR" in line]
    if fatal:
        return f"TensorFlow says: {fatal[0].split('] ')[-1]}"
    return "it was killed, or there was too little memory"
