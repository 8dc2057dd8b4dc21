"""List the commands of this package."""

import experiments
from ddlo.command_line import list_commands

list_commands(experiments)
