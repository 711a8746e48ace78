import pytest

from medenv.ablation.offline import ablate
from medenv.io import write_records

from .rollouts import ARMS, ROLLOUTS, bank_of


@pytest.fixture(scope="session")
def found():
    return ablate(bank_of(ROLLOUTS), ARMS, seed=1, draws=200)


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    write_records(path, ROLLOUTS)
    return path
