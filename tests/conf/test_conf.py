"""Every YAML file composes, sets only keys that exist, and a typo anywhere is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf

from medenv.build.plugins import retriever_factory
from medenv.build.workspace import WorkspaceQuestions, WorkspaceSettings
from medenv.episodes.episode import Budget
from medenv.errors import UsageError
from medenv.integrations.hydra import config as schema
from medenv.text import ENGLISH, PLAIN, Analysis, analysis_of

CONF = Path(__file__).parents[2] / "conf"
OURS = ("world", "env", "scoring", "policy", "algo", "hardware")
PRIMARIES = {"train": "ppo_trainer", "ablate": "ppo_trainer", "sft": "sft_trainer_engine"}
CHOICES = [
    (primary, f"{group}={path.stem}")
    for primary in ("train", "ablate")
    for group in OURS
    for path in sorted((CONF / group).glob("*"))
]


def primary_of(experiment: Path) -> str:
    """An experiment's header shows its command, which names the recipe."""
    named = (one for one in PRIMARIES if f"recipes/{one}.py" in experiment.read_text())
    return next(named, "train")


EXPERIMENTS = [
    (primary_of(path), f"experiment={path.stem}")
    for path in sorted((CONF / "experiment").glob("*.yaml"))
]


@pytest.fixture(autouse=True)
def hydra_at_conf() -> Iterator[None]:
    schema.register_schema()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.mark.parametrize(("primary", "choice"), [*CHOICES, *EXPERIMENTS])
def test_every_choice_composes_and_sets_only_keys_that_exist(primary: str, choice: str) -> None:
    config = compose(primary, overrides=[choice])
    schema.check_config(config, PRIMARIES[primary])
    OmegaConf.to_container(config.medenv, resolve=True)


def test_every_file_below_conf_is_reached_by_a_primary_or_a_group_known_here() -> None:
    groups = {path.parent.name for path in CONF.rglob("*.yaml") if path.parent != CONF}
    assert set(OURS) | {"experiment"} <= groups


@pytest.mark.parametrize(
    "path", sorted(CONF.rglob("*.yaml")), ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_every_file_begins_by_saying_what_it_is(path: Path) -> None:
    lines = path.read_text().splitlines()
    first = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert first.startswith("# ")
    assert len(first) > 20


def test_a_misspelt_key_of_ours_is_an_error_in_a_file_too() -> None:
    node = OmegaConf.structured(schema.MedEnvSection)
    with pytest.raises(Exception, match="budgte"):
        OmegaConf.merge(node, OmegaConf.create({"env": {"budgte": {"turns": 3}}}))


def test_a_misspelt_key_of_verl_is_answered_with_the_nearest() -> None:
    config = compose("train", overrides=["experiment=cpu"])
    OmegaConf.set_struct(config, False)
    config.algorithm.adv_estimater = "grpo"
    with pytest.raises(
        UsageError,
        match=r"no config key 'algorithm\.adv_estimater'; did you mean 'algorithm\.adv_estimator'",
    ):
        schema.check_config(config)


@pytest.mark.parametrize(
    ("written", "analysis"),
    [
        ("english", ENGLISH),
        ("{stemming: german}", Analysis(stemming="german")),
        ("plain", PLAIN),
    ],
)
def test_the_analysis_of_a_corpus_is_named_or_described(written: str, analysis: Analysis) -> None:
    overrides = [
        f"medenv.world.analysis={written}",
        f"medenv.env.retriever={{bm25: {{analysis: {written}}}}}",
    ]
    config = compose("train", overrides=["experiment=cpu", *overrides])
    schema.check_config(config)
    section = OmegaConf.to_container(config.medenv, resolve=True)
    assert isinstance(section, dict)
    assert msgspec.convert(section["world"], WorkspaceSettings).analysis == analysis
    _, options = retriever_factory(section["env"]["retriever"])
    assert analysis_of(options["analysis"]) == analysis


@pytest.mark.parametrize(
    "override", ["hardware=cpuu", "medenv.env.dialct=hermes", "trainer.nodes=2"]
)
def test_a_typo_on_the_command_line_is_refused(override: str) -> None:
    with pytest.raises((HydraException, ConfigCompositionException)):
        compose("train", overrides=["experiment=cpu", override])


def test_our_groups_do_not_shadow_verls() -> None:
    verl = {path.name for path in Path(schema.verl_config_dir()).iterdir() if path.is_dir()}
    assert not verl & {path.name for path in CONF.iterdir() if path.is_dir()}


def test_the_schema_has_the_fields_and_defaults_of_what_it_describes() -> None:
    world = OmegaConf.structured(schema.WorldSection)
    assert set(world) == set(WorkspaceSettings.__struct_fields__)
    assert set(world.questions) == set(WorkspaceQuestions.__struct_fields__)
    assert set(OmegaConf.structured(schema.BudgetSection)) == set(Budget.__struct_fields__)


def test_the_eight_gpu_preset_differs_from_the_laptop_in_hardware_alone() -> None:
    def ours(hardware: str) -> DictConfig:
        config = compose("train", overrides=[f"hardware={hardware}"])
        return OmegaConf.masked_copy(config.medenv, ["world", "env", "scoring", "policy"])

    assert ours("cpu") == ours("eight_gpu")
