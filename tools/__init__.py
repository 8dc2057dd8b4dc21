"""Commands that are not experiments: python -m tools lists them."""
