"""What goes beyond one run of DDLO: python -m experiments.NAME."""
