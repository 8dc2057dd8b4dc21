"""Command lines from dataclasses of parameters; every error is one message without a traceback."""

import os
import signal
import sys
import warnings
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import tyro

from ddlo import checks
from MUMT import SYMBOLS

NAMES = {  # common names of parameters, by option
    "net-num": "K dnns",
    "users": "N WD-num",
    "tasks": "M task-num",
    "learning-rate": "lr",
    "training-interval": "interval",
    "batch-size": "batch",
    "memory-size": "memory",
}
ALIASES = {name: option for option, names in NAMES.items() for name in names.split()}
ALIASES |= {symbol: name.replace("_", "-") for symbol, name in SYMBOLS.items()}
FULL = ("ResourceExhaustedError", "OutOfMemoryError")  # of TensorFlow, and of PyTorch
TOLD = (ValueError, OSError, FloatingPointError, ImportError, SystemExit)  # in one line
ENDED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def command_line(function, parameters):
    """Call the function with a dataclass of parameters from the command line, and end the program.

    The exit code is 0, 1 after an error, 2 for a wrong option, 130 after Ctrl-C and 143 after SIGTERM.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # keeps TensorFlow from importing Keras
    code = run_command(function, parameters)
    # TensorFlow would take long to clean up. Under a debugger, a profiler or a notebook, or with
    # python -i, Python ends in its own way.
    if sys._getframe(1).f_back is None and not sys.flags.inspect:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # nobody reads it any more
                stream.flush()
        os._exit(code)
    sys.exit(code)


def run_command(function, parameters):
    """Call the function with parameters from the command line; return the exit code."""
    received = []

    def interrupt(number, frame):
        received.append(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in ENDED}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:  # as for background jobs of a shell
                signal.signal(number, interrupt)
        function(parse(parameters, sys.argv[1:]))
        return 0
    except BaseException as error:
        if received:  # libraries may turn it into another error
            show_error(ENDED[received[-1]])
            return 128 + received[-1]
        if isinstance(error, SystemExit) and not isinstance(error.code, str):
            return error.code or 0
        if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has ended
            return 1
        message = message_of(error)
        if message is None:
            raise
        show_error(f"{program()}: {message}")
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_error(message):
    """Print a message to stderr."""
    print(message, file=sys.stderr)


def message_of(error):
    """Return a user's error in one line; None for an error in the code."""
    kind = type(error)
    if isinstance(error, MemoryError) or kind.__name__ in FULL:
        return "out of memory"
    if kind.__module__.startswith("tensorflow") or isinstance(error, TOLD):
        return checks.shortened(error, 500) or kind.__name__
    return None


def parse(parameters, arguments):
    """Return a dataclass of parameters from command-line arguments.

    With --resume the saved parameters are the defaults.
    """
    arguments = [full_name(argument, parameters) for argument in arguments]
    own_first(parameters)
    options = {"args": arguments, "prog": command(), "registry": REGISTRY}
    found = tyro.cli(parameters, **options)
    if getattr(found, "resume", None):
        from ddlo.checkpoint import saved_parameters

        saved = parameters(**saved_parameters(found.resume, parameters))
        # It warns of hidden layers of several DNNs, which are no option.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            found = tyro.cli(parameters, default=saved, **options)
    return found


def program():
    """Return the name of the program: that of its file, or of its package."""
    path = Path(sys.argv[0])
    return path.parent.name if path.stem == "__main__" else path.name


def command():
    """Return how the program was started, without arguments: "python -m tools.decide"."""
    module = sys.modules["__main__"].__spec__
    if module:
        return f"python -m {module.name.removesuffix('.__main__')}"
    return f"python {Path(sys.argv[0]).name}"


def full_name(argument, parameters):
    """Return an argument with the option's name in place of an alias."""
    name, *value = argument.split("=", 1)
    if not name.startswith("--"):
        return argument
    options = {each.name.replace("_", "-") for each in fields(parameters)}
    option = ALIASES.get(name[2:].replace("_", "-"))
    return "=".join([f"--{option}", *value]) if option in options else argument


def own_first(parameters):
    """Have --help list a dataclass's own fields first, then inherited ones: the network's constants."""
    found = parameters.__dataclass_fields__
    own = parameters.__annotations__
    for name in [name for name in found if name not in own]:
        found[name] = found.pop(name)


def counted(number, noun):
    """Return "1 line", "2 lines", ..."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


REGISTRY = tyro.constructors.ConstructorRegistry()


@REGISTRY.primitive_rule
def _short_floats(info):
    """Print the default of a number as 3.25e-07, not 3.2499999999999996e-07."""
    if info.type is not float:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FLOAT",
        instance_from_str=lambda texts: float(texts[0]),
        is_instance=lambda value: isinstance(value, (int, float)),
        str_from_instance=lambda value: [f"{value:.12g}"],
    )
