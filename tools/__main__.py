"""List the commands of this package."""

import tools
from ddlo.command_line import list_commands

list_commands(tools)
