"""List the commands of this package."""

import experiments

print(experiments.__doc__, end="")
