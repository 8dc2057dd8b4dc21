"""The benchmark: how fast the package is."""
