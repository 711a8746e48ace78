"""A set as a Hugging Face dataset, and the recipe's configs, each of which composes."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import CONF
from medenv.io import read_records
from medenv.trajectories.exports import Chat, to_dataset
from medenv.trajectories.records import Rollout
from medenv.trajectories.run import Stage, make_trajectories
from medenv.trajectories.settings import TrajectorySettings

from .conftest import settings

SERVED = ["teacher.endpoint.url=http://localhost:1/v1", "teacher.endpoint.model=m"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the package datasets itself
def test_a_dataset_holds_the_episodes_as_chat(stage: Stage, root: Path) -> None:
    datasets = pytest.importorskip("datasets")
    wanted = settings(root, folder=str(root / "exported"), exports=("chat", "datasets"))
    make_trajectories(wanted)
    folder = Path(wanted.folder)
    kept = list(read_records(folder / "trajectories.jsonl", Rollout))
    chats = list(read_records(folder / "chat.jsonl", Chat))
    loaded = datasets.load_from_disk(str(folder / "dataset"))
    assert loaded["messages"][:] == [chat.messages for chat in chats]
    assert loaded["learn"][:] == [chat.learn for chat in chats]
    assert to_dataset(kept, stage.parts.rules).column_names == list(Chat.__struct_fields__)
    assert not (folder / "preferences.jsonl").exists()


TEACHERS = sorted(path.stem for path in (CONF / "teacher").glob("*.yaml"))
SETS = sorted(path.stem for path in (CONF / "set").glob("*.yaml"))


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("which", SETS)
def test_every_teacher_and_set_compose_to_settings(teacher: str, which: str) -> None:
    register_schema("trajectories", TrajectorySettings)
    overrides = [f"teacher={teacher}", f"set={which}", *(SERVED if teacher == "openai" else [])]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("trajectories", overrides=overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    made = settings_of(config, TrajectorySettings)
    assert made.target == Path(f"outputs/trajectories-{which}-{teacher}-0")
    assert made.teacher.kind == ("openai" if teacher == "openai" else "oracle")
    assert made.plan.exploration == {"explorer": 1.0}.get(
        teacher, {"deep": 0.3, "tiny": 0.25}[which]
    )
    assert made.plan.failures == 0.05
    assert made.questions.name == {"deep": "mixed", "tiny": "tiny"}[which]
    assert made.env.prompt_style == {"deep": "full", "tiny": "minimal"}[which]
    assert made.teacher.thoughts == (which == "deep")
