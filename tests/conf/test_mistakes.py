"""What is wrong on a recipe's command line, or in a file it reads, is told in one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medenv.build.settings import TrainSettings
from medenv.errors import UnknownNameError, UsageError
from medenv.integrations.hydra.config import register_schema
from medenv.integrations.hydra.launching import (
    CONF,
    FROM_CHECKPOINT,
    check_overrides,
    expanded,
    explained,
    launch,
    told_in_one_line,
)

ROOT = Path(__file__).parents[2]


def run(recipe: str, *overrides: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "recipes" / f"{recipe}.py"), *overrides]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | env
    )


@pytest.mark.parametrize(
    ("recipe", "override", "told"),
    [
        ("train", "polcy=tiny", "there is no config key 'polcy'; did you mean 'policy'?"),
        ("train", "seed=x", "questions.seed: While dereferencing interpolation '${seed}': Value"),
        ("train", "n=many", "n: Expected `int | null`, got `str`"),
        ("ablate", "hardware=cpux", "unknown hardware 'cpux'; did you mean 'cpu'?"),
        ("sft", "experiment=tiny_sf", "unknown experiment 'tiny_sf'; did you mean 'tiny_sft'?"),
        ("synthesize", "sead=3", "there is no config key 'sead'; did you mean 'seed'?"),
        ("trajectories", "teachr=x", "there is no config key 'teachr'; did you mean 'teacher'?"),
        ("evaluate", "splt=x", "there is no config key 'splt'; did you mean 'split'?"),
        ("train", "policy=4", "expected policy=NAME, where NAME is one of closed_book, folder"),
        ("train", "world=null", "there is no config key 'world'; did you mean 'questions.world'"),
        ("train", "questions=no/set", "no/set: expected the folder of a question set"),
        (
            "train",
            "scoring=no.module:reward",
            "reward 'no.module:reward' cannot be imported: Mod",
        ),
        ("ablate", "ablation=3", "expected ablation.KEY=VALUE"),
        ("synthesize", "rewrite=3", "settings of a model: Expected `object`, got `int`"),
    ],
)
def test_each_recipe_answers_a_mistake_with_one_line(recipe: str, override: str, told: str) -> None:
    done = run(recipe, override)
    assert done.returncode == 2
    assert done.stdout.startswith(f"error: {told}")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.parametrize("primary", [path.stem for path in sorted((ROOT / "conf").glob("*.yaml"))])
@pytest.mark.parametrize("value", ["4", "null", "true", "1.5", "{a: 1}", "[1]", "1,2"])
def test_a_group_is_set_to_a_name_and_nothing_else(primary: str, value: str) -> None:
    groups = [path.name for path in sorted((ROOT / "conf").iterdir()) if path.is_dir()]
    for group in groups:
        with pytest.raises(UsageError) as caught:
            check_overrides(["-m", f"{group}={value}"])
        names = [path.stem for path in (ROOT / "conf" / group).glob("*.yaml")]
        assert all(name in str(caught.value) for name in names)
        check_overrides([f"{group}={names[0]}", f"{group}=[{names[0]}]", f"~{group}"])
    check_overrides([f"not_a_group={value}", "--cfg", "job", "-cn=x"])


def longer_keys(*arguments: str) -> list[str]:
    """Return the keys that the line for a command line offers, without composing twice."""
    with pytest.raises(HydraException) as caught:
        composed(*arguments)
    return re.findall("'([^']+)'", explained(caught.value, arguments))[1:]


def composed(*overrides: str) -> DictConfig:
    register_schema("train", TrainSettings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("dialect=react", ["env.dialect"]),
        ("budget.turns=3", ["env.budget.turns"]),
        ("world=rewired", ["questions.world"]),
        ("lr=1", ["critic.optim.lr", "actor_rollout_ref.actor.optim.lr"]),
        ("total_epochs=1", ["trainer.total_epochs"]),
    ],
)
def test_a_key_without_its_prefix_is_answered_with_the_whole_key(
    argument: str, meant: list[str]
) -> None:
    assert longer_keys(argument) == meant


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("questions=a/set", ["questions=set", "questions.path='a/set'"]),
        ("questions=mine.csv", ["questions=set", "questions.path='mine.csv'"]),
        ("questions=rare_chains", ["questions=rare_chains"]),
        ("corpus=it's.jsonl", ["corpus=files", r"corpus.path='it\'s.jsonl'"]),
        ("graph=a/graph", ["graph=saved", "graph.path='a/graph'"]),
        ("scoring=my.rewards:mine", ["scoring=custom", "scoring.reward='my.rewards:mine'"]),
        ("policy=./checkpoint", ["policy=folder", "policy.path='./checkpoint'"]),
        ("policy=owner/name", ["policy=folder", "policy.path='owner/name'"]),
        (
            "policy=http://localhost:8000/v1#m",
            ["policy=served", "policy.url='http://localhost:8000/v1'", "policy.model='m'"],
        ),
        ("retriever=corpora", ["retriever=custom", "retriever.name='corpora'"]),
        ("scoring=composite,answer_only", ["scoring=composite,answer_only"]),
        ("seed=3", ["seed=3"]),
        ("-m", ["-m"]),
    ],
)
def test_a_shorthand_is_a_choice_and_the_key_that_it_needs(
    argument: str, written: list[str]
) -> None:
    assert expanded([argument]) == written


def test_an_expanded_shorthand_composes_to_the_value_that_was_written() -> None:
    arguments = ["corpus=it's/here.jsonl", "policy=http://localhost:8000/v1#a b"]
    config = composed(*expanded(arguments))
    assert config.corpus.path == "it's/here.jsonl"
    assert (config.policy.url, config.policy.model) == ("http://localhost:8000/v1", "a b")


def test_free_form_mappings_take_any_key_on_the_command_line() -> None:
    config = composed(
        *("scoring.weights={accuracy: 1.0}", "env.tools={search: {k: 2}}"),
        *("hardware.environment.A=b", "graph.options={namespaces: [ORPHA]}"),
    )
    assert config.scoring.weights.accuracy == 1.0
    assert config.env.tools.search.k == 2
    assert config.hardware.environment.A == "b"
    assert config.graph.options.namespaces == ["ORPHA"]


def test_whoever_asks_hydra_for_the_whole_error_gets_it() -> None:
    done = run("synthesize", "sead=3", HYDRA_FULL_ERROR="1")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def wrong(*overrides: str) -> str:
    """Return what is said of overrides that cannot be composed."""
    with pytest.raises((HydraException, OmegaConfBaseException, yaml.YAMLError)) as caught:
        composed(*overrides)
    return explained(caught.value)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "env.budget.trns=3",
            "there is no config key 'env.budget.trns'; did you mean 'env.budget.turns'?",
        ),
        (
            "trainer.total_epoch=3",
            "there is no config key 'trainer.total_epoch'; did you mean 'trainer.total_epochs'?",
        ),
        (
            "evaluation.zz=1",
            "there is no config key 'evaluation.zz' (known: samples, greedy, questions)",
        ),
        (
            "env.budget.turns=few",
            "env.budget.turns: Value 'few' of type 'str' could not be converted to Integer",
        ),
        (
            "policy=tyni",
            "unknown policy 'tyni'; did you mean 'tiny'? "
            "(known: closed_book, folder, greedy_hops, one_search, oracle, qwen3_0_6b, qwen3_14b, "
            "qwen3_1_7b, qwen3_32b, qwen3_4b, qwen3_8b, served, tiny)",
        ),
        ("a=[b", "cannot read 'a=[b' as KEY=VALUE: no viable alternative at input '[b'"),
        ("~nothing", "Could not delete from config. 'nothing' does not exist."),
    ],
)
def test_the_line_names_what_is_wrong_and_the_nearest(override: str, told: str) -> None:
    assert wrong(override) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "env:\n  budgte: {turns: 3}\n",
            "In 'experiment/mine': there is no config key 'env.budgte'; did you mean 'env.budget'?",
        ),
        (
            "env: {budget: {turns: 3}\nrun: x\n",
            "{file}:3: expected ',' or '}}', but got '<scalar>'",
        ),
    ],
)
def test_a_mistake_in_a_file_is_told_with_the_file(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(f"# @package _global_\n{text}")
    verl = OmegaConf.load(ROOT / "conf" / "train.yaml").hydra.searchpath
    paths = ",".join([*(str(one) for one in OmegaConf.to_object(verl)), f"file://{tmp_path}"])
    assert wrong("experiment=mine", f"hydra.searchpath=[{paths}]") == told.format(file=file)


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def test_a_name_in_brackets_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    long = UnknownNameError("tool", "[red]", [f"tool_{i:03}" for i in range(40)])
    with pytest.raises(SystemExit) as ended, told_in_one_line():
        raise long
    assert ended.value.code == 2
    assert capsys.readouterr().out == f"error: {long}\n"


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, told_in_one_line(FROM_CHECKPOINT):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().out == f"{FROM_CHECKPOINT}\n"


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(ZeroDivisionError):
        launch(raising(ZeroDivisionError("a bug")))
    assert "HYDRA_FULL_ERROR" not in os.environ
