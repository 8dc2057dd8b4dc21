"""List the commands of this package."""

import tools

print(tools.__doc__, end="")
