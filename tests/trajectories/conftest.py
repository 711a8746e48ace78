"""A stage on the toy graph: chains, negations and quantities, all proved."""

from pathlib import Path

import pytest

from medenv.build.settings import (
    EnvSettings,
    GraphSettings,
    QuestionsSettings,
    ScoringSettings,
)
from medenv.episodes.episode import Budget
from medenv.kg.questions.rare_chains import ChainConfig
from medenv.trajectories.collector import Plan
from medenv.trajectories.filters import FilterContext, Limits
from medenv.trajectories.run import Stage, open_stage
from medenv.trajectories.settings import TrajectorySettings

TOOLS = {"search": {"k": 3}, "read": {}, "med_search": {"k": 3}, "diagnose": {}}


def settings(root: Path, **changes: object) -> TrajectorySettings:
    """A set on the toy graph."""
    questions = QuestionsSettings(
        folder=str(root / "questions"),
        kinds={"rare_chains": 4, "negation": 1, "quantity": 2},
        chains=ChainConfig(min_hops=2, max_hops=4),
        rare_percent=100,
        min_degree=1,
        n=16,
        n_test=0,
    )
    given = {
        "root": str(root),
        "folder": str(root / "set"),
        "graph": GraphSettings(source="toy"),
        "questions": questions,
        "env": EnvSettings(tools=TOOLS, budget=Budget(turns=32, calls=30)),
        "scoring": ScoringSettings(preset="answer_only"),
        "plan": Plan(n=8, failures=0.2, negatives=1.0),
        "limits": Limits(similar=1.0),
    }
    return TrajectorySettings(**{**given, **changes})


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trajectories")


@pytest.fixture(scope="session")
def stage(root: Path) -> Stage:
    return open_stage(settings(root), lambda _: None)


@pytest.fixture(scope="session")
def bench(stage: Stage) -> FilterContext:
    return FilterContext(Limits(), stage.names, len(stage.parts.rules.system))
