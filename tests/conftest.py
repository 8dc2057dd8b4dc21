"""What the tests share: the published data set, and the network it was made for."""

from pathlib import Path

import pytest

from MUMT import MUMT, load_data

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "MUMT_data_3X3.mat"


@pytest.fixture(scope="session")
def network():
    return MUMT(3, 3)


@pytest.fixture(scope="session")
def published(network):
    """task_size (20000, 9) and gain_min (20000,) of the published data set."""
    return load_data(DATA, network)
