"""Command lines from dataclasses of parameters, whose errors are one message without a traceback."""

import sys
from pathlib import Path

import tyro


def command_line(function, parameters):
    """Call the function with the parameters of this dataclass given on the command line.

    Bad input and interruptions end the program with one message and a non-zero exit code.
    """
    try:
        function(tyro.cli(parameters))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {str(error) or 'out of memory'}")
    except Exception as error:
        # TensorFlow's MemoryError, which is imported only where TensorFlow is.
        if type(error).__name__ != "ResourceExhaustedError":
            raise
        sys.exit(f"{Path(sys.argv[0]).name}: out of memory")
