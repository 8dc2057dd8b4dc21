"""The benchmark: how fast the package is, and that fast is not wrong."""
