"""Command lines from dataclasses of parameters, whose errors are one message without a traceback."""

import sys
from dataclasses import fields
from pathlib import Path

import tyro

from ddlo.checks import shortened
from ddlo.interruption import Interrupted, interruptible

# Names of the paper and of the released package, and common ones, for options.
MEANT = {
    "K": "net-num",
    "dnns": "net-num",
    "N": "users",
    "WD-num": "users",
    "M": "tasks",
    "task-num": "tasks",
    "n": "frames",
    "lr": "learning-rate",
    "beta": "delay-weight",
    "p": "delay-weight",
    "alpha": "edge-cost-per-bit",
    "a": "edge-cost-per-bit",
    "El": "local-energy-per-bit",
    "Tl": "local-time-per-bit",
    "et": "transmit-energy-per-bit",
    "APP": "edge-cycles-per-bit",
    "fc": "edge-cpu-rate",
    "CUL": "uplink",
    "uplink-bandwidth": "uplink",
    "memory": "memory-size",
    "batch": "batch-size",
    "interval": "training-interval",
}


def command_line(function, parameters):
    """Call the function with the parameters of this dataclass given on the command line.

    Bad input and interruptions end the program with one message and a non-zero exit code.
    """
    try:
        with interruptible():
            check_names(sys.argv[1:], parameters)
            function(tyro.cli(parameters))
    except Interrupted as interruption:
        print(interruption, file=sys.stderr)
        sys.exit(interruption.exit_code)
    except (ValueError, OSError, FloatingPointError, MemoryError, ImportError) as error:
        _exit(error)
    except Exception as error:
        # TensorFlow's errors, which is imported only where it is needed.
        if not type(error).__module__.startswith("tensorflow"):
            raise
        _exit(MemoryError() if type(error).__name__ == "ResourceExhaustedError" else error)


def _exit(error):
    """Exit with an error's message in one line, though what a user has typed may be long."""
    kind = "out of memory" if isinstance(error, MemoryError) else type(error).__name__
    sys.exit(f"{Path(sys.argv[0]).name}: {shortened(error, 500) or kind}")


def check_names(arguments, parameters):
    """Raise ValueError, which names the option that is meant, for one that has another name here."""
    options = {each.name.replace("_", "-") for each in fields(parameters)}
    for argument in arguments:
        name = argument.split("=")[0].lstrip("-").replace("_", "-")
        meant = MEANT.get(name)
        if argument.startswith("-") and name not in options and meant in options:
            raise ValueError(f"there is no option {argument.split('=')[0]}: --{meant} is meant")
