"""Every YAML file composes, sets only keys that exist, and a typo anywhere is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medenv.build.settings import (
    AblateSettings,
    RunSettings,
    SftSettings,
    SynthesizeSettings,
    TrainSettings,
)
from medenv.errors import UsageError
from medenv.evaluation.run import EvaluateSettings
from medenv.integrations.hydra import config as schema
from medenv.integrations.hydra.launching import CONF
from medenv.integrations.hydra.schemas import schema_of
from medenv.trajectories.settings import TrajectorySettings

RECIPES: dict[str, type[RunSettings]] = {
    "ablate": AblateSettings,
    "evaluate": EvaluateSettings,
    "sft": SftSettings,
    "synthesize": SynthesizeSettings,
    "train": TrainSettings,
    "trajectories": TrajectorySettings,
}
TREES = {"train": "ppo_trainer", "ablate": "ppo_trainer", "sft": "sft_trainer_engine"}
SHARED = ("graph", "corpus", "retriever", "questions", "env", "scoring")
VERLS = ("policy", "algo", "hardware", "adapter", "schedule", "curriculum")
NAMED = {"trajectories": ("run=x",)}
"""Its default names choices, which Hydra knows in a program alone."""


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


REFUSED = {("corpus", "files"), ("questions", "set"), ("scoring", "custom")}
"""Choices that say what they lack, which their shorthand sets."""


CHOICES = [
    (recipe, group, name)
    for recipe, groups in {
        "train": (*SHARED, *VERLS),
        "ablate": ("scoring",),
        "trajectories": ("set", "teacher"),
        "evaluate": ("policy",),
        "synthesize": ("questions",),
    }.items()
    for group in groups
    for name in choices(group)
    if not (group == "teacher" and name == "openai")
]


def recipe_of(experiment: Path) -> str:
    """An experiment's header shows its command, which names the recipe."""
    named = (one for one in TREES if f"recipes/{one}.py" in experiment.read_text())
    return next(named, "train")


@pytest.fixture(autouse=True, scope="module")
def schemas() -> None:
    for recipe, settings in RECIPES.items():
        schema.register_schema(recipe, settings)


@pytest.fixture(autouse=True)
def hydra_at_conf(schemas: None) -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.mark.parametrize(("recipe", "group", "name"), CHOICES)
def test_every_choice_composes_to_settings(recipe: str, group: str, name: str) -> None:
    config = compose(recipe, overrides=[f"{group}={name}", *NAMED.get(recipe, ())])
    if (group, name) in REFUSED:
        with pytest.raises(UsageError, match=f"{group}="):
            schema.settings_of(config, RECIPES[recipe])
        return
    schema.settings_of(config, RECIPES[recipe])
    if recipe in TREES:
        schema.check_config(config, RECIPES[recipe], TREES[recipe])


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_experiment_composes_to_settings(path: Path) -> None:
    recipe = recipe_of(path)
    config = compose(recipe, overrides=[f"experiment={path.stem}"])
    schema.settings_of(config, RECIPES[recipe])
    schema.check_config(config, RECIPES[recipe], TREES[recipe])


@pytest.mark.parametrize(
    "path", sorted(CONF.rglob("*.yaml")), ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_every_file_begins_by_saying_what_it_is(path: Path) -> None:
    lines = path.read_text().splitlines()
    first = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert first.startswith("# ")
    assert len(first) > 20


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_field_of_the_settings_is_a_key_of_its_recipe(recipe: str) -> None:
    fields = set(RECIPES[recipe].__struct_fields__)
    assert set(schema_of(RECIPES[recipe])) == fields
    assert fields <= set(compose(recipe))


def test_a_misspelt_key_of_ours_is_an_error_in_a_file_too() -> None:
    with pytest.raises(OmegaConfBaseException, match="budgte"):
        OmegaConf.merge(schema_of(TrainSettings), {"env": {"budgte": {"turns": 3}}})


def test_a_value_of_another_type_names_its_key() -> None:
    with pytest.raises(UsageError, match="n: "):
        schema.settings_of(compose("train", overrides=["n=many"]), TrainSettings)


def test_a_mapping_of_a_config_replaces_the_records_own_default() -> None:
    with pytest.raises(UsageError):
        TrainSettings(questions=msgspec.convert({"kinds": {}}, type(TrainSettings().questions)))
    chosen = compose("train", overrides=["questions=mixed", "questions.kinds.list=7"])
    kinds = dict(schema.settings_of(chosen, TrainSettings).questions.kinds)
    written = OmegaConf.to_container(OmegaConf.load(CONF / "questions" / "mixed.yaml"))
    assert isinstance(written, dict)
    assert kinds == {**written["kinds"], "list": 7}


def test_an_empty_mapping_within_a_mapping_is_a_name_without_options() -> None:
    given = ["graph=custom", "graph.source=merged", "graph.options={sources: {toy: {}, hpo: {}}}"]
    chosen = compose("train", overrides=[*given, "+env.tools.lookup={}"])
    settings = schema.settings_of(chosen, TrainSettings)
    assert settings.graph.options == {"sources": {"toy": {}, "hpo": {}}}
    assert set(settings.env.tools) == {"search", "read", "lookup"}


def test_settings_survive_the_way_to_a_file_and_back() -> None:
    made = schema.settings_of(compose("train", overrides=["experiment=cpu"]), TrainSettings)
    assert msgspec.json.decode(msgspec.json.encode(made), type=TrainSettings) == made


def test_a_misspelt_key_of_verl_is_answered_with_the_nearest() -> None:
    config = compose("train", overrides=["experiment=cpu"])
    OmegaConf.set_struct(config, False)
    config.algorithm.adv_estimater = "grpo"
    with pytest.raises(
        UsageError,
        match=r"no config key 'algorithm\.adv_estimater'; did you mean 'algorithm\.adv_estimator'",
    ):
        schema.check_config(config, TrainSettings)


@pytest.mark.parametrize("override", ["hardware=cpuu", "env.dialct=hermes", "trainer.nodes=2"])
def test_a_typo_on_the_command_line_is_refused(override: str) -> None:
    with pytest.raises((HydraException, ConfigCompositionException)):
        compose("train", overrides=["experiment=cpu", override])


def test_our_groups_and_keys_do_not_shadow_verls() -> None:
    verl = {path.name for path in Path(schema.verl_config_dir()).iterdir() if path.is_dir()}
    assert not verl & {path.name for path in CONF.iterdir() if path.is_dir()}
    for recipe, tree in TREES.items():
        assert not set(schema.verl_tree(tree)) & set(RECIPES[recipe].__struct_fields__)


def test_the_eight_gpu_preset_differs_from_the_laptop_in_hardware_alone() -> None:
    def ours(hardware: str) -> DictConfig:
        config = compose("train", overrides=[f"hardware={hardware}"])
        return OmegaConf.masked_copy(config, [*SHARED, "policy"])

    assert ours("cpu") == ours("eight_gpu")
