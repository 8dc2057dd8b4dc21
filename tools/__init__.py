"""Commands that are not experiments:

python -m tools.benchmark       Measure the speed of the package.
python -m tools.decide          Decide with a trained DDLO.
python -m tools.generate_data   Generate a data set for DDLO.
"""
