"""Ctrl-C, and SIGTERM as schedulers send it: a program ends with one line, and nothing half-written."""

import atexit
import os
import signal
import sys
import threading
from contextlib import contextmanager

from ddlo import guardian

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
AGAIN = 0.05  # seconds after which a signal comes again that a library has swallowed


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C (SIGINT) and SIGTERM raise in `interruptible`; its `signal` says which."""

    def __init__(self, number):
        super().__init__(WORDS[number])
        self.signal = number

    @property
    def exit_code(self):
        """130 or 143, as shells and schedulers expect."""
        return 128 + self.signal


def guard():
    """Have the program end with one line from here on, where there is nothing yet to clean up.

    To be called first by a program, before imports that take long; and what holds at its end. In an
    interpreter that lives on, as `python -i` and IPython are, it does nothing.
    """
    if sys.flags.interactive or "IPython" in sys.modules:
        return

    def end(number, frame):
        os.write(2, f"{WORDS[number]}\n".encode())  # as print may be what is interrupted
        guardian.tell(guardian.ENDED)
        os._exit(128 + number)

    _handle(end)
    # Where Python clears up at its end, all is done, and a signal would end it without a line.
    atexit.register(_handle, signal.SIG_IGN)
    guardian.start()


@contextmanager
def interruptible():
    """Have the signals raise Interrupted here, in the main thread, so that all is cleaned up.

    Whatever libraries make of it comes out as Interrupted; where they swallow it, it comes again.
    """
    received = []

    def interrupt(number, frame):
        received.append(number)
        raise Interrupted(number)

    def again(unraisable):
        if received and issubclass(unraisable.exc_type, Interrupted):
            threading.Timer(AGAIN, os.kill, (os.getpid(), received[-1])).start()
        else:
            hook(unraisable)

    before, hook = _handle(interrupt), sys.unraisablehook
    sys.unraisablehook = again
    try:
        yield
    except BaseException as error:
        if received and not isinstance(error, Interrupted):
            raise Interrupted(received[-1]) from None
        raise
    finally:
        sys.unraisablehook = hook
        _restore(before)


@contextmanager
def held_back():
    """Have the signals wait until what is done here, in a moment, is done."""
    received = []
    before = _handle(lambda number, frame: received.append(number))
    try:
        yield
    finally:
        _restore(before)
        if received:
            signal.raise_signal(received[0])


def _handle(handler):
    """Set the handler of both signals, but for one that is ignored; return the handlers before."""
    if threading.current_thread() is not threading.main_thread():
        return {}  # they do not come here
    before = {number: signal.getsignal(number) for number in WORDS}
    # As a shell has its background processes ignore Ctrl-C, and nohup may another one.
    before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    return before


def _restore(handlers):
    for number, handler in handlers.items():
        signal.signal(number, handler)
