"""Commands that go beyond one run of DDLO:

python -m experiments.agents    Agents of reinforcement learning, to compare with DDLO.
python -m experiments.figures   The paper's experiments and others: all figures and tables.
python -m experiments.wpmec     DDLO, or one of DROO's candidate rules, on DROO's network.
"""
